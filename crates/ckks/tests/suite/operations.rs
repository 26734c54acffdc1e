//! Every homomorphic operation at every level: the right result, with the error that was predicted.

use crate::common::{Setup, assert_variance, giant_step, map_of, mean_square, random_slots, rotated};
use blindsight_ckks::{
    Encoding, Evaluator, Extension, GiantOrder, KeyRequirements, Level, Rescale, Scale, noise,
};

const N: usize = 2048;
const SCALE: f64 = 67_108_864.0;

fn requirements() -> KeyRequirements {
    let mut requirements = KeyRequirements::default();
    requirements.relinearise_at(Level(5));
    [1, 2, 3, 4, 8, 12, 16, 32, 48, 1024, N - 1].iter().for_each(|&k| requirements.rotate_at(k, Level(5)));
    requirements
}

fn setup() -> Setup {
    Setup::new(N, 2, &requirements(), 7)
}

fn levels() -> impl Iterator<Item = Level> {
    (0..=5).map(Level)
}

#[test]
fn fresh_ciphertexts_have_the_predicted_error() {
    let setup = setup();
    let parameters = setup.context.parameters();
    for level in levels() {
        let x = random_slots(N, 1);
        let ciphertext = setup.encrypt(&x, level, Scale(SCALE));
        assert_variance(setup.error_variance(&ciphertext, &x), noise::fresh(parameters), "fresh");
    }
}

#[test]
fn public_key_ciphertexts_have_the_predicted_error() {
    let setup = setup();
    let mut randomness = setup.randomness.borrow_mut();
    let public = blindsight_ckks::PublicKey::generate(&setup.context, &setup.secret, &mut randomness);
    for level in levels() {
        let x = random_slots(N, 2);
        let plain = setup.context.encode_summand(&x, Encoding::Slots, level, Scale(SCALE)).unwrap();
        let ciphertext = public.encrypt(&setup.context, &plain, &mut randomness);
        let predicted = noise::fresh_public(setup.context.parameters());
        assert_variance(setup.error_variance(&ciphertext, &x), predicted, "public");
    }
}

#[test]
fn sums_and_differences() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let parameters = setup.context.parameters();
    for level in levels() {
        let (x, y) = (random_slots(N, 3), random_slots(N, 4));
        let (a, b) = (setup.encrypt(&x, level, Scale(SCALE)), setup.encrypt(&y, level, Scale(SCALE)));
        let plain = setup.context.encode_summand(&y, Encoding::Slots, level, Scale(SCALE)).unwrap();
        let sum: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        let difference: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
        let two = 2.0 * noise::fresh(parameters);
        assert_variance(setup.error_variance(&evaluator.add(&a, &b).unwrap(), &sum), two, "sum");
        assert_variance(
            setup.error_variance(&evaluator.sub(&a, &b).unwrap(), &difference),
            two,
            "difference",
        );
        let one = noise::fresh(parameters) + noise::rounding(parameters);
        assert_variance(
            setup.error_variance(&evaluator.add_plain(a, &plain).unwrap(), &sum),
            one,
            "plain sum",
        );
    }
}

#[test]
fn plaintext_products() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let parameters = setup.context.parameters();
    for level in levels().skip(1) {
        let (x, w) = (random_slots(N, 5), random_slots(N, 6));
        let product: Vec<f64> = x.iter().zip(&w).map(|(x, w)| x * w).collect();
        let (ms_x, ms_w) = (mean_square(x.iter().copied()), mean_square(w.iter().copied()));
        let a = setup.encrypt(&x, level, Scale(SCALE));
        let factor = setup.context.encode_factor(&w, level, Scale(SCALE / 2.0), Extension::Plain).unwrap();
        let operand = (noise::fresh(parameters), ms_x, Scale(SCALE));
        let predicted = noise::plain_product(parameters, operand, (ms_w, Scale(SCALE / 2.0)));
        let result = evaluator.multiply_plain(&a, &factor, Rescale::No).unwrap();
        assert_variance(setup.error_variance(&result, &product), predicted, "plain product");
        let q = parameters.modulus(level);
        let result = evaluator.multiply_plain(&a, &factor, Rescale::Yes).unwrap();
        assert_eq!(result.level(), Level(level.0 - 1));
        let predicted = predicted / q / q + noise::division(parameters);
        assert_variance(setup.error_variance(&result, &product), predicted, "rescaled plain product");
    }
}

#[test]
fn scalar_products() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    for level in levels().skip(1) {
        let x = random_slots(N, 7);
        let a = setup.encrypt(&x, level, Scale(SCALE));
        let product = evaluator.multiply_scalar(&a, -0.375, Scale(64.0)).unwrap();
        let expected: Vec<f64> = x.iter().map(|x| x * -0.375).collect();
        let predicted = noise::fresh(setup.context.parameters()) * 24.0 * 24.0;
        assert_variance(setup.error_variance(&product, &expected), predicted, "scalar product");
    }
}

#[test]
fn dot_products_sum_their_errors() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let parameters = setup.context.parameters();
    for level in levels().skip(1) {
        let xs: Vec<_> = (0..25).map(|i| random_slots(N, 100 + i)).collect();
        let ws: Vec<_> = (0..25).map(|i| random_slots(N, 200 + i)).collect();
        let cs: Vec<_> = xs.iter().map(|x| setup.encrypt(x, level, Scale(SCALE))).collect();
        let factor = |w: &Vec<f64>| {
            setup.context.encode_factor(w, level, Scale(SCALE / 64.0), Extension::Plain).unwrap()
        };
        let ps: Vec<_> = ws.iter().map(factor).collect();
        let dot = evaluator.dot(&cs.iter().zip(&ps).collect::<Vec<_>>(), Rescale::No).unwrap();
        let expected: Vec<f64> = (0..N).map(|j| xs.iter().zip(&ws).map(|(x, w)| x[j] * w[j]).sum()).collect();
        let third = 1.0 / 3.0;
        let operand = (noise::fresh(parameters), third, Scale(SCALE));
        let predicted = 25.0 * noise::plain_product(parameters, operand, (third, Scale(SCALE / 64.0)));
        assert_variance(setup.error_variance(&dot, &expected), predicted, "dot");
    }
}

#[test]
fn products_and_squares() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let parameters = setup.context.parameters();
    for level in levels().skip(1) {
        for rescale in [Rescale::No, Rescale::Yes] {
            let (x, y) = (random_slots(N, 8), random_slots(N, 9));
            // Without a rescale the key-switch's error shows only beside small scales.
            let scale = if rescale == Rescale::Yes { SCALE } else { 16.0 };
            let (a, b) = (setup.encrypt(&x, level, Scale(scale)), setup.encrypt(&y, level, Scale(scale)));
            let third = 1.0 / 3.0;
            let operand = (noise::fresh(parameters), third, Scale(scale));
            let q = if rescale == Rescale::Yes { parameters.modulus(level) } else { 1.0 };
            let switch = noise::key_product(parameters, level) / q / q + noise::division(parameters);
            let product: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x * y).collect();
            let predicted = noise::product(operand, operand) / q / q + switch;
            let result = evaluator.multiply(&a, &b, rescale).unwrap();
            assert_variance(setup.error_variance(&result, &product), predicted, "product");
            let square: Vec<f64> = x.iter().map(|x| x * x).collect();
            let predicted = noise::square(operand) / q / q + switch;
            let result = evaluator.square(&a, rescale).unwrap();
            assert_variance(setup.error_variance(&result, &square), predicted, "square");
        }
    }
}

#[test]
fn rotations_plain_and_hoisted() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let parameters = setup.context.parameters();
    for level in levels() {
        let x = random_slots(N, 10);
        let a = setup.encrypt(&x, level, Scale(SCALE));
        let predicted = noise::fresh(parameters) + noise::key_switch(parameters, level);
        let steps = [0, 1, 3, 1024, N - 1];
        let hoisted = evaluator.hoisted_rotations(&a, &steps).unwrap();
        for (&k, hoisted) in steps.iter().zip(&hoisted) {
            let expected = rotated(&x, k);
            let predicted = if k == 0 { noise::fresh(parameters) } else { predicted };
            assert_variance(setup.error_variance(hoisted, &expected), predicted, "hoisted rotation");
            assert_eq!(&evaluator.rotate(&a, k).unwrap(), hoisted, "hoisting changes no bit");
        }
    }
}

#[test]
fn transforms_with_every_split() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let parameters = setup.context.parameters();
    for level in levels().skip(1) {
        let extensions = [Extension::Extended, Extension::Plain];
        let splits = [(4, 4), (1, 4), (4, 1)].into_iter().flat_map(|split| extensions.map(|e| (split, e)));
        for ((baby_steps, giant_steps), extension) in splits {
            let x = random_slots(N, 11);
            let diagonal = |d: usize| random_slots(N, 300 + d as u64);
            let scale = Scale(SCALE / 4.0);
            let factor = |(g, b)| {
                let shifted = rotated(&diagonal(4 * g + b), N - 4 * g);
                setup.context.encode_factor(&shifted, level, scale, extension).unwrap()
            };
            let giant_step = |g| {
                let terms: Vec<_> = (0..baby_steps).map(|b| (0, b, factor((g, b)))).collect();
                giant_step(4 * g, &terms)
            };
            let steps: Vec<_> = (0..giant_steps).map(giant_step).collect();
            let mut expected = vec![0.0; N];
            for (g, b) in (0..giant_steps).flat_map(|g| (0..baby_steps).map(move |b| (g, b))) {
                let (d, v) = (diagonal(4 * g + b), rotated(&x, 4 * g + b));
                expected.iter_mut().zip(d.iter().zip(&v)).for_each(|(e, (d, v))| *e += d * v);
            }
            let a = setup.encrypt(&x, level, Scale(SCALE));
            let third = 1.0 / 3.0;
            let terms = (baby_steps * giant_steps) as f64;
            let product = |v| noise::plain_product(parameters, (v, third, Scale(SCALE)), (third, scale));
            let rotated_babies = ((baby_steps - 1) * giant_steps) as f64;
            let baby_step = match extension {
                // Baby products are added before the mod-down: no rounding there.
                Extension::Extended => noise::key_product(parameters, level),
                Extension::Plain => noise::key_switch(parameters, level),
            };
            let switched = baby_step * third * scale.0 * scale.0;
            let of_giant_steps = (giant_steps - 1) as f64 * noise::key_switch(parameters, level);
            let sum = terms * product(noise::fresh(parameters)) + rotated_babies * switched + of_giant_steps;
            let q = parameters.modulus(level);
            let predicted = sum / q / q + noise::division(parameters);
            for order in [GiantOrder::Apart, GiantOrder::Chained] {
                let map = map_of(&steps, order);
                let result = evaluator.transform(&[&a], &map, Rescale::Yes).unwrap();
                assert_variance(setup.error_variance(&result, &expected), predicted, "transform");
                let result = evaluator.transform(&[&a], &map, Rescale::No).unwrap();
                let predicted = sum + noise::division(parameters);
                assert_variance(setup.error_variance(&result, &expected), predicted, "transform");
            }
        }
    }
}

#[test]
fn folds_of_every_radix_agree() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let parameters = setup.context.parameters();
    for level in levels().skip(2) {
        let x = random_slots(N, 12);
        let expected: Vec<f64> =
            (0..N).map(|j| [0, 16, 32, 48].iter().map(|k| x[(j + k) % N]).sum()).collect();
        let product = noise::key_product(parameters, level);
        for stages in [vec![vec![16], vec![32]], vec![vec![32], vec![16]], vec![vec![16, 32, 48]]] {
            for rescale in [Rescale::No, Rescale::Yes] {
                let a = setup.encrypt(&x, level, Scale(SCALE * 1024.0));
                let q = if rescale == Rescale::Yes { parameters.modulus(level) } else { 1.0 };
                let grow =
                    |v: f64, stage: &Vec<usize>| (stage.len() + 1) as f64 * v + stage.len() as f64 * product;
                let (last, before) = stages.split_last().unwrap();
                let summed = before
                    .iter()
                    .fold(noise::fresh(parameters), |v, stage| grow(v, stage) + noise::division(parameters));
                let predicted = grow(summed, last) / q / q + noise::division(parameters);
                let result = evaluator.rotate_and_sum(a, &stages, rescale).unwrap();
                assert_variance(setup.error_variance(&result, &expected), predicted, "rotate and sum");
            }
        }
    }
}

#[test]
fn replies_decrypt_to_their_coefficients() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let x = random_slots(N, 13);
    let coefficients = setup.context.slots_to_coefficients(&x).unwrap();
    let a = setup.encrypt(&x, Level(0), Scale(SCALE));
    let indices = [1, 2, 77, N - 1];
    let reply = evaluator.reply(&a, &indices).unwrap();
    let decrypted = setup.secret.decrypt_reply(&setup.context, &reply, &indices);
    for (&i, value) in indices.iter().zip(decrypted) {
        assert!((value - coefficients[i]).abs() < 20.0 / SCALE, "coefficient {i}");
    }
}
