//! Whole fits: networks made up here, and those that `training/relu.py` trained, on a part of their data.

use std::path::Path;

use blindsight_data::{Dataset, InputSpec, Split};
use blindsight_fit::{Error, Finding, Options, Step, fit};
use blindsight_network::{
    Activation, AveragePool, Bias, Convolution, Dense, Graph, MaxPool, Metadata, Model, Operator, Padding,
    Shape,
};

/// Numbers from -1 to 1 that look random.
fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

fn convolution(inputs: usize, outputs: usize) -> Operator {
    let scale = (inputs as f64 * 9.0).sqrt();
    Operator::Convolution(Convolution {
        input_channels: inputs,
        output_channels: outputs,
        groups: 1,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::uniform(1),
        weights: numbers(11, outputs * inputs * 9).iter().map(|w| 2.0 * w / scale).collect(),
        bias: Bias::PerChannel(numbers(12, outputs).iter().map(|b| 0.1 * b).collect()),
    })
}

fn windows() -> AveragePool {
    AveragePool { kernel: [2, 2], stride: [2, 2], padding: Padding::default(), include_padding: false }
}

fn dense(rows: usize, columns: usize) -> Operator {
    let scale = (columns as f64).sqrt();
    let weights = numbers(13, rows * columns).iter().map(|w| 2.0 * w / scale).collect();
    Operator::Dense(Dense { rows, columns, weights, bias: vec![0.0; rows] })
}

fn network(activation: Operator, pool: Operator) -> Graph {
    let operators = [
        ("conv", convolution(1, 4)),
        ("activation", activation),
        ("pool", pool),
        ("flatten", Operator::Reshape(Shape::vector(64))),
        ("scores", dense(3, 64)),
    ];
    Graph::chain(Shape::new(1, 8, 8), operators.map(|(name, operator)| (name.to_string(), operator)))
}

fn inputs(count: usize) -> Vec<Vec<f64>> {
    (0..count).map(|n| numbers(n as u64 + 100, 64).iter().map(|v| (v + 1.0) / 2.0).collect()).collect()
}

fn options() -> Options {
    Options { max_drop: 5.0, ..Options::default() }
}

#[test]
fn a_network_that_is_polynomial_is_only_measured() {
    let graph = network(Operator::square(4), Operator::AveragePool(windows()));
    let inputs = inputs(60);
    let fitted =
        fit(&graph, &Metadata::new(graph.input, 3), &inputs, None, &options(), &mut |_| ()).expect("fits");
    assert_eq!(fitted.graph, graph);
    assert_eq!((fitted.report.agree, fitted.report.activations.len()), (1.0, 0));
    let most = |of: fn(&[Vec<f64>]) -> &[f64]| {
        let values = inputs.iter().map(|input| graph.trace(input).expect("runs"));
        values.flat_map(|trace| of(&trace).to_vec()).fold(0.0, |m: f64, v| m.max(v.abs()))
    };
    let conv = fitted.metadata.ranges["conv"];
    assert!((conv.max - most(|trace| &trace[0])).abs() < 1e-5 && conv.rms > 0.0 && conv.rms < conv.max);
    let bound = fitted.metadata.score_bound.expect("a bound");
    let scores = most(|trace| trace.last().expect("scores"));
    assert!((1.49..1.51).contains(&(bound / scores)), "{bound} {scores}");
}

#[test]
fn activations_are_replaced_and_the_file_says_all() {
    for activation in [Activation::Relu, Activation::Silu, Activation::Gelu] {
        let graph = network(Operator::Activation(activation.clone()), Operator::AveragePool(windows()));
        let metadata = Metadata::new(graph.input, 3);
        let inputs = inputs(400);
        let fitted = fit(&graph, &metadata, &inputs, None, &options(), &mut |_| ()).expect("fits");
        assert!(fitted.report.agree >= 0.95, "{activation:?} {:?}", fitted.report);
        assert_eq!(fitted.report.activations[0].name, "activation");
        let read = Model::from_bytes("read", &fitted.graph.to_onnx(&fitted.metadata).expect("written"))
            .expect("read");
        // Reshapes are no nodes of the file, and the last digit of a range may get lost in it.
        let (found, expected) = (&read.metadata, &fitted.metadata);
        let reshapes = graph.nodes.iter().filter(|node| matches!(node.operator, Operator::Reshape(_)));
        assert_eq!(found.ranges.len() + reshapes.count(), expected.ranges.len());
        for (name, found) in &found.ranges {
            assert!((found.max - expected.ranges[name].max).abs() <= 1e-12 * found.max);
        }
        assert_eq!(Metadata { ranges: expected.ranges.clone(), ..found.clone() }, *expected);
        for input in &inputs[..20] {
            let (a, b) = (fitted.graph.infer(input).expect("runs"), read.graph.infer(input).expect("runs"));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }
}

/// Wherever a fit is broken off, going on gives the same, and nothing that is known is found out again.
#[test]
fn a_fit_that_was_broken_off_goes_on() {
    let relu = || Operator::Activation(Activation::Relu);
    let operators = [
        ("conv", convolution(1, 4)),
        ("first", relu()),
        ("flatten", Operator::Reshape(Shape::vector(256))),
        ("hidden", dense(8, 256)),
        ("second", relu()),
        ("scores", dense(3, 8)),
    ];
    let graph = Graph::chain(Shape::new(1, 8, 8), operators.map(|(name, op)| (name.to_string(), op)));
    let (metadata, inputs) = (Metadata::new(graph.input, 3), inputs(200));
    let run = |known: &[Finding]| {
        let options = Options { max_drop: 2.0, known: known.to_vec(), ..Options::default() };
        let (mut found, mut fitted) = (vec![], vec![]);
        let result = fit(&graph, &metadata, &inputs, None, &options, &mut |step| match step {
            Step::Found(finding) => found.push(finding.clone()),
            Step::Fitting { degrees, node: 0, .. } => fitted.push(degrees.to_vec()),
            _ => {}
        });
        let result = result.expect("fits");
        ((result.graph, result.report), found, fitted)
    };
    let (whole, findings, walks) = run(&[]);
    assert!(findings.len() > 3 && walks.len() > 2, "{walks:?}");
    for known in [2, findings.len() / 2, findings.len() - 1] {
        let written = serde_json::to_string(&findings[..known]).expect("plain numbers");
        let read: Vec<Finding> = serde_json::from_str(&written).expect("as written");
        let (resumed, found, fitted) = run(&read);
        assert_eq!(resumed, whole, "{known} known");
        assert_eq!(found, findings[known..]);
        assert!(fitted.len() < walks.len(), "{known}: {fitted:?}");
    }
    let (_, _, fitted) = run(&findings);
    assert_eq!(fitted.len(), 1, "the chosen network alone is made again");
}

#[test]
fn the_same_inputs_give_the_same_network() {
    let graph = network(Operator::Activation(Activation::Relu), Operator::AveragePool(windows()));
    let (metadata, inputs) = (Metadata::new(graph.input, 3), inputs(100));
    let once = || fit(&graph, &metadata, &inputs, None, &options(), &mut |_| ()).expect("fits").graph;
    assert_eq!(once(), once());
}

#[test]
fn pools_by_the_largest_value_are_replaced_only_where_asked() {
    let graph =
        network(Operator::Activation(Activation::Relu), Operator::MaxPool(MaxPool { windows: windows() }));
    let (metadata, inputs) = (Metadata::new(graph.input, 3), inputs(300));
    let refused = fit(&graph, &metadata, &inputs, None, &options(), &mut |_| ()).expect_err("a MaxPool");
    assert!(matches!(&refused, Error::MaxPool { node } if node == "pool"), "{refused}");
    assert!(refused.to_string().contains("--replace max-pool"));
    let allowed = Options { replace_max_pool: true, degree: Some(4), ..options() };
    let fitted = fit(&graph, &metadata, &inputs, None, &allowed, &mut |_| ()).expect("replaced");
    assert!(matches!(fitted.graph.nodes[2].operator, Operator::AveragePool(_)));
    assert!(fitted.report.agree >= 0.7, "{:?}", fitted.report.agree);
}

#[test]
fn options_and_accuracies_out_of_reach_are_refused_with_figures() {
    let graph = network(Operator::Activation(Activation::Relu), Operator::AveragePool(windows()));
    let (metadata, inputs) = (Metadata::new(graph.input, 3), inputs(100));
    let refused = |options: Options| {
        fit(&graph, &metadata, &inputs, None, &options, &mut |_| ()).expect_err("refused").to_string()
    };
    for degree in [0, 1, 32, usize::MAX] {
        assert!(refused(Options { degree: Some(degree), ..options() }).contains("2 to 31"));
    }
    for max_drop in [-1.0, f64::NAN, 101.0] {
        assert!(refused(Options { max_drop, ..options() }).contains("0 to 100"));
    }
    assert!(fit(&graph, &metadata, &inputs[..3], None, &options(), &mut |_| ()).is_err());
}

/// A trained network and so many inputs of its data's training part; `None`, said, where there are none.
fn trained(
    name: &str,
    data: &str,
    [mean, std]: [&[f64]; 2],
    count: usize,
) -> Option<(Model, Vec<Vec<f64>>, Vec<usize>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.join("../../../shared/data").join(data);
    if !folder.is_dir() {
        println!("SKIPPED: no {}", folder.display());
        return None;
    }
    let path = here.join("tests/files").join(format!("{name}.onnx"));
    let mut model = Model::load(&path).unwrap_or_else(|e| panic!("{e}"));
    model.metadata = model.metadata.with_normalisation(mean.to_vec(), std.to_vec()).expect("a normalisation");
    let images = Dataset::open(&folder, Split::Train, &InputSpec::of(&model)).expect("a data set");
    let places = (0..count).map(|i| i * images.len() / count);
    let inputs = places.clone().map(|n| images.input(n).expect("an image").values).collect();
    let labels = places.map(|n| images.label(n).expect("a label")).collect();
    Some((model, inputs, labels))
}

#[test]
fn trained_networks_keep_their_accuracy() {
    for name in ["plain-relu", "plain-gelu", "plain-silu"] {
        let Some((model, inputs, labels)) = trained(name, "mnist", [&[0.1307], &[0.3081]], 800) else {
            return;
        };
        let options = Options { max_drop: 2.0, ..Options::default() };
        let fitted =
            fit(&model.graph, &model.metadata, &inputs, Some(&labels), &options, &mut |_| ()).expect("fits");
        let report = fitted.report;
        let (before, after) =
            (report.accuracy_before.expect("labels"), report.accuracy_after.expect("labels"));
        assert!(before > 0.97 && after >= before - 0.02, "{name} {before} {after}");
        assert!(report.predicted_ms < 600.0, "{name} {}", report.predicted_ms);
    }
}

/// Skips, batch norm, projections: degrees that have a plan, and scores that are near the original's.
#[test]
fn residual_networks_are_fitted() {
    let norm: [&[f64]; 2] = [&[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]];
    for name in ["residual-relu", "residual-silu", "residual-gelu"] {
        let Some((model, inputs, labels)) = trained(name, "cifar10", norm, 300) else { return };
        let options = Options { degree: Some(7), ..Options::default() };
        let fitted =
            fit(&model.graph, &model.metadata, &inputs, Some(&labels), &options, &mut |_| ()).expect("fits");
        assert!(fitted.report.agree > 0.7, "{name} {}", fitted.report.agree);
        assert_eq!(fitted.report.activations.len(), 5, "{name}");
        assert!(fitted.report.predicted_ms < 8000.0);
    }
}
