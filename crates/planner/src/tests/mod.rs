//! Random networks of the packing, and a client and server in one.

mod batch;
mod bounds;
mod depths;
mod drawings;
mod equality;
mod graphs;
mod keyless;
mod linear;
mod literature;
pub(crate) mod plans;
mod private;
mod words;

use crate::search::Search;
use crate::{Objective, Options, Packing, Plan, parameters};
use blindsight_circuit::Counts;
use blindsight_circuit::encrypted::Program;
use blindsight_ckks::{
    Context, Evaluator, Parameters, ParametersLiteral, Randomness, SecretKey, SeededEvaluationKeys,
};
pub use blindsight_layers::testing::Random;
use blindsight_layers::{Assembly, LayerGraph};
use blindsight_network::{
    Bias, Convolution, Dense, FinalActivation, Graph, Metadata, Model, Operator, Padding, Shape,
};
use proptest::prelude::*;
use std::sync::Arc;

/// The figures of a network of the packing.
#[derive(Debug, Clone)]
pub struct Figures {
    pub input: Shape,
    outputs: usize,
    groups: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
    /// A second convolution: its maps, kernel, stride and padding on all sides.
    second: Option<(usize, usize, usize, usize)>,
    /// Rows of a dense layer between.
    hidden: Option<usize>,
    scores: usize,
    /// The share of weights that are zero.
    pruned: f64,
    seed: u64,
}

pub const CRYPTONETS: Figures = Figures {
    input: Shape::new(1, 28, 28),
    outputs: 5,
    groups: 1,
    kernel: [5, 5],
    stride: [2, 2],
    dilation: [1, 1],
    padding: Padding { top: 1, left: 1, bottom: 1, right: 1 },
    second: None,
    hidden: Some(100),
    scores: 10,
    pruned: 0.0,
    seed: 1,
};

pub fn layer(name: &str, operator: Operator) -> (String, Operator) {
    (name.into(), operator)
}

/// Weights such that values stay about one; `None` where a window does not fit its input.
pub fn model(f: &Figures) -> Option<Model> {
    let mut random = Random(f.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut weights = |count: usize, inputs: usize, share: f64| {
        let mut weights = random.values(count, share / inputs as f64);
        weights.iter_mut().for_each(|w| {
            if random.number().abs() < f.pruned {
                *w = 0.0;
            }
        });
        weights
    };
    let taps = f.input.channels / f.groups * f.kernel[0] * f.kernel[1];
    let convolution = Convolution {
        input_channels: f.input.channels,
        output_channels: f.outputs,
        groups: f.groups,
        kernel: f.kernel,
        stride: f.stride,
        dilation: f.dilation,
        padding: f.padding,
        weights: weights(f.outputs * taps, taps, 1.0),
        bias: Bias::PerChannel(weights(f.outputs, 10, 1.0)),
    };
    let mut shape = convolution.output_shape("conv", f.input).ok()?;
    let mut layers = vec![
        layer("conv", Operator::Convolution(convolution)),
        layer("square1", Operator::square(f.outputs)),
    ];
    if let Some((maps, kernel, stride, padding)) = f.second {
        let taps = shape.channels * kernel * kernel;
        let convolution = Convolution {
            input_channels: shape.channels,
            output_channels: maps,
            groups: 1,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1, 1],
            padding: Padding::uniform(padding),
            weights: weights(maps * taps, taps, 0.3),
            bias: Bias::PerChannel(weights(maps, 10, 1.0)),
        };
        shape = convolution.output_shape("conv2", shape).ok()?;
        layers.push(layer("conv2", Operator::Convolution(convolution)));
        layers.push(layer("square2", Operator::square(maps)));
    }
    let mut features = shape.elements();
    let mut dense = |rows: usize, columns: usize| {
        let (weights, bias) = (weights(rows * columns, columns, 0.3), weights(rows, 10, 1.0));
        Operator::Dense(Dense { rows, columns, weights, bias })
    };
    if let Some(hidden) = f.hidden {
        layers.push(layer("hidden", dense(hidden, features)));
        layers.push(layer("square3", Operator::square(hidden)));
        features = hidden;
    }
    layers.push(layer("scores", dense(f.scores, features)));
    let mut metadata = Metadata::new(f.input, f.scores);
    metadata.input_range = (-1.0, 1.0);
    metadata.score_bound = Some(16.0);
    let graph = Graph::chain(f.input, layers);
    Some(Model {
        name: "random".into(),
        graph,
        metadata,
        output: FinalActivation::None,
        remarks: vec![],
        digest: [f.seed as u8; 32],
    })
}

pub fn image(f: &Figures) -> Vec<f64> {
    Random(f.seed.wrapping_add(77) | 1).values(f.input.elements(), 1.0 / 3.0)
}

/// Parameters of a small ring, for the depth of a model.
pub fn small_parameters(model: &Model, degree: usize) -> Parameters {
    let levels = LayerGraph::new(&model.graph, &model.metadata).unwrap().depth();
    let literal = parameters(if levels > 5 { 16384 } else { 8192 }, levels).unwrap().literal().clone();
    ParametersLiteral { degree, ..literal }.validate_insecure().unwrap()
}

pub fn figures() -> impl Strategy<Value = Figures> {
    let channels =
        prop_oneof![Just((1, 1, 1)), Just((1, 3, 1)), Just((2, 2, 1)), Just((2, 4, 2)), Just((3, 3, 3))];
    let window = (1usize..=5, 1usize..=5, 1usize..=3, 1usize..=3, 1usize..=2, 1usize..=2);
    let padding = (0usize..3, 0usize..3, 0usize..3, 0usize..3);
    let second = prop::option::of((1usize..=6, 1usize..=3, 1usize..=2, 0usize..=1));
    let rest =
        (second, prop::option::of(1usize..=40), 1usize..=3, prop_oneof![Just(0.0), Just(0.6)], any::<u64>());
    (channels, (4usize..=9, 4usize..=9), window, padding, rest).prop_map(
        |(
            (channels, outputs, groups),
            (height, width),
            (ky, kx, sy, sx, dy, dx),
            (top, left, bottom, right),
            (second, hidden, scores, pruned, seed),
        )| {
            Figures {
                input: Shape::new(channels, height, width),
                outputs,
                groups,
                kernel: [ky, kx],
                stride: [sy, sx],
                dilation: [dy, dx],
                padding: Padding { top, left, bottom, right },
                second,
                hidden,
                scores,
                pruned,
                seed,
            }
        },
    )
}

/// Costs of any proportions: with them the planner takes other plans than those that are best here.
pub fn costs() -> impl Strategy<Value = blindsight_circuit::CostModel> {
    let each = || prop_oneof![Just(0.01), Just(1.0), Just(100.0)];
    (each(), each(), each(), each(), each(), each()).prop_map(
        |(ntt, multiply_accumulate, permutation, conversion, pass, stream)| blindsight_circuit::CostModel {
            ntt,
            multiply_accumulate,
            permutation,
            conversion,
            pass,
            stream,
            ..blindsight_circuit::CostModel::default()
        },
    )
}

/// What may be asked of the planner.
pub fn options() -> impl Strategy<Value = Options> {
    let objectives = [Objective::Latency, Objective::Operations, Objective::KeySwitches, Objective::Upload];
    let packings = [
        Packing::Auto,
        Packing::Auto,
        Packing::Image,
        Packing::Im2col(1),
        Packing::Im2col(2),
        Packing::Im2col(5),
    ];
    let asked = (prop::sample::select(objectives.to_vec()), prop::sample::select(packings.to_vec()), costs());
    asked.prop_map(|(objective, packing, cost)| Options { objective, packing, cost, ..Options::default() })
}

/// Checks the search for a plan of a network in a small ring; nothing where there is no such network.
pub fn check_search(
    f: &Figures,
    log_degree: u32,
    options: &Options,
    check: impl FnOnce(&Search<'_>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let Some(model) = model(f) else { return Ok(()) };
    let (chain, parameters) =
        (LayerGraph::new(&model.graph, &model.metadata).unwrap(), small_parameters(&model, 1 << log_degree));
    check(&Search::new(&chain, &parameters, options, 64.0))
}

/// A client and a server in one.
pub struct Machine {
    pub context: Arc<Context>,
    pub secret: SecretKey,
    randomness: Randomness,
}

impl Machine {
    pub fn new(parameters: &Parameters, seed: u64) -> Self {
        let context = Context::new(parameters.clone(), blindsight_ring::Kernel::detect()).unwrap();
        let mut randomness = Randomness::from_test_seed(seed);
        let secret = SecretKey::generate(&context, &mut randomness);
        Self { context, secret, randomness }
    }

    /// The coefficients of the reply's ciphertexts as `reader` decrypts them, and what was counted.
    pub fn run(&mut self, assembly: &Assembly, image: &[f64], reader: &SecretKey) -> (Vec<f64>, Counts) {
        let (context, circuit) = (&self.context, &assembly.circuit);
        let keys = SeededEvaluationKeys::generate(
            context,
            &self.secret,
            &circuit.keys(),
            &mut self.randomness,
            |_| (),
        );
        let keys = keys.unwrap().expand(context);
        let level = circuit.parameters().max_level();
        let slots = assembly.input.write(image).unwrap();
        let scale = assembly.input_scale;
        let seeded = self.secret.encrypt_all(context, &slots, level, scale, &mut self.randomness).unwrap();
        let inputs: Vec<_> = seeded.into_iter().map(|c| c.expand(context.basis(level))).collect();
        let program = Program::encode(circuit.clone(), context).unwrap();
        assert!(
            program.bytes() as u64 <= crate::sizes::encoded_model(circuit),
            "equal plaintexts are kept once"
        );
        let evaluator = Evaluator::new(context, &keys);
        let run = program.run(&evaluator, &inputs).unwrap();
        let indices = assembly.reply.indices();
        let ciphertexts = run.outputs.iter().map(|output| evaluator.reply(output, &indices));
        let others = run.unrelinearised.iter().map(|output| evaluator.reply_unrelinearised(output, &indices));
        let read = |reply: Result<_, _>| reader.decrypt_reply(context, &reply.unwrap(), &indices);
        (ciphertexts.chain(others).flat_map(read).collect(), run.counts)
    }
}

pub fn planned(model: &Model, packing: Packing, objective: Objective) -> Plan {
    crate::plan(model, &Options { packing, objective, ..Options::default() }).unwrap()
}

/// A chain with its second node, a square, so many times more.
pub fn with_squares(graph: &Graph, more: usize) -> Graph {
    let mut nodes: Vec<(String, Operator)> =
        graph.nodes.iter().map(|node| (node.name.clone(), node.operator.clone())).collect();
    let square = nodes[1].clone();
    nodes.splice(1..1, vec![square; more]);
    Graph::chain(graph.input, nodes)
}
