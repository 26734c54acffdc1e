//! LoLa's plans: their published counts, in the clear and encrypted against plain inference.

use super::{CRYPTONETS, Machine, Random, figures, image, layer, model};
use crate::Error;
use crate::literature::{Assembly, Chain, Named, assemble, levelled, literal};
use circuit::encrypted::Program;
use circuit::{Counts, Work, clear, dry_run, predict};
use ckks::Evaluator;
use network::{Bias, Convolution, Dense, Graph, LayerKind, Model, Padding, Shape};
use proptest::prelude::*;

const BOUND: f64 = 16.0;

fn built(plan: Named, graph: &Graph, degree: usize) -> Assembly {
    let chain = Chain::new(graph).unwrap();
    let parameters = levelled(degree, plan.depth(&chain)).unwrap();
    assemble(plan, &chain, &parameters, BOUND, true).unwrap()
}

/// Rotations, products with plaintexts, products of ciphertexts, additions.
fn counted(assembly: &Assembly) -> [u64; 4] {
    let t = dry_run(&assembly.circuit).totals;
    [t.rotations, t.plaintext_multiplications, t.ciphertext_multiplications, t.additions]
}

fn convolution(
    random: &mut Random,
    channels: [usize; 2],
    side: usize,
    stride: usize,
    padding: usize,
) -> LayerKind {
    let [input_channels, output_channels] = channels;
    let taps = input_channels * side * side;
    LayerKind::Convolution(Convolution {
        input_channels,
        output_channels,
        groups: 1,
        kernel: [side, side],
        stride: [stride, stride],
        dilation: [1, 1],
        padding: Padding::uniform(padding),
        weights: random.values(output_channels * taps, 1.0 / taps as f64),
        bias: Bias::PerChannel(random.values(output_channels, 0.1)),
    })
}

fn dense(random: &mut Random, rows: usize, columns: usize) -> LayerKind {
    let weights = random.values(rows * columns, 0.3 / columns as f64);
    LayerKind::Dense(Dense { rows, columns, weights, bias: random.values(rows, 0.1) })
}

/// Linear layers with squares between them.
fn network(input: Shape, linear: Vec<LayerKind>) -> Graph {
    let mut layers = vec![];
    for (index, kind) in linear.into_iter().enumerate() {
        if index > 0 {
            layers.push(layer(&format!("square{index}"), LayerKind::Square));
        }
        layers.push(layer(&format!("linear{index}"), kind));
    }
    Graph { input, layers }
}

fn lola_small() -> Graph {
    let mut r = Random(11);
    network(Shape::new(1, 28, 28), vec![convolution(&mut r, [1, 5], 5, 2, 1), dense(&mut r, 10, 845)])
}

fn lola_cifar() -> Graph {
    let mut r = Random(12);
    let first = convolution(&mut r, [3, 83], 8, 2, 1);
    let second = convolution(&mut r, [83, 112], 10, 2, 4);
    network(Shape::new(3, 32, 32), vec![first, second, dense(&mut r, 10, 5488)])
}

fn perceptron() -> Graph {
    let mut r = Random(13);
    let layers = vec![dense(&mut r, 128, 784), dense(&mut r, 128, 128), dense(&mut r, 10, 128)];
    network(Shape::new(1, 28, 28), layers)
}

/// The table in docs/plans.md, derived there step by step.
#[test]
fn counts_are_those_of_the_published_code() {
    let mnist = model(&CRYPTONETS).unwrap().graph;
    assert_eq!(counted(&built(Named::Lola, &mnist, 8192)), [283, 161, 2, 431]);
    assert_eq!(counted(&built(Named::Lola, &lola_small(), 8192)), [134, 135, 1, 269]);
    assert_eq!(counted(&built(Named::Lola, &lola_cifar(), 16384)), [77_054, 26_922, 2, 98_488]);
    assert_eq!(counted(&built(Named::LolaDense, &mnist, 16384)), [334, 249, 8, 452]);
}

fn scores(assembly: &Assembly, image: &[f64]) -> Vec<f64> {
    let inputs = assembly.input.write(image, assembly.circuit.slots()).unwrap();
    clear::run(&assembly.circuit, &inputs).unwrap().concat()
}

fn assert_close(expected: &[f64], actual: &[f64]) {
    let largest = expected.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
    assert_eq!(expected.len(), actual.len());
    for (a, b) in expected.iter().zip(actual) {
        assert!((a - b).abs() <= 1e-9 * largest, "{b} instead of {a}");
    }
}

#[test]
fn networks_of_the_literature_equal_plain_inference() {
    for (plan, graph, degree) in [
        (Named::Lola, model(&CRYPTONETS).unwrap().graph, 8192),
        (Named::LolaDense, model(&CRYPTONETS).unwrap().graph, 16384),
        (Named::Lola, lola_small(), 8192),
        (Named::Lola, perceptron(), 16384),
        (Named::LolaDense, perceptron(), 16384),
    ] {
        let assembly = built(plan, &graph, degree);
        let image = Random(5).values(graph.input.elements(), 1.0 / 3.0);
        assert_close(&graph.infer(&image).unwrap(), &scores(&assembly, &image));
    }
}

/// Every slot of a score's ciphertext holds the score: nothing else is in it to be read.
#[test]
fn scores_fill_their_ciphertexts() {
    for (plan, degree) in [(Named::Lola, 8192), (Named::LolaDense, 16384)] {
        let assembly = built(plan, &model(&CRYPTONETS).unwrap().graph, degree);
        let image = image(&CRYPTONETS);
        let values = clear::trace(&assembly.circuit, &assembly.input.write(&image, degree).unwrap()).unwrap();
        for (output, score) in assembly.circuit.outputs().iter().zip(scores(&assembly, &image)) {
            assert!(values[output.value.index()].iter().all(|z| (z - score).abs() < 1e-9));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_network_equals_plain_inference(f in figures(), dense in any::<bool>(), log_degree in 8u32..=10) {
        let Some(Model { graph, .. }) = model(&f) else { return Ok(()) };
        let plan = if dense { Named::LolaDense } else { Named::Lola };
        let chain = Chain::new(&graph).unwrap();
        let parameters = literal(1 << log_degree, plan.depth(&chain), 1).unwrap().validate_insecure().unwrap();
        let assembly = match assemble(plan, &chain, &parameters, BOUND, true) {
            Err(Error::DoesNotFit { .. }) => return Ok(()),
            assembly => assembly.unwrap(),
        };
        let image = image(&f);
        assert_close(&graph.infer(&image).unwrap(), &scores(&assembly, &image));
    }
}

/// The scores of an encrypted run, and what it counted.
fn encrypted(assembly: &Assembly, image: &[f64]) -> (Vec<f64>, Counts) {
    let circuit = &assembly.circuit;
    let mut machine = Machine::new(circuit.parameters(), 7);
    let slots = assembly.input.write(image, circuit.slots()).unwrap();
    let inputs = machine.encrypt(&slots, assembly.input_level);
    let keys = machine.keys(&circuit.keys());
    let program = Program::encode(circuit.clone(), &machine.context).unwrap();
    let evaluator = Evaluator::new(&machine.context, &keys);
    let run = program.run(&evaluator, &inputs).unwrap();
    let score = |output| machine.read(&evaluator.reply(output, &[0]).unwrap(), &[0]);
    (run.outputs.iter().flat_map(score).collect(), run.counts)
}

#[test]
fn networks_of_the_literature_run_encrypted() {
    for (plan, graph, degree) in [
        (Named::Lola, model(&CRYPTONETS).unwrap().graph, 8192),
        (Named::Lola, lola_small(), 8192),
        (Named::LolaDense, model(&CRYPTONETS).unwrap().graph, 16384),
    ] {
        let assembly = built(plan, &graph, degree);
        let image = Random(6).values(graph.input.elements(), 1.0 / 3.0);
        let inputs = assembly.input.write(&image, degree).unwrap();
        let predictions = predict(&assembly.circuit, &inputs).unwrap();
        let (scores, counts) = encrypted(&assembly, &image);
        let dry = dry_run(&assembly.circuit).totals;
        assert_eq!(Counts { work: Work::default(), ..dry }, counts);
        let expected = graph.infer(&image).unwrap();
        for ((expected, score), predicted) in expected.iter().zip(&scores).zip(&predictions) {
            let error = (expected - score).abs();
            assert!(error < 8.0 * predicted.deviation, "{error} for {}", predicted.deviation);
        }
        println!(
            "{plan:?} {degree}: {} predicted, {:.2e}",
            predictions[0].deviation,
            expected[0] - scores[0]
        );
    }
}
