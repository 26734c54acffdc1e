use super::*;
use blindsight_network::{Dense, Padding};

use crate::batch::apply;

fn batch(shape: Shape, images: usize, seed: u64) -> Batch {
    let count = images * shape.elements();
    Batch { shape, values: (0..count).map(|i| (share(seed, i as u64) - 0.5) as f32).collect() }
}

fn numbers(seed: u64, count: usize) -> Vec<f64> {
    (0..count).map(|i| share(seed, i as u64) - 0.5).collect()
}

/// How far a layer is off the target, on the images to judge on.
fn error(operator: &Operator, input: &Batch, target: &Batch, from: usize) -> f64 {
    let output = apply(operator, &[input], target.shape);
    let first = from * target.shape.elements();
    let pairs = output.values[first..].iter().zip(&target.values[first..]);
    pairs.map(|(o, t)| f64::from(o - t).powi(2)).sum()
}

fn convolution(groups: usize, seed: u64) -> Operator {
    Operator::Convolution(Convolution {
        input_channels: 4,
        output_channels: 6,
        groups,
        kernel: [3, 2],
        stride: [1, 2],
        dilation: [1, 1],
        padding: Padding::uniform(1),
        weights: numbers(seed, 6 * 4 / groups * 6),
        bias: Bias::PerChannel(numbers(seed + 1, 6)),
    })
}

fn dense(rows: usize, columns: usize, seed: u64) -> Operator {
    let (weights, bias) = (numbers(seed, rows * columns), numbers(seed + 1, rows));
    Operator::Dense(Dense { rows, columns, weights, bias })
}

/// A layer whose target another one of its form computes becomes that one.
#[test]
fn weights_are_found_where_there_are_some() {
    let image = Shape::new(4, 6, 6);
    let cases = [
        (convolution(1, 1), convolution(1, 5), image, 200),
        (convolution(2, 1), convolution(2, 5), image, 200),
        (dense(5, 20, 1), dense(5, 20, 5), Shape::vector(20), 200),
    ];
    for (start, goal, shape, images) in cases {
        let input = batch(shape, images, 9);
        let to = start.output_shape("layer", &[shape]).expect("sound");
        let [output, target] = [&start, &goal].map(|operator| apply(operator, &[&input], to));
        let observed = Observed { input: &input, output: &output, target: &target, calibration: 160, images };
        let found = corrected(&start, &observed);
        let before = error(&start, &input, &target, 160);
        let after = error(&found, &input, &target, 160);
        assert!(after < 1e-5 * before, "{} {before} {after}", start.name());
    }
}

/// Fewer samples than weights: what can be learned is, and nothing becomes worse than by biases alone.
#[test]
fn few_samples_do_no_harm() {
    let shape = Shape::vector(300);
    let (start, images) = (dense(3, 300, 1), 60);
    let input = batch(shape, images, 9);
    let output = apply(&start, &[&input], Shape::vector(3));
    // A target that has nothing to do with the input but an offset.
    let mut target = batch(Shape::vector(3), images, 77);
    target.values.iter_mut().zip(&output.values).for_each(|(t, o)| *t += o + 2.0);
    let observed = Observed { input: &input, output: &output, target: &target, calibration: 48, images };
    let found = corrected(&start, &observed);
    let bias: Vec<f64> = (0..3)
        .map(|row| {
            let missing = (0..48).map(|n| target.image(n)[row] - output.image(n)[row]);
            missing.map(f64::from).sum::<f64>() / 48.0
        })
        .collect();
    let Operator::Dense(mut shifted) = start.clone() else { panic!("a dense layer") };
    shifted.bias.iter_mut().zip(&bias).for_each(|(b, c)| *b += c);
    let alone = error(&Operator::Dense(shifted), &input, &target, 48);
    let after = error(&found, &input, &target, 48);
    assert!(after <= alone * (1.0 + 1e-4), "{after} {alone}");
}

#[test]
fn what_is_no_number_changes_nothing() {
    let shape = Shape::vector(4);
    let start = dense(2, 4, 1);
    let input = batch(shape, 20, 9);
    let output = apply(&start, &[&input], Shape::vector(2));
    let mut target = output.clone();
    target.values[3] = f32::NAN;
    let observed = Observed { input: &input, output: &output, target: &target, calibration: 16, images: 20 };
    assert_eq!(corrected(&start, &observed), start);
}

#[test]
fn positions_are_drawn_within_and_differ_between_images() {
    for (count, positions) in [(1, 1), (3, 10), (10, 10)] {
        let drawn_of = |n| drawn(n, count, positions).collect::<Vec<_>>();
        assert!(drawn_of(4).windows(2).all(|pair| pair[0] < pair[1]));
        assert!(drawn_of(4).iter().all(|at| *at < positions) && drawn_of(4).len() == count);
    }
    assert_ne!(drawn(1, 3, 100).collect::<Vec<_>>(), drawn(2, 3, 100).collect::<Vec<_>>());
}
