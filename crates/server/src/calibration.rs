//! How long this machine takes for the units of work that the cost model counts.

use circuit::CostModel;
use ring::kernels::{self, Pair};
use ring::{Automorphism, Basis, Conversion, IntegerRows, Kernel, Modulus, NttTable};
use std::time::Instant;

/// How many measurements [`measure`] makes.
pub const MEASUREMENTS: usize = 7;

/// The degree that the cost model's figures are for.
const DEGREE: usize = 8192;
/// Primes of the size that circuits use, the least first.
const PRIMES: [u32; 6] = [66551809, 66813953, 67043329, 67239937, 67502081, 268369921];
/// Terms of a sum of products, as many as circuits have.
const TERMS: usize = 16;
/// Limbs (128 MiB of them) that caches do not hold.
const COLD_LIMBS: usize = 4096;
/// Repetitions of which the fastest counts: what it would be on an idle machine.
const REPETITIONS: usize = 15;

/// Measures the machine's figures on one core; `progress` is told each measurement's number as it is done.
///
/// # Errors
/// None on a machine that has the kernel.
pub fn measure(kernel: Kernel, mut progress: impl FnMut(usize)) -> Result<CostModel, ring::Error> {
    let bench = Bench::new(kernel)?;
    let measurements: [&dyn Fn() -> f64; MEASUREMENTS] = [
        &|| bench.ntt(),
        &|| bench.multiply_accumulate(),
        &|| bench.permutation(),
        &|| bench.conversion(),
        &|| bench.pass(),
        &|| bench.stream(),
        &|| bench.scalar_product(),
    ];
    let mut figures = [0.0; MEASUREMENTS];
    for (done, (figure, measurement)) in figures.iter_mut().zip(measurements).enumerate() {
        *figure = measurement();
        progress(done + 1);
    }
    let [ntt, multiply_accumulate, permutation, conversion, pass, stream, scalar_product] = figures;
    Ok(CostModel { ntt, multiply_accumulate, permutation, conversion, pass, stream, scalar_product })
}

struct Bench {
    kernel: Kernel,
    basis: Basis,
}

impl Bench {
    fn new(kernel: Kernel) -> Result<Self, ring::Error> {
        Ok(Self { kernel, basis: Basis::new(DEGREE, &PRIMES, kernel)? })
    }

    fn table(&self) -> &NttTable {
        self.basis.table(0)
    }

    fn modulus(&self) -> Modulus {
        self.basis.modulus(0)
    }

    fn ntt(&self) -> f64 {
        let mut limb = words(1);
        let both = microseconds(64, || {
            kernels::ntt_forward(self.kernel, self.table(), &mut limb);
            kernels::ntt_inverse(self.kernel, self.table(), &mut limb);
        });
        both / 2.0
    }

    /// A pair of limbs times a shared one is two multiply-accumulates.
    fn multiply_accumulate(&self) -> f64 {
        self.product(&words(TERMS)) / 2.0
    }

    fn permutation(&self) -> f64 {
        let rotation = Automorphism::rotation(DEGREE, 5);
        let (limb, mut out) = (words(1), words(1));
        microseconds(64, || rotation.apply(self.kernel, &limb, &mut out))
    }

    /// From two primes to four others: eight products.
    fn conversion(&self) -> f64 {
        let moduli: Vec<Modulus> = self.basis.moduli().collect();
        let conversion = Conversion::new(&moduli[..2], &moduli[2..], self.kernel);
        let (limb, mut out) = (words(1), words(1));
        let all = microseconds(16, || {
            let lift = conversion.lift(&[&limb, &limb]);
            (0..4).for_each(|target| lift.write(target, &mut out));
        });
        all / 8.0
    }

    fn pass(&self) -> f64 {
        let (mut a, b) = (words(1), words(1));
        microseconds(64, || kernels::add(self.kernel, self.modulus(), &mut a, &b))
    }

    /// What a product takes longer where the shared limb comes from memory.
    fn stream(&self) -> f64 {
        (self.product(&words(COLD_LIMBS)) - self.product(&words(TERMS))).max(0.0)
    }

    /// A weight of a dense layer over a block of words.
    fn scalar_product(&self) -> f64 {
        const INPUTS: usize = 800;
        const WIDTH: usize = 192;
        let weight = |row: i32, input: u32| (input, (row * 31 + input as i32 * 17) % 8000 - 4000);
        let row = |row| (0..INPUTS as u32).map(|input| weight(row, input)).collect();
        let matrix: Vec<_> = (0..IntegerRows::MOST as i32).map(row).collect();
        let blocks = IntegerRows::blocks(&matrix);
        let (x, mut out) = (words((INPUTS * WIDTH).div_ceil(DEGREE)), words(1));
        let (constants, out) = ([0; IntegerRows::MOST], &mut out[..IntegerRows::MOST * WIDTH]);
        let all = microseconds(4, || {
            for rows in &blocks {
                let constants = (&constants[..rows.rows().len()], 0);
                kernels::sum_rows(self.kernel, self.modulus(), rows, constants, &x, out, WIDTH);
            }
        });
        all / (matrix.len() * INPUTS * WIDTH) as f64 * DEGREE as f64
    }

    /// One term of a sum: a pair of limbs times one of the `shared` ones, which are used in turn.
    fn product(&self, shared: &[u32]) -> f64 {
        let left = words(2);
        let (mut first, mut second) = (words(1), words(1));
        let left = [&left[..DEGREE], &left[DEGREE..]];
        let terms: Vec<Pair<'_>> = shared.chunks_exact(DEGREE).map(|shared| Pair { left, shared }).collect();
        let sums = terms.chunks(TERMS);
        let calls = sums.len().max(16);
        let mut sums = sums.cycle();
        let sum = microseconds(calls, || {
            let terms = sums.next().expect("there are terms, again and again");
            kernels::dot_pair(self.kernel, self.modulus(), terms, [&mut first, &mut second])
        });
        sum / TERMS as f64
    }
}

/// Words of so many limbs, all below every prime.
fn words(limbs: usize) -> Vec<u32> {
    (0..(limbs * DEGREE) as u32).map(|i| i.wrapping_mul(2_654_435_761) % PRIMES[0]).collect()
}

/// Microseconds of one call: the least over repetitions of the mean of `calls`.
fn microseconds(calls: usize, mut work: impl FnMut()) -> f64 {
    let mean = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e6 / calls as f64
    };
    (0..REPETITIONS).map(mean).fold(f64::INFINITY, f64::min)
}
