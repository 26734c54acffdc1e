//! Random networks of the family, and a client and server in one.

mod batch;
mod equality;
mod plans;

use crate::assemble::Assembly;
use crate::planner::{self, Family, Objective, Options};
use crate::{Plan, parameters};
use circuit::Counts;
use circuit::encrypted::Program;
use ckks::{Context, Evaluator, Parameters, ParametersLiteral, Randomness, SecretKey, SeededEvaluationKeys};
use network::{Bias, Convolution, Dense, Graph, Layer, LayerKind, Metadata, Model, Padding, Shape};
use proptest::prelude::*;
use std::sync::Arc;

/// A small generator of weights.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// So many values of this mean square.
    pub fn values(&mut self, count: usize, mean_square: f64) -> Vec<f64> {
        (0..count).map(|_| self.next() * (3.0 * mean_square).sqrt()).collect()
    }
}

/// The figures of a network of the family.
#[derive(Debug, Clone)]
pub struct Figures {
    pub input: Shape,
    outputs: usize,
    groups: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
    hidden: usize,
    scores: usize,
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
    hidden: 100,
    scores: 10,
    seed: 1,
};

pub fn layer(name: &str, kind: LayerKind) -> Layer {
    Layer { name: name.into(), kind }
}

/// Weights such that values stay about one; `None` where the window does not fit the image.
pub fn model(f: &Figures) -> Option<Model> {
    let mut random = Random(f.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let taps = f.input.channels / f.groups * f.kernel[0] * f.kernel[1];
    let convolution = Convolution {
        input_channels: f.input.channels,
        output_channels: f.outputs,
        groups: f.groups,
        kernel: f.kernel,
        stride: f.stride,
        dilation: f.dilation,
        padding: f.padding,
        weights: random.values(f.outputs * taps, 1.0 / taps as f64),
        bias: Bias::PerChannel(random.values(f.outputs, 0.1)),
    };
    let features = convolution.output_shape("conv", f.input).ok()?.elements();
    let mut dense = |rows: usize, columns: usize| {
        let weights = random.values(rows * columns, 0.3 / columns as f64);
        LayerKind::Dense(Dense { rows, columns, weights, bias: random.values(rows, 0.1) })
    };
    let layers = vec![
        layer("conv", LayerKind::Convolution(convolution)),
        layer("square1", LayerKind::Square),
        layer("hidden", dense(f.hidden, features)),
        layer("square2", LayerKind::Square),
        layer("scores", dense(f.scores, f.hidden)),
    ];
    let mut metadata = Metadata::new(f.input, f.scores);
    metadata.input_range = (-1.0, 1.0);
    metadata.score_bound = Some(16.0);
    let graph = Graph { input: f.input, layers };
    Some(Model { name: "random".into(), graph, metadata, digest: [f.seed as u8; 32] })
}

pub fn image(f: &Figures) -> Vec<f64> {
    Random(f.seed.wrapping_add(77) | 1).values(f.input.elements(), 1.0 / 3.0)
}

pub fn small_parameters(degree: usize) -> Parameters {
    ParametersLiteral { degree, ..parameters(8192).unwrap().literal().clone() }.validate_insecure().unwrap()
}

pub fn figures() -> impl Strategy<Value = Figures> {
    let channels =
        prop_oneof![Just((1, 1, 1)), Just((1, 3, 1)), Just((2, 2, 1)), Just((2, 4, 2)), Just((3, 3, 3))];
    let window = (1usize..=5, 1usize..=5, 1usize..=3, 1usize..=3, 1usize..=2, 1usize..=2);
    let padding = (0usize..3, 0usize..3, 0usize..3, 0usize..3);
    (channels, (4usize..=9, 4usize..=9), window, padding, 1usize..=40, 1usize..=3, any::<u64>()).prop_map(
        |(
            (channels, outputs, groups),
            (height, width),
            window,
            (top, left, bottom, right),
            hidden,
            scores,
            seed,
        )| {
            let (ky, kx, sy, sx, dy, dx) = window;
            Figures {
                input: Shape::new(channels, height, width),
                outputs,
                groups,
                kernel: [ky, kx],
                stride: [sy, sx],
                dilation: [dy, dx],
                padding: Padding { top, left, bottom, right },
                hidden,
                scores,
                seed,
            }
        },
    )
}

/// A client and a server in one.
pub struct Machine {
    pub context: Arc<Context>,
    secret: SecretKey,
    randomness: Randomness,
}

impl Machine {
    pub fn new(parameters: &Parameters, seed: u64) -> Self {
        let context = Context::new(parameters.clone(), ring::Kernel::detect()).unwrap();
        let mut randomness = Randomness::from_test_seed(seed);
        let secret = SecretKey::generate(&context, &mut randomness);
        Self { context, secret, randomness }
    }

    /// The reply's coefficients as `reader` decrypts them, and what was counted.
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
        let level = crate::assemble::input_level(circuit.parameters()).unwrap();
        let slots = assembly.input.write(image).unwrap();
        let scale = crate::NOMINAL_SCALE;
        let seeded = self.secret.encrypt_all(context, &slots, level, scale, &mut self.randomness).unwrap();
        let inputs: Vec<_> = seeded.into_iter().map(|c| c.expand(context.basis(level))).collect();
        let program = Program::encode(circuit.clone(), context).unwrap();
        assert_eq!(program.bytes() as u64, crate::sizes::encoded_model(circuit));
        let evaluator = Evaluator::new(context, &keys);
        let run = program.run(&evaluator, &inputs).unwrap();
        let indices = assembly.reply.indices();
        let reply = evaluator.reply(&run.outputs[0], &indices).unwrap();
        (reader.decrypt_reply(context, &reply, &indices), run.counts)
    }
}

pub fn planned(model: &Model, family: Family, objective: Objective) -> Plan {
    planner::plan(model, &Options { family, objective, ..Options::default() }).unwrap()
}
