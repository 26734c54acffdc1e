//! Every vector kernel against the scalar one, bit for bit.

mod common;

use blindsight_ring::kernels::{self, KERNEL_VARIABLE, LINE, Pair, Run, WovenSum};
use blindsight_ring::{Automorphism, IntegerRows, Kernel, Modulus, NttTable, primes};
use common::Words;
use proptest::collection;
use proptest::prelude::*;

/// Primes of all sizes at a degree; around powers of two, so the least and the largest possible ones are
/// among them.
fn some_primes(degree: usize) -> Vec<u32> {
    let near = |bits: u32| {
        let (centre, reach) = (1u64 << bits, 400 * degree as u64);
        primes::search(degree, centre, centre.saturating_sub(reach), centre + reach).into_iter().take(3)
    };
    let mut found: Vec<u32> = (17..=30).flat_map(near).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn vector_kernels() -> impl Iterator<Item = Kernel> {
    Kernel::available().into_iter().filter(|&k| k != Kernel::Scalar)
}

/// A prime of 17 to 30 bits and a degree.
fn prime_and_degree() -> impl Strategy<Value = (Modulus, usize)> {
    (4u32..=12).prop_flat_map(|log_degree| {
        let primes = some_primes(1 << log_degree);
        (0..primes.len()).prop_map(move |i| (Modulus::new(primes[i].into()).unwrap(), 1 << log_degree))
    })
}

/// Rows over 40 inputs, alike or not, with weights of all sizes and signs, or with none beyond a bound: that
/// of 16 bits, of what is multiplied by halves of words, or of what is summed longest.
fn sparse_matrix() -> impl Strategy<Value = Vec<Vec<(u32, i32)>>> {
    let any_weight = prop_oneof![-8i32..8, -20_000i32..20_000, Just(i32::MIN), Just(i32::MAX), any::<i32>()];
    let bounded = prop_oneof![Just(1 << 15), Just(8192), Just(8191), Just(1000), Just(3), Just(1), Just(0)];
    let bounded = bounded
        .prop_flat_map(|most: i32| rows_with(prop_oneof![Just(most), Just(-most), -most..=most].boxed()));
    prop_oneof![rows_with(any_weight.boxed()), bounded]
}

/// Rows over 40 inputs, alike or not, with such weights.
fn rows_with(weight: BoxedStrategy<i32>) -> impl Strategy<Value = Vec<Vec<(u32, i32)>>> {
    let list = prop::collection::btree_set(0u32..40, 0..40);
    prop::collection::vec((list, 1usize..8, prop::collection::vec(weight, 40 * 8)), 1..4).prop_map(|groups| {
        let rows = groups.into_iter().flat_map(|(list, rows, weights)| {
            let row = move |r: usize| list.iter().map(|&i| (i, weights[i as usize * 8 + r])).collect();
            (0..rows).map(row).collect::<Vec<Vec<(u32, i32)>>>()
        });
        rows.collect()
    })
}

/// What `f` makes of a copy of `words` with each kernel equals what it makes with the scalar one.
fn assert_equal_to_scalar<const OUT: usize>(outputs: [&[u32]; OUT], f: impl Fn(Kernel, [&mut [u32]; OUT])) {
    let run = |kernel| {
        let mut outputs = outputs.map(<[u32]>::to_vec);
        f(kernel, outputs.each_mut().map(Vec::as_mut_slice));
        outputs
    };
    let expected = run(Kernel::Scalar);
    for kernel in vector_kernels() {
        assert!(run(kernel) == expected, "{} differs from scalar", kernel.name());
    }
}

#[test]
fn transforms_at_all_degrees_and_sizes_of_primes() {
    let mut words = Words(1);
    for log_degree in 4..=15 {
        let degree = 1 << log_degree;
        for q in some_primes(degree) {
            let table = NttTable::new(Modulus::new(q.into()).unwrap(), degree).unwrap();
            for edge in 0..5 {
                let a = words.edge_residues(q, degree, edge);
                assert_equal_to_scalar([&a], |kernel, [a]| kernels::ntt_forward(kernel, &table, a));
                assert_equal_to_scalar([&a], |kernel, [a]| kernels::ntt_inverse(kernel, &table, a));
            }
        }
    }
}

/// Inputs that make as many sums as possible as large as possible: the images of extreme values under the
/// inverse maps.
#[test]
fn transforms_of_images_of_extremes() {
    for degree in [256, 1024, 8192] {
        for q in some_primes(degree) {
            let table = NttTable::new(Modulus::new(q.into()).unwrap(), degree).unwrap();
            for seed in 0..4 {
                let mut a = Words(seed).edge_residues(q, degree, 2);
                kernels::ntt_inverse(Kernel::Scalar, &table, &mut a);
                assert_equal_to_scalar([&a], |kernel, [a]| kernels::ntt_forward(kernel, &table, a));
                let mut a = Words(seed).edge_residues(q, degree, 2);
                kernels::ntt_forward(Kernel::Scalar, &table, &mut a);
                assert_equal_to_scalar([&a], |kernel, [a]| kernels::ntt_inverse(kernel, &table, a));
            }
        }
    }
}

/// A sum of products, woven and with all the words of its terms.
struct Sum {
    left: Vec<u32>,
    runs: Vec<Run>,
    shared: Vec<u32>,
    stride: usize,
    full: Vec<Vec<u32>>,
}

impl Sum {
    /// Of so many runs: of a few terms, or of more than are summed unreduced with the largest primes.
    fn random(words: &mut Words, m: Modulus, degree: usize, count: usize) -> Self {
        let random = words.residues(u32::MAX, 16 * (count + 1));
        let runs: Vec<Run> = (0..count)
            .map(|k| Run {
                terms: 1 + random[k] as usize % [3, 60][k % 2],
                repeats: 1 << ((random[k] >> 8) % 5),
            })
            .collect();
        let repeats: Vec<usize> = runs.iter().flat_map(|run| vec![run.repeats; run.terms]).collect();
        let left = (0..repeats.len() as u32).map(|k| (random[count] ^ k) % 7).collect();
        let stride = repeats.iter().map(|repeats| LINE / repeats).sum::<usize>() + random[count] as usize % 5;
        let edge = 1 + random[count] as usize % 3;
        let shared = words.edge_residues(m.value(), (degree / LINE * stride).max(1), edge);
        let full = |k: usize| {
            let before: usize = repeats[..k].iter().map(|repeats| LINE / repeats).sum();
            (0..degree).map(|j| shared[j / LINE * stride + before + j % LINE / repeats[k]]).collect()
        };
        let full = (0..repeats.len()).map(full).collect();
        Self { left, runs, shared, stride, full }
    }

    fn woven<'a>(&'a self, out: &'a mut [Vec<u32>; 2]) -> WovenSum<'a> {
        let out = out.each_mut().map(Vec::as_mut_slice);
        WovenSum { left: &self.left, runs: &self.runs, shared: &self.shared, stride: self.stride, out }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn word_by_word((m, degree) in prime_and_degree(), seed: u64, edges in [0usize..5, 0usize..5], w: u32) {
        let (mut words, q) = (Words(seed), m.value());
        let (a, b) = (words.edge_residues(q, degree, edges[0]), words.edge_residues(q, degree, edges[1]));
        for w in [w % q, 0, 1, q / 2, q / 2 + 1, q - 1].map(|w| m.scalar(w)) {
            assert_equal_to_scalar([&a], |kernel, [a]| kernels::mul_scalar(kernel, m, a, w));
            assert_equal_to_scalar([&a], |kernel, [a]| kernels::add_mul_scalar(kernel, m, a, &b, w));
            assert_equal_to_scalar([&a], |kernel, [a]| kernels::sub_mul_scalar(kernel, m, a, &b, w));
        }
        assert_equal_to_scalar([&a], |kernel, [a]| kernels::add(kernel, m, a, &b));
        assert_equal_to_scalar([&a], |kernel, [a]| kernels::sub(kernel, m, a, &b));
        assert_equal_to_scalar([&a], |kernel, [a]| kernels::negate(kernel, m, a));
        assert_equal_to_scalar([&a], |kernel, [a]| kernels::mul(kernel, m, a, &b));
    }

    #[test]
    fn sums_of_products((m, degree) in prime_and_degree(), seed: u64, count in 0usize..40, edge in 0usize..5) {
        let mut words = Words(seed);
        let limbs: Vec<_> = (0..3 * count.max(2)).map(|_| words.edge_residues(m.value(), degree, edge)).collect();
        let terms: Vec<_> =
            limbs.chunks(3).take(count).map(|l| Pair { left: [&l[0], &l[1]], shared: &l[2] }).collect();
        let garbage = vec![u32::MAX; degree];
        assert_equal_to_scalar([&garbage, &garbage], |kernel, out| kernels::dot_pair(kernel, m, &terms, out));
        assert_equal_to_scalar([&garbage; 3], |kernel, out| {
            kernels::tensor(kernel, m, [&limbs[0], &limbs[1]], [&limbs[2], &limbs[3]], out);
        });
    }

    /// What one shared word stands for is what as many equal ones are: in one term and in the next another
    /// number.
    #[test]
    fn sums_of_products_with_repeated_words((m, degree) in prime_and_degree(), seed: u64, count in 1usize..40) {
        let mut words = Words(seed);
        let limbs: Vec<Vec<u32>> = (0..3 * count).map(|_| words.residues(m.value(), degree)).collect();
        let repeats = |k: usize| degree.min(1 << ((seed as usize >> (3 * (k % 16))) % 8));
        let full: Vec<Vec<u32>> = (0..count)
            .map(|k| (0..degree).map(|j| limbs[3 * k + 2][j / repeats(k)]).collect())
            .collect();
        let left = |k: usize| [&limbs[3 * k][..], &limbs[3 * k + 1][..]];
        let wide: Vec<_> = (0..count).map(|k| Pair { left: left(k), shared: &full[k] }).collect();
        let compact = |k| Pair { left: left(k), shared: &limbs[3 * k + 2][..degree / repeats(k)] };
        let compact: Vec<_> = (0..count).map(compact).collect();
        for kernel in Kernel::available() {
            let dot = |terms: &[Pair<'_>]| {
                let mut out = [limbs[0].clone(), limbs[1].clone()];
                kernels::dot_pair(kernel, m, terms, out.each_mut().map(Vec::as_mut_slice));
                out
            };
            prop_assert_eq!(dot(&wide), dot(&compact));
        }
    }

    /// Woven or not, sums of products are the same: with some left sides each, runs of repeats, and further
    /// words between the lines of a sum.
    #[test]
    fn woven_sums_of_products((m, degree) in prime_and_degree(), seed: u64, counts in collection::vec(0usize..6, 0..5), edge in 0usize..5) {
        let mut words = Words(seed);
        let halves: Vec<Vec<u32>> = (0..2 * 7).map(|_| words.edge_residues(m.value(), degree, edge)).collect();
        let left: Vec<[&[u32]; 2]> = halves.chunks(2).map(|h| [&h[0][..], &h[1][..]]).collect();
        let sums: Vec<Sum> = counts.iter().map(|count| Sum::random(&mut words, m, degree, *count)).collect();
        for (kernel, add) in Kernel::available().into_iter().flat_map(|kernel| [(kernel, false), (kernel, true)]) {
            let mut outs: Vec<_> = sums.iter().map(|_| [halves[0].clone(), halves[1].clone()]).collect();
            let mut woven: Vec<_> = sums.iter().zip(&mut outs).map(|(sum, out)| sum.woven(out)).collect();
            kernels::dot_woven(kernel, m, &left, &mut woven, add);
            for (sum, out) in sums.iter().zip(&outs) {
                let full = |(term, shared): (&u32, &Vec<u32>)| (left[*term as usize], shared.clone());
                let full: Vec<_> = sum.left.iter().zip(&sum.full).map(full).collect();
                let terms: Vec<_> = full.iter().map(|(left, shared)| Pair { left: *left, shared }).collect();
                let mut expected = [vec![0; degree], vec![0; degree]];
                kernels::dot_pair(Kernel::Scalar, m, &terms, expected.each_mut().map(Vec::as_mut_slice));
                if add {
                    expected.iter_mut().zip(&halves).for_each(|(e, h)| kernels::add(Kernel::Scalar, m, e, h));
                }
                prop_assert_eq!(&expected, out);
            }
        }
    }

    /// Coefficients at multiples of a power of two: neighbouring leaves hold the same, and the subring's hold
    /// it once.
    #[test]
    fn subrings_repeat_leaves((m, degree) in prime_and_degree(), seed: u64, log in 1usize..8) {
        let table = NttTable::new(m, degree).unwrap();
        let repeats = 1 << log;
        let Ok(subring) = table.subring(repeats) else { return Ok(()) };
        let small = Words(seed).residues(m.value(), degree / repeats);
        let mut large = vec![0; degree];
        small.iter().enumerate().for_each(|(j, x)| large[j * repeats] = *x);
        for kernel in Kernel::available() {
            let (mut small, mut large) = (small.clone(), large.clone());
            kernels::ntt_forward(kernel, &table, &mut large);
            kernels::ntt_forward(kernel, &subring, &mut small);
            prop_assert!(large.iter().enumerate().all(|(j, x)| *x == small[j / repeats]));
        }
    }

    #[test]
    fn sums_of_integer_multiples(
        (m, _) in prime_and_degree(), seed: u64, matrix in sparse_matrix(), edge in 0usize..5, blocks in 1usize..4,
    ) {
        let (mut words, width) = (Words(seed), 32 * blocks);
        let (inputs, constant_words) = (40, 32 * (seed as usize % (blocks + 1)));
        let x = words.edge_residues(m.value(), inputs * width, edge);
        let constants = words.residues(m.value(), matrix.len());
        let parts = IntegerRows::blocks(&matrix);
        let run = |kernel, out: &mut [u32]| for part in &parts {
            let constants: Vec<u32> = part.rows().iter().map(|&r| constants[r as usize]).collect();
            kernels::sum_rows(kernel, m, part, (&constants, constant_words), &x, out, width);
        };
        assert_equal_to_scalar([&vec![u32::MAX; matrix.len() * width]], |kernel, [out]| run(kernel, out));
        let mut out = vec![u32::MAX; matrix.len() * width];
        run(Kernel::Scalar, &mut out);
        for (j, &sum) in out.iter().enumerate() {
            let (row, at) = (j / width, j % width);
            let terms = matrix[row].iter().map(|&(i, w)| i128::from(w) * i128::from(x[i as usize * width + at]));
            let constant = if at < constant_words { i128::from(constants[row]) } else { 0 };
            let expected = (constant + terms.sum::<i128>()).rem_euclid(m.value().into());
            prop_assert_eq!((i128::from(sum) << 32) % i128::from(m.value()), expected);
        }
    }

    #[test]
    fn permutations((m, degree) in prime_and_degree(), seed: u64, g in 0usize..1 << 20) {
        let mut words = Words(seed);
        let (a, b) = (words.residues(m.value(), degree), words.residues(m.value(), degree));
        let automorphism = Automorphism::new(degree, 1 + 4 * g);
        assert_equal_to_scalar([&b], |kernel, [b]| automorphism.apply(kernel, &a, b));
        assert_equal_to_scalar([&b], |kernel, [b]| automorphism.apply_add(kernel, m, &a, b));
    }

    #[test]
    fn conversions((m, degree) in prime_and_degree(), seed: u64, count in 1usize..=9, edge in 0usize..5) {
        let mut words = Words(seed);
        let sources = &primes::search(degree, 1 << 30, (1 << 30) - 2000 * degree as u64, 1 << 30)[..count];
        let digits: Vec<_> = sources.iter().map(|&q| words.edge_residues(q, degree, edge)).collect();
        let digits: Vec<&[u32]> = digits.iter().map(Vec::as_slice).collect();
        let inverses: Vec<f32> = sources.iter().map(|&q| 1.0 / q as f32).collect();
        let mut overflow = vec![0; degree];
        assert_equal_to_scalar([&overflow], |kernel, [o]| kernels::overflow(kernel, &digits, &inverses, o));
        kernels::overflow(Kernel::Scalar, &digits, &inverses, &mut overflow);
        let factors = words.edge_residues(m.value(), 16, edge);
        assert_equal_to_scalar([&vec![0; degree]], |kernel, [out]| {
            kernels::convert(kernel, m, &digits, &overflow, &factors[..=count], out);
        });
    }

    #[test]
    fn random_words((m, degree) in prime_and_degree(), seed: [u8; 32], stream: u64, block: u64) {
        for block in [0, block, u64::from(u32::MAX) - 3, u64::MAX - 5] {
            assert_equal_to_scalar([&[0; 1024]], |kernel, [out]| {
                kernels::keystream(kernel, &seed, stream, block, out);
            });
        }
        let mut words = [0; 1024];
        kernels::keystream(Kernel::Scalar, &seed, stream, block, &mut words);
        // The lower the end, the more words are rejected.
        for end in [m.value(), (u32::MAX / m.value()) * m.value()] {
            assert_equal_to_scalar([&vec![0; degree]], |kernel, [out]| {
                let filled = kernels::accept(kernel, m, &words, end, out);
                assert_eq!(filled, words.iter().filter(|&&w| w < end).count().min(degree));
            });
        }
    }

    #[test]
    fn gaussian_samples(seed: u64, count in 1usize..300, thresholds in prop::collection::vec(0u64..1 << 63, 0..40)) {
        let mut words = Words(seed);
        // Positions at, just below and just above thresholds among others.
        let word = |i: usize, random: u64| match thresholds.get(i / 4) {
            Some(t) if i % 4 < 3 => ((t + i as u64 % 4).saturating_sub(1) << 1) | (random & 1),
            _ => random,
        };
        let drawn: Vec<u64> = (0..count).map(|i| word(i, words.next())).collect();
        let sample = |kernel| {
            let mut out = vec![0; count];
            kernels::gaussian(kernel, &thresholds, &drawn, &mut out);
            out
        };
        for kernel in vector_kernels() {
            prop_assert_eq!(sample(kernel), sample(Kernel::Scalar));
        }
    }
}

#[test]
fn scalar_is_available_and_the_variable_chooses() {
    let available = Kernel::available();
    assert_eq!(available[0], Kernel::Scalar);
    assert_eq!(available.last(), Some(&Kernel::detect()));
    let chosen = Kernel::from_environment();
    match std::env::var(KERNEL_VARIABLE) {
        Ok(name) => assert_eq!(chosen.map(Kernel::name).ok(), Some(name.as_str())),
        Err(_) => assert_eq!(chosen, Ok(Kernel::detect())),
    }
}

#[test]
#[should_panic(expected = "slices of [32] words where 16 were expected")]
fn slices_of_other_lengths_are_refused() {
    let m = Modulus::new(67_043_329).unwrap();
    kernels::add(Kernel::detect(), m, &mut [0; 16], &[0; 32]);
}
