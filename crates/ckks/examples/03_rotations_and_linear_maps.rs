//! # 3. Rotations and linear maps
//!
//! Slots do not see each other, until a rotation moves them. This essay sums slots by rotating and adding,
//! and multiplies an encrypted vector by a matrix with far fewer rotations than the matrix has rows.

use blindsight_ckks::{
    Context, Evaluator, Extension, GiantOrder, GiantStep, KeyRequirements, Level, LinearTransform,
    MOST_REPEATS, ParametersLiteral, Randomness, Rescale, Scale, SecretKey, SeededEvaluationKeys, Term,
};
use blindsight_ring::Kernel;
use std::error::Error;

/// The matrix is of this many rows and columns, and the vector repeats with this period over all slots.
const SIZE: usize = 16;

/// Runs the essay.
pub fn main() -> Result<(), Box<dyn Error>> {
    let literal = ParametersLiteral {
        degree: 8192,
        moduli: vec![268369921, 67043329, 67239937, 66813953, 67502081, 66551809],
        special: vec![268271617, 268238849],
        digit_limbs: 2,
    };
    let context = Context::new(literal.validate()?, Kernel::from_environment()?)?;
    let (slots, scale, level) = (context.parameters().slots(), Scale::bits(26.0), Level(1));

    // A rotation by k moves slot j + k to slot j. Each k needs a key of its own, which is large: a circuit
    // asks for just those it uses. Here these are 1, 2, 3 (baby steps), 4, 8, 12 (giant steps), which also
    // serve the sum of sixteen slots.
    let mut requirements = KeyRequirements::default();
    [1, 2, 3, 4, 8, 12].iter().for_each(|&steps| requirements.rotate_at(steps, level));
    let mut randomness = Randomness::from_system()?;
    let secret = SecretKey::generate(&context, &mut randomness);
    let keys = SeededEvaluationKeys::generate(&context, &secret, &requirements, &mut randomness, |_| ())?;
    let keys = keys.expand(&context);
    println!("{} keys, {:.1} MB in memory", requirements.rotations.len(), keys.bytes() as f64 / 1e6);
    let evaluator = Evaluator::new(&context, &keys);

    let x: Vec<f64> = (0..slots).map(|j| ((j % SIZE) as f64).cos()).collect();
    let a = secret.encrypt(&context, &x, level, scale, &mut randomness)?.expand(context.basis(level));

    // One rotation. The expensive part is to take the ciphertext apart into digits; several rotations of one
    // ciphertext share that ("hoisting"), and hoisted_rotations returns the same bits that single rotations
    // would.
    let rotated = evaluator.rotate(&a, 3)?;
    assert_near(&secret.decrypt(&context, &rotated), |j| x[(j + 3) % slots]);
    let hoisted = evaluator.hoisted_rotations(&a, &[1, 2, 3])?;
    assert_eq!(hoisted[2], rotated);

    // Rotate-and-sum adds slots: each stage adds rotations of the running sum to it. Stages of one rotation
    // double (1, 2, 4, 8 for sixteen slots: four decompositions); stages of three quadruple with hoisted
    // rotations (two decompositions, six rotations). Both sum the same.
    let doubling = evaluator.rotate_and_sum(a.clone(), &[vec![1], vec![2], vec![4], vec![8]], Rescale::No)?;
    let quadrupling = evaluator.rotate_and_sum(a.clone(), &[vec![1, 2, 3], vec![4, 8, 12]], Rescale::No)?;
    let total: f64 = x[..SIZE].iter().sum();
    for summed in [doubling, quadrupling] {
        assert_near(&secret.decrypt(&context, &summed), |_| total);
    }

    // A matrix times a vector, by diagonals: diagonal d has the elements M[j][j + d], and M x is the sum over
    // d of diagonal d times x rotated by d. Sixteen diagonals would be fifteen rotations. Baby steps b and
    // giant steps g with d = g + b need six:
    //
    //     M x = sum over g of rotate_g(sum over b of (diagonal g + b, rotated back by g) * rotate_b(x))
    //
    // The inner sums are taken before the division that ends a key-switch, modulo the special primes too, so
    // their factors are encoded with those ("extended"). At q_1 as the factors' scale, the rescale restores
    // the scale of the input exactly.
    let matrix = |row: usize, column: usize| ((row * SIZE + column) as f64 * 0.37).sin();
    let factor_scale = Scale(context.parameters().modulus(level));
    let factor = |d: usize| {
        let (giant_step, baby_step) = (d / 4 * 4, d % 4);
        let row = |slot: usize| (slot + slots - giant_step) % SIZE;
        let diagonal: Vec<f64> =
            (0..slots).map(|slot| matrix(row(slot), (row(slot) + giant_step + baby_step) % SIZE)).collect();
        context.encode_factor(&diagonal, level, factor_scale, Extension::Extended)
    };
    let repeats = MOST_REPEATS.min(slots / SIZE);
    let terms = [0, 1, 2, 3].map(|baby_step| Term { input: 0, baby_step, repeats });
    let shapes = [0, 4, 8, 12].map(|rotation| (rotation, terms.to_vec()));
    let giant_steps = GiantStep::together(&shapes, |giant_step, term| factor(4 * giant_step + term))?;
    let map = LinearTransform { giant_steps: giant_steps.iter().collect(), order: GiantOrder::Apart };

    // The whole map ends with one division: the mod-down of the last key-switch and the rescale are one.
    let product = evaluator.transform(&[&a], &map, Rescale::Yes)?;
    assert_eq!((product.level(), product.scale()), (Level(0), scale));
    let row = |j: usize| (0..SIZE).map(|column| matrix(j % SIZE, column) * x[column]).sum();
    assert_near(&secret.decrypt(&context, &product), row);

    // A key that was not asked for is named.
    println!("{}", evaluator.rotate(&a, 5).unwrap_err());
    Ok(())
}

fn assert_near(slots: &[f64], expected: impl Fn(usize) -> f64) {
    let largest = slots.iter().enumerate().fold(0.0, |m: f64, (j, x)| m.max((x - expected(j)).abs()));
    println!("largest error: {largest:.2e}");
    assert!(largest < 5e-3);
}
