//! What each kernel costs: `cargo bench -p blindsight-ring`, with a filter such as `avx512/forward` if need
//! be.

use blindsight_ring::kernels::{self, LINE, Pair, Run, WovenSum};
use blindsight_ring::sampler::{ErrorDistribution, Generator, SIGMA, ternary, uniform_limb};
use blindsight_ring::{Automorphism, Conversion, IntegerRows, Kernel, Modulus, NttTable, Poly, Values};
use chacha20::rand_core::SeedableRng;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const DEGREE: usize = 8192;
const PRIME: u32 = 67_043_329;

/// A prime of 26, 28 and just under 30 bits: they need corrections never, in each pass and in each layer.
const PRIMES: [u32; 3] = [PRIME, 268_369_921, 1_073_479_681];

fn modulus(q: u32) -> Modulus {
    Modulus::new(q.into()).expect("the benchmark's primes are primes")
}

fn limb(q: u32, degree: usize, seed: u8) -> Poly<Values> {
    let mut poly = Poly::zero(degree, 1);
    uniform_limb(Kernel::detect(), modulus(q), &[seed; 32], poly.words_mut());
    poly
}

fn pair(limbs: &[Poly<Values>]) -> Pair<'_> {
    Pair { left: [limbs[0].words(), limbs[1].words()], shared: limbs[2].words() }
}

fn transforms(c: &mut Criterion) {
    for kernel in Kernel::available() {
        let others = [(8192, PRIMES[1]), (8192, PRIMES[2])];
        for (degree, q) in [4096, 8192, 16384, 32768].map(|degree| (degree, PRIME)).into_iter().chain(others)
        {
            // From 16384 on the nearest prime to 2^26 is another one.
            let q = if q % (4 * degree as u32) == 1 {
                q
            } else {
                blindsight_ring::primes::search(degree, 1 << 26, 1 << 25, 1 << 27)[0]
            };
            let table = NttTable::new(modulus(q), degree).expect("a prime with the roots");
            let mut a = limb(q, degree, 1);
            let name = |what: &str| format!("{}/{what}/{degree}/{q}", kernel.name());
            c.bench_function(&name("forward"), |b| {
                b.iter(|| kernels::ntt_forward(kernel, &table, a.words_mut()))
            });
            c.bench_function(&name("inverse"), |b| {
                b.iter(|| kernels::ntt_inverse(kernel, &table, a.words_mut()))
            });
        }
    }
}

fn sums_of_products(c: &mut Criterion) {
    let m = modulus(PRIME);
    for kernel in Kernel::available() {
        for count in [3, 25] {
            let limbs: Vec<_> = (0..3 * count).map(|i| limb(PRIME, DEGREE, i)).collect();
            let terms: Vec<Pair<'_>> = limbs.chunks(3).map(pair).collect();
            let (mut x, mut y) = (limb(PRIME, DEGREE, 1), limb(PRIME, DEGREE, 2));
            c.bench_function(&format!("{}/dot_pair/{count} terms", kernel.name()), |b| {
                b.iter(|| kernels::dot_pair(kernel, m, &terms, [x.words_mut(), y.words_mut()]));
            });
        }
        let [a, b] = [limb(PRIME, DEGREE, 1), limb(PRIME, DEGREE, 2)];
        let [mut low, mut middle, mut high] = [a.clone(), a.clone(), a.clone()];
        c.bench_function(&format!("{}/tensor", kernel.name()), |bench| {
            bench.iter(|| {
                let out = [low.words_mut(), middle.words_mut(), high.words_mut()];
                kernels::tensor(kernel, m, [a.words(), b.words()], [b.words(), a.words()], out);
            });
        });
    }
}

/// A block of the sums of a transform whose weights no cache holds, 24 giant steps of 24 baby steps: with the
/// weights of each product apart, and woven.
fn sums_of_a_transform(c: &mut Criterion) {
    const STEPS: usize = 24;
    const WORDS: usize = 256;
    let (m, degree) = (modulus(PRIME), 32768);
    let halves: Vec<Poly<Values>> = (0..2 * STEPS as u8).map(|i| limb(PRIME, WORDS, i)).collect();
    let left: Vec<[&[u32]; 2]> = halves.chunks(2).map(|half| [half[0].words(), half[1].words()]).collect();
    let weights: Vec<_> = (0..STEPS * STEPS).map(|i| limb(PRIME, degree, i as u8)).collect();
    let woven = limb(PRIME, STEPS * STEPS * degree, 1);
    let mut outs: Vec<[Vec<u32>; 2]> = vec![[vec![0; WORDS], vec![0; WORDS]]; STEPS];
    let (order, runs): (Vec<u32>, _) = ((0..STEPS as u32).collect(), [Run { terms: STEPS, repeats: 1 }]);
    for kernel in Kernel::available() {
        let mut starts = (0..degree).step_by(WORDS).cycle();
        c.bench_function(&format!("{}/weights apart", kernel.name()), |b| {
            b.iter(|| {
                let start = starts.next().expect("they go around");
                for (weights, out) in weights.chunks(STEPS).zip(&mut outs) {
                    let words = weights.iter().map(|weights| &weights.words()[start..start + WORDS]);
                    let terms = left.iter().zip(words).map(|(left, shared)| Pair { left: *left, shared });
                    let terms: Vec<_> = terms.collect();
                    kernels::dot_pair(kernel, m, &terms, out.each_mut().map(Vec::as_mut_slice));
                }
            });
        });
        let stride = STEPS * STEPS * LINE;
        c.bench_function(&format!("{}/weights woven", kernel.name()), |b| {
            b.iter(|| {
                let words = &woven.words()[starts.next().expect("they go around") / LINE * stride..];
                let sums = outs.iter_mut().enumerate().map(|(step, out)| {
                    let (shared, out) =
                        (&words[step * STEPS * LINE..], out.each_mut().map(Vec::as_mut_slice));
                    WovenSum { left: &order, runs: &runs, shared, stride, out }
                });
                kernels::dot_woven(kernel, m, &left, &mut sums.collect::<Vec<_>>(), false);
            });
        });
    }
}

/// A dense layer of 845 inputs and 96 rows over 64 words of three parts, with weights of three sizes.
fn sums_of_integer_multiples(c: &mut Criterion) {
    let (m, inputs, rows, width) = (modulus(PRIME), 845, 96, 192);
    let [x, mut out] = [limb(PRIME, inputs * width, 1), limb(PRIME, rows * width, 2)];
    let constants = [0; IntegerRows::MOST];
    for bits in [10, 12, 13, 15] {
        let weight = |r: i32, i: i32| ((r * 31 + i * 17) % 8000 - 4000) << 3 >> (15 - bits);
        let row = |r: i32| (0..inputs as u32).map(|i| (i, weight(r, i as i32))).collect();
        let blocks = IntegerRows::blocks(&(0..rows as i32).map(row).collect::<Vec<_>>());
        for kernel in Kernel::available() {
            c.bench_function(&format!("{}/sum_rows, {bits} bits", kernel.name()), |b| {
                b.iter(|| {
                    for block in &blocks {
                        let constants = (&constants[..block.rows().len()], 0);
                        kernels::sum_rows(kernel, m, block, constants, x.words(), out.words_mut(), width);
                    }
                });
            });
        }
    }
}

fn words(c: &mut Criterion) {
    let m = modulus(PRIME);
    for kernel in Kernel::available() {
        let (a, mut x) = (limb(PRIME, DEGREE, 1), limb(PRIME, DEGREE, 2));
        let name = |what: &str| format!("{}/{what}", kernel.name());
        let rotation = Automorphism::rotation(DEGREE, 5);
        c.bench_function(&name("permute"), |b| b.iter(|| rotation.apply(kernel, a.words(), x.words_mut())));
        c.bench_function(&name("permute_add"), |b| {
            b.iter(|| rotation.apply_add(kernel, m, a.words(), x.words_mut()))
        });
        c.bench_function(&name("add"), |b| b.iter(|| kernels::add(kernel, m, x.words_mut(), a.words())));
        c.bench_function(&name("mul"), |b| b.iter(|| kernels::mul(kernel, m, x.words_mut(), a.words())));
        let w = m.scalar(12_345_678);
        c.bench_function(&name("sub_mul_scalar"), |b| {
            b.iter(|| kernels::sub_mul_scalar(kernel, m, x.words_mut(), a.words(), w));
        });
        let conversion = Conversion::new(&[67_239_937, 66_813_953].map(modulus), &[m], kernel);
        c.bench_function(&name("lift/2 primes"), |b| {
            b.iter_batched(
                || [a.words(), a.words()],
                |limbs| drop(conversion.lift(&limbs)),
                BatchSize::SmallInput,
            );
        });
        let lift = conversion.lift(&[a.words(), a.words()]);
        c.bench_function(&name("convert/2 primes"), |b| b.iter(|| lift.write(0, x.words_mut())));
    }
}

fn samplers(c: &mut Criterion) {
    for kernel in Kernel::available() {
        let (m, mut x) = (modulus(PRIME), limb(PRIME, DEGREE, 1));
        c.bench_function(&format!("{}/uniform", kernel.name()), |b| {
            b.iter(|| uniform_limb(kernel, m, &[1; 32], x.words_mut()));
        });
    }
    // These take the kernel that the environment chooses.
    let (mut generator, mut out) = (Generator::from_seed([1; 32]), vec![0; DEGREE]);
    let errors = ErrorDistribution::new(SIGMA);
    let kernel = Kernel::from_environment().expect("a kernel of this machine").name();
    c.bench_function(&format!("{kernel}/gaussian"), |b| b.iter(|| errors.fill(&mut generator, &mut out)));
    c.bench_function(&format!("{kernel}/ternary"), |b| b.iter(|| ternary(&mut generator, &mut out)));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(500));
    targets = transforms, sums_of_products, sums_of_a_transform, sums_of_integer_multiples, words, samplers
}
criterion_main!(benches);
