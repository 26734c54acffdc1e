//! LoLa's plans: their published counts, in the clear and encrypted against plain inference.

use super::{CRYPTONETS, Machine, Random, figures, image, layer, model};
use crate::errors::of_all_outputs;
use crate::literature::Chain;
use crate::{Error, Lola, parameters};
use blindsight_circuit::{Counts, Work, clear, dry_run, predict};
use blindsight_ckks::{Parameters, ParametersLiteral, SecretKey};
use blindsight_layers::{Assembly, LayerGraph};
use blindsight_layout::Error as LayoutError;
use blindsight_layout::Verdict;
use blindsight_network::{Bias, Convolution, Dense, Graph, Metadata, Model, Operator, Padding, Shape};
use proptest::prelude::*;

const BOUND: f64 = 16.0;

fn built(lola: Lola, graph: &Graph, degree: usize) -> Assembly {
    let chain = Chain::new(&LayerGraph::new(graph, &Metadata::new(graph.input, 0)).unwrap()).unwrap();
    lola.assemble(&chain, &parameters(degree, lola.depth(&chain)).unwrap(), BOUND).unwrap()
}

/// Parameters of so many levels in a ring that is too small to be secure.
fn small(degree: usize, levels: usize) -> Parameters {
    let literal = parameters(32768, levels).unwrap().literal().clone();
    ParametersLiteral { degree, ..literal }.validate_insecure().unwrap()
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
) -> Operator {
    let [input_channels, output_channels] = channels;
    let taps = input_channels * side * side;
    Operator::Convolution(Convolution {
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

fn dense(random: &mut Random, rows: usize, columns: usize) -> Operator {
    let weights = random.values(rows * columns, 0.3 / columns as f64);
    Operator::Dense(Dense { rows, columns, weights, bias: random.values(rows, 0.1) })
}

/// Linear layers with squares between them.
fn network(input: Shape, linear: Vec<Operator>) -> Graph {
    let mut layers = vec![];
    let mut channels = input.channels;
    for (index, kind) in linear.into_iter().enumerate() {
        if index > 0 {
            layers.push(layer(&format!("square{index}"), Operator::square(channels)));
        }
        channels = match &kind {
            Operator::Convolution(c) => c.output_channels,
            Operator::Dense(d) => d.rows,
            _ => channels,
        };
        layers.push(layer(&format!("linear{index}"), kind));
    }
    Graph::chain(input, layers)
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

/// The table in docs/planner.md, derived there step by step.
#[test]
fn counts_are_those_of_the_published_code() {
    let mnist = model(&CRYPTONETS).unwrap().graph;
    assert_eq!(counted(&built(Lola::Offsets, &mnist, 8192)), [283, 161, 2, 431]);
    assert_eq!(counted(&built(Lola::Offsets, &lola_small(), 8192)), [134, 135, 1, 269]);
    assert_eq!(counted(&built(Lola::Offsets, &lola_cifar(), 16384)), [77_054, 26_922, 2, 98_488]);
    assert_eq!(counted(&built(Lola::Dense, &mnist, 16384)), [334, 249, 8, 452]);
}

/// The coefficients of all replies in a run on plain slots.
fn cleared(assembly: &Assembly, image: &[f64]) -> Vec<f64> {
    clear::run(&assembly.circuit, &assembly.input.write(image).unwrap()).unwrap().concat()
}

fn assert_scores(assembly: &Assembly, expected: &[f64], coefficients: &[f64], tolerance: f64) {
    let read = assembly.reply.read(coefficients).unwrap();
    assert_eq!(read.verdict, Verdict::Sound);
    assert_eq!(expected.len(), read.scores.len());
    for (a, b) in expected.iter().zip(&read.scores) {
        assert!((a - b).abs() <= tolerance, "{b} instead of {a}");
    }
}

#[test]
fn networks_of_the_literature_equal_plain_inference() {
    for (lola, graph, degree) in [
        (Lola::Offsets, model(&CRYPTONETS).unwrap().graph, 8192),
        (Lola::Dense, model(&CRYPTONETS).unwrap().graph, 16384),
        (Lola::Offsets, lola_small(), 8192),
        (Lola::Offsets, perceptron(), 16384),
        (Lola::Dense, perceptron(), 16384),
    ] {
        let assembly = built(lola, &graph, degree);
        let image = Random(5).values(graph.input.elements(), 1.0 / 3.0);
        assert_scores(&assembly, &graph.infer(&image).unwrap(), &cleared(&assembly, &image), 1e-9);
    }
}

/// Every slot of a score's ciphertext holds the score: nothing else is in it to be read.
#[test]
fn scores_fill_their_ciphertexts() {
    for (lola, degree) in [(Lola::Offsets, 8192), (Lola::Dense, 16384)] {
        let graph = model(&CRYPTONETS).unwrap().graph;
        let assembly = built(lola, &graph, degree);
        let image = image(&CRYPTONETS);
        let values = clear::trace(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap();
        for (output, score) in assembly.circuit.outputs().iter().zip(graph.infer(&image).unwrap()) {
            assert!(values[output.value.index()].iter().all(|z| (z - score).abs() < 1e-9));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_network_equals_plain_inference(f in figures(), dense in any::<bool>(), log_degree in 8u32..=11) {
        let Some(Model { graph, .. }) = model(&f) else { return Ok(()) };
        let lola = if dense { Lola::Dense } else { Lola::Offsets };
        let fused = LayerGraph::new(&graph, &Metadata::new(graph.input, 0)).unwrap();
        // A layer that scales one map may become part of a polynomial, which is read twice.
        let Ok(chain) = Chain::new(&fused) else { return Ok(()) };
        let assembly = match lola.assemble(&chain, &small(1 << log_degree, lola.depth(&chain)), BOUND) {
            Err(Error::Layout(LayoutError::DoesNotFit { .. })) => return Ok(()),
            assembly => assembly.unwrap(),
        };
        let image = image(&f);
        assert_scores(&assembly, &graph.infer(&image).unwrap(), &cleared(&assembly, &image), 1e-9);
    }
}

#[test]
fn networks_of_the_literature_run_encrypted() {
    for (lola, graph, degree) in [
        (Lola::Offsets, model(&CRYPTONETS).unwrap().graph, 8192),
        (Lola::Offsets, lola_small(), 8192),
        (Lola::Dense, model(&CRYPTONETS).unwrap().graph, 16384),
    ] {
        let assembly = built(lola, &graph, degree);
        let image = Random(6).values(graph.input.elements(), 1.0 / 3.0);
        let predictions = predict(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap();
        let mut machine = Machine::new(assembly.circuit.parameters(), 7);
        let own = SecretKey::from_coefficients(&machine.context, &machine.secret.coefficients()).unwrap();
        let (coefficients, counts) = machine.run(&assembly, &image, &own);
        assert_eq!(Counts { work: Work::default(), ..dry_run(&assembly.circuit).totals }, counts);
        let tolerance = 8.0 * assembly.reply.errors(&of_all_outputs(&predictions)).score;
        assert_scores(&assembly, &graph.infer(&image).unwrap(), &coefficients, tolerance);

        let other = Machine::new(assembly.circuit.parameters(), 8).secret;
        let (coefficients, _) = machine.run(&assembly, &image, &other);
        let verdict = assembly.reply.read(&coefficients).unwrap().verdict;
        assert!(matches!(verdict, Verdict::WrongKeys { .. }), "{verdict:?}");
    }
}

/// A score beyond the range is refused, though it has not wrapped around, and one that has is not read as one
/// in range.
#[test]
fn scores_out_of_range_are_refused() {
    let reply = built(Lola::Offsets, &lola_small(), 8192).reply;
    let with_first = |score: f64| {
        let mut coefficients = vec![0.0; reply.ciphertexts() * reply.indices().len()];
        coefficients[0] = score;
        reply.read(&coefficients).unwrap().verdict
    };
    assert_eq!(with_first(2.0 * BOUND), Verdict::Sound);
    for score in [-2.1 * BOUND, 3.0 * BOUND, reply.capacity * 0.99] {
        assert!(matches!(with_first(score), Verdict::OutOfRange { .. }), "{score}");
    }
}
