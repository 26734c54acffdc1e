//! Homomorphic operations at the shipped parameters (N = 8192, six primes, two special ones), on one thread.

use blindsight_ckks::{
    Ciphertext, Context, Error, Evaluator, Extension, GiantOrder, GiantStep, KeyRequirements, Level,
    LinearTransform, ParametersLiteral, PlainFactor, Randomness, Rescale, Scale, SecretKey,
    SeededEvaluationKeys, Term,
};
use blindsight_ring::Kernel;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;

const SCALE: Scale = Scale(67_108_864.0);

struct Bench {
    context: Arc<Context>,
    secret: SecretKey,
    keys: blindsight_ckks::EvaluationKeys,
    randomness: Randomness,
}

impl Bench {
    fn new() -> Self {
        let literal = ParametersLiteral {
            degree: 8192,
            moduli: vec![268369921, 67043329, 67239937, 66813953, 67502081, 66551809],
            special: vec![268271617, 268238849],
            digit_limbs: 2,
        };
        let context = Context::new(literal.validate().unwrap(), Kernel::from_environment().unwrap()).unwrap();
        let mut randomness = Randomness::from_system().unwrap();
        let secret = SecretKey::generate(&context, &mut randomness);
        let mut requirements = KeyRequirements::default();
        requirements.relinearise_at(Level(5));
        (1..16).for_each(|k| requirements.rotate_at(k, Level(5)));
        let keys = SeededEvaluationKeys::generate(&context, &secret, &requirements, &mut randomness, |_| ());
        Self { keys: keys.unwrap().expand(&context), context, secret, randomness }
    }

    fn ciphertext(&mut self, level: Level) -> Ciphertext {
        let slots: Vec<f64> = (0..8192).map(|i| f64::from(i).sin()).collect();
        let seeded = self.secret.encrypt(&self.context, &slots, level, SCALE, &mut self.randomness).unwrap();
        seeded.expand(self.context.basis(level))
    }

    fn factor(&self, level: Level, extension: Extension) -> PlainFactor {
        self.repeating(1, level, extension)
    }

    fn repeating(&self, repeats: i32, level: Level, extension: Extension) -> PlainFactor {
        let slots: Vec<f64> = (0..8192).map(|i| f64::from(i % (8192 / repeats)).cos()).collect();
        self.context.encode_factor(&slots, level, SCALE, extension).unwrap()
    }
}

fn rotations(c: &mut Criterion) {
    let mut bench = Bench::new();
    let a = bench.ciphertext(Level(5));
    let evaluator = Evaluator::new(&bench.context, &bench.keys);
    let steps: Vec<usize> = (1..16).collect();
    c.bench_function("rotation, 6 limbs", |b| b.iter(|| evaluator.rotate(black_box(&a), 1).unwrap()));
    c.bench_function("15 hoisted rotations, 6 limbs", |b| {
        b.iter(|| evaluator.hoisted_rotations(black_box(&a), &steps).unwrap());
    });
    c.bench_function("rotate and sum by 1 rotation, 6 limbs", |b| {
        b.iter(|| evaluator.rotate_and_sum(black_box(&a).clone(), &[vec![1]], Rescale::No).unwrap());
    });
    c.bench_function("rotate and sum by 15 rotations left in QP, 6 limbs", |b| {
        b.iter(|| {
            evaluator
                .rotate_and_sum(black_box(&a).clone(), std::slice::from_ref(&steps), Rescale::No)
                .unwrap()
        });
    });
}

fn products(c: &mut Criterion) {
    let mut bench = Bench::new();
    let inputs: Vec<_> = (0..25).map(|_| bench.ciphertext(Level(5))).collect();
    let factors: Vec<_> = (0..25).map(|_| bench.factor(Level(5), Extension::Plain)).collect();
    let terms: Vec<_> = inputs.iter().zip(&factors).collect();
    let evaluator = Evaluator::new(&bench.context, &bench.keys);
    c.bench_function("dot product of 25 terms and rescale, 6 limbs", |b| {
        b.iter(|| evaluator.dot(black_box(&terms), Rescale::Yes).unwrap());
    });
    let a = evaluator.drop_level(inputs[0].clone(), Level(4)).unwrap();
    c.bench_function("square and rescale, 5 limbs", |b| {
        b.iter(|| evaluator.square(black_box(&a), Rescale::Yes).unwrap());
    });
    let a = evaluator.drop_level(inputs[0].clone(), Level(3)).unwrap();
    for baby_steps in [4, 8, 16] {
        let terms: Vec<_> = (0..baby_steps).map(|b| Term { input: 0, baby_step: b, repeats: 1 }).collect();
        let factor = |_, _| Ok::<_, Error>(bench.factor(Level(3), Extension::Extended));
        let shapes: Vec<_> = (0..16 / baby_steps).map(|g| (g * baby_steps, terms.clone())).collect();
        let giant_steps = GiantStep::together(&shapes, factor).unwrap();
        let map = LinearTransform { giant_steps: giant_steps.iter().collect(), order: GiantOrder::Apart };
        c.bench_function(
            &format!("transform of 16 diagonals, {baby_steps} baby steps, and rescale, 4 limbs"),
            |b| {
                b.iter(|| evaluator.transform(&[black_box(&a)], &map, Rescale::Yes).unwrap());
            },
        );
    }
}

/// Products with factors that fill more than the caches, in full and compact.
fn repeats(c: &mut Criterion) {
    let mut bench = Bench::new();
    let a = bench.ciphertext(Level(5));
    let evaluator = Evaluator::new(&bench.context, &bench.keys);
    for repeats in [1, 2, 4, 8, 16] {
        for count in [16usize, 1024] {
            let factors: Vec<_> =
                (0..count).map(|_| bench.repeating(repeats, Level(5), Extension::Plain)).collect();
            let terms: Vec<_> = factors.iter().map(|factor| (&a, factor)).collect();
            c.bench_function(&format!("dot product of {count} terms, {repeats} repeats, 6 limbs"), |b| {
                b.iter(|| evaluator.dot(black_box(&terms), Rescale::No).unwrap());
            });
            let term = |baby_step| Term { input: 0, baby_step, repeats: repeats as usize };
            let shape: Vec<_> = (0..16).map(term).collect();
            let factor = |g: usize, k: usize| Ok::<_, Error>(factors[16 * g + k].clone());
            let giant_steps = GiantStep::together(&vec![(0, shape); count / 16], factor).unwrap();
            let map = LinearTransform { giant_steps: giant_steps.iter().collect(), order: GiantOrder::Apart };
            c.bench_function(&format!("transform of {count} terms, {repeats} repeats, 6 limbs"), |b| {
                b.iter(|| evaluator.transform(&[black_box(&a)], &map, Rescale::No).unwrap());
            });
        }
        let slots: Vec<f64> = (0..8192).map(|i| f64::from(i % (8192 / repeats)).cos()).collect();
        c.bench_function(&format!("encode a factor, {repeats} repeats, 6 limbs"), |b| {
            b.iter(|| {
                bench.context.encode_factor(black_box(&slots), Level(5), SCALE, Extension::Plain).unwrap()
            });
        });
    }
}

fn encryption(c: &mut Criterion) {
    let mut bench = Bench::new();
    let slots: Vec<Vec<f64>> = (0..25).map(|k| (0..8192).map(|i| f64::from(i * k).sin()).collect()).collect();
    c.bench_function("encrypt 25 ciphertexts, 6 limbs", |b| {
        b.iter(|| {
            bench.secret.encrypt_all(&bench.context, &slots, Level(5), SCALE, &mut bench.randomness).unwrap()
        });
    });
    let a = bench.ciphertext(Level(0));
    let indices: Vec<usize> = (1..16).collect();
    let evaluator = Evaluator::new(&bench.context, &bench.keys);
    let reply = evaluator.reply(&a, &indices).unwrap();
    c.bench_function("decrypt a reply", |b| {
        b.iter(|| bench.secret.decrypt_reply(&bench.context, black_box(&reply), &indices));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = rotations, products, repeats, encryption
}
criterion_main!(benches);
