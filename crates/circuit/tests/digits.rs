//! What wide digits save, by the cost model and by the clock.

use blindsight_circuit::{CostModel, Tally};
use blindsight_ckks::{
    Context, Evaluator, KeyRequirements, Level, ParametersLiteral, Randomness, Scale, SecretKey,
    SeededEvaluationKeys,
};
use blindsight_ring::{Kernel, primes};
use std::time::Instant;

/// 28 primes of 26 bits, and special primes of 28 bits.
fn literal(degree: usize, digit_limbs: usize) -> ParametersLiteral {
    let moduli = primes::search(degree, 1 << 26, 1 << 25, 3 << 25)[..28].to_vec();
    let near = primes::search(degree, 1 << 28, 1 << 27, 3 << 27);
    let special = near[..digit_limbs.max(2)].to_vec();
    ParametersLiteral { degree, moduli, special, digit_limbs }
}

/// Microseconds that this thread has run, where the system tells: other programs do not count.
fn processor_time() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| BEGIN.elapsed().as_secs_f64() * 1e6, |ns| ns / 1e3)
}

static BEGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// The mean time of a rotation at a level, in microseconds.
fn measured(context: &Context, evaluator: &Evaluator<'_>, secret: &SecretKey, level: Level) -> f64 {
    let mut randomness = Randomness::from_test_seed(2);
    let a = secret.encrypt(context, &[0.5; 16], level, Scale::bits(26.0), &mut randomness).unwrap();
    let a = a.expand(context.basis(level));
    let rotate = || drop(std::hint::black_box(evaluator.rotate(&a, 3).unwrap()));
    (0..2).for_each(|_| rotate());
    // The system's count goes on in steps of some milliseconds.
    let (start, mut count) = (processor_time(), 0);
    loop {
        rotate();
        count += 1;
        let run = processor_time() - start;
        if run > 200_000.0 {
            return run / f64::from(count);
        }
    }
}

#[test]
#[ignore = "prints times"]
fn rotations_by_the_clock_and_by_the_cost_model() {
    let model = CostModel::default();
    for (degree, digit_limbs) in [1, 2, 3, 4, 6, 8].into_iter().flat_map(|d| [(8192, d), (32768, d)]) {
        let parameters = literal(degree, digit_limbs).validate_insecure().unwrap();
        let context = Context::new(parameters.clone(), Kernel::from_environment().unwrap()).unwrap();
        let mut randomness = Randomness::from_test_seed(1);
        let secret = SecretKey::generate(&context, &mut randomness);
        let mut requirements = KeyRequirements::default();
        requirements.rotate_at(3, parameters.max_level());
        let keys = SeededEvaluationKeys::generate(&context, &secret, &requirements, &mut randomness, |_| ());
        let keys = keys.unwrap().expand(&context);
        let evaluator = Evaluator::new(&context, &keys);
        for level in [27, 13, 5].map(Level) {
            let work = Tally::new(&parameters, level).rotate(3).work;
            let (predicted, clock) =
                (model.microseconds(&work, degree), measured(&context, &evaluator, &secret, level));
            let ratio = clock / predicted;
            println!(
                "{degree}, {digit_limbs} limbs, {level}: {clock:.0} us, predicted {predicted:.0} us, ratio {ratio:.2}; {work:?}"
            );
        }
    }
}
