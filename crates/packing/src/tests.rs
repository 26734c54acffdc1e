//! Every choice, on random networks of the family, against plain inference.

use crate::assemble::{Assembly, assemble};
use crate::planner::{self, Family, Objective, Options};
use crate::representation::Representation;
use crate::stack::Stack;
use crate::{Choice, Error, Periodic, Plan, Verdict, explain, parameters};
use circuit::encrypted::Program;
use circuit::{CostModel, Counts, Work, clear, dry_run, predict};
use ckks::{Context, Evaluator, Parameters, ParametersLiteral, Randomness, SecretKey, SeededEvaluationKeys};
use network::{Bias, Convolution, Dense, Graph, Layer, LayerKind, Metadata, Model, Padding, Shape};
use proptest::prelude::*;
use std::sync::Arc;

/// A small generator of weights.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// So many values of this mean square.
    fn values(&mut self, count: usize, mean_square: f64) -> Vec<f64> {
        (0..count).map(|_| self.next() * (3.0 * mean_square).sqrt()).collect()
    }
}

/// The figures of a network of the family.
#[derive(Debug, Clone)]
struct Figures {
    input: Shape,
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

const CRYPTONETS: Figures = Figures {
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

fn layer(name: &str, kind: LayerKind) -> Layer {
    Layer { name: name.into(), kind }
}

/// Weights such that values stay about one; `None` where the window does not fit the image.
fn model(f: &Figures) -> Option<Model> {
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

fn image(f: &Figures) -> Vec<f64> {
    Random(f.seed.wrapping_add(77) | 1).values(f.input.elements(), 1.0 / 3.0)
}

fn small_parameters(degree: usize) -> Parameters {
    ParametersLiteral { degree, ..parameters(8192).unwrap().literal().clone() }.validate_insecure().unwrap()
}

fn figures() -> impl Strategy<Value = Figures> {
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

fn assert_close(expected: &[f64], actual: &[f64]) -> Result<(), TestCaseError> {
    let largest = expected.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
    prop_assert_eq!(expected.len(), actual.len());
    for (a, b) in expected.iter().zip(actual) {
        prop_assert!((a - b).abs() <= 1e-9 * largest, "{} instead of {}", b, a);
    }
    Ok(())
}

/// Checks that each layer's result lies where its representation says.
fn check_layers(assembly: &Assembly, model: &Model, image: &[f64]) -> Result<(), TestCaseError> {
    let inputs = assembly.input.write(image).unwrap();
    let values = clear::trace(&assembly.circuit, &inputs).unwrap();
    let tensors = model.graph.trace(image).unwrap();
    let copies = Representation::Copies(assembly.input.sums());
    let periodic = Representation::Periodic(Periodic::new(tensors[2].len()));
    for (index, representation) in [&copies, &copies, &periodic, &periodic].into_iter().enumerate() {
        let slots = &values[assembly.circuit.layers()[index].nodes.end - 1];
        let mut seen = vec![false; tensors[index].len()];
        for (slot, z) in slots.iter().enumerate() {
            if let Some(element) = representation.element(0, slot) {
                seen[element] = true;
                prop_assert!((z - tensors[index][element]).abs() < 1e-9, "layer {} slot {}", index, slot);
            } else if matches!(representation, Representation::Periodic(_)) {
                prop_assert!(z.abs() < 1e-9);
            }
        }
        prop_assert!(seen.into_iter().all(|s| s));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_choice_equals_plain_inference(f in figures(), log_degree in 8u32..=10, pick in any::<prop::sample::Index>()) {
        let Some(model) = model(&f) else { return Ok(()) };
        let (stack, parameters) = (Arc::new(Stack::new(&model.graph).unwrap()), small_parameters(1 << log_degree));
        let choices = match Choice::enumerate(&stack, parameters.slots(), None) {
            Err(Error::DoesNotFit { .. }) => return Ok(()),
            choices => choices.unwrap(),
        };
        let choice = pick.get(&choices);
        let assembly = match assemble(&stack, &parameters, choice, 16.0) {
            Err(Error::DoesNotFit { .. }) => return Ok(()),
            assembly => assembly.unwrap(),
        };
        let image = image(&f);
        let coefficients = clear::run(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap();
        let read = assembly.reply.read(&coefficients[0]).unwrap();
        prop_assert_eq!(read.verdict, Verdict::Sound);
        assert_close(&model.graph.infer(&image).unwrap(), &read.scores)?;
        check_layers(&assembly, &model, &image)?;
    }
}

/// A client and a server in one.
struct Machine {
    context: Arc<Context>,
    secret: SecretKey,
    randomness: Randomness,
}

impl Machine {
    fn new(parameters: &Parameters, seed: u64) -> Self {
        let context = Context::new(parameters.clone(), ring::Kernel::detect()).unwrap();
        let mut randomness = Randomness::from_test_seed(seed);
        let secret = SecretKey::generate(&context, &mut randomness);
        Self { context, secret, randomness }
    }

    /// The reply's coefficients as `reader` decrypts them, and what was counted.
    fn run(&mut self, assembly: &Assembly, image: &[f64], reader: &SecretKey) -> (Vec<f64>, Counts) {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_choice_runs_encrypted(f in figures(), log_degree in 8u32..=11, pick in any::<prop::sample::Index>()) {
        let Some(model) = model(&f) else { return Ok(()) };
        let (stack, parameters) = (Arc::new(Stack::new(&model.graph).unwrap()), small_parameters(1 << log_degree));
        let Ok(choices) = Choice::enumerate(&stack, parameters.slots(), None) else { return Ok(()) };
        let Ok(assembly) = assemble(&stack, &parameters, pick.get(&choices), 16.0) else { return Ok(()) };
        let image = image(&f);
        let predicted = predict(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap().remove(0);
        let mut machine = Machine::new(&parameters, f.seed);
        let other = Machine::new(&parameters, f.seed ^ 1).secret;
        let own = SecretKey::from_coefficients(&machine.context, &machine.secret.coefficients()).unwrap();
        let (coefficients, counts) = machine.run(&assembly, &image, &own);

        let dry = dry_run(&assembly.circuit).totals;
        prop_assert_eq!(Counts { work: Work::default(), ..dry }, counts);
        let read = assembly.reply.read(&coefficients).unwrap();
        prop_assert_eq!(read.verdict, Verdict::Sound);
        for (expected, score) in model.graph.infer(&image).unwrap().iter().zip(&read.scores) {
            prop_assert!((expected - score).abs() < 12.0 * predicted.deviation, "{} for {}", score, expected);
        }
        let (foreign, _) = machine.run(&assembly, &image, &other);
        let verdict = assembly.reply.read(&foreign).unwrap().verdict;
        prop_assert!(matches!(verdict, Verdict::WrongKeys { .. }), "{:?}", verdict);
    }
}

/// Rotations, hoisted ones, products with plaintexts, products, additions, HOPs, key-switches, inputs.
type Row = [u64; 8];

fn counted(model: &Model, family: Family, objective: Objective) -> Row {
    let options = Options { family, objective, ..Options::default() };
    let plan = planner::plan(model, &options).unwrap();
    let explained = explain(&plan, model, &CostModel::default()).unwrap();
    let t = explained.totals;
    println!("{} {objective}: {:?}", explained.representation, plan.choice());
    println!(
        "  hops {} switches {} ntts {} up {} down {} keys {} server {} error {:.2e} ms {:.2}",
        t.hops,
        t.key_switches,
        t.ntts,
        explained.upload_bytes,
        explained.download_bytes,
        explained.evaluation_key_bytes,
        explained.server_bytes,
        explained.predicted_error,
        explained.predicted_ms
    );
    [
        t.rotations,
        t.hoisted_rotations,
        t.plaintext_multiplications,
        t.ciphertext_multiplications,
        t.additions,
        t.hops,
        t.key_switches,
        plan.public.input.ciphertexts() as u64,
    ]
}

#[test]
fn counts_of_the_cryptonets_network() {
    let model = model(&CRYPTONETS).unwrap();
    for taps in 1..=6 {
        let row = counted(&model, Family::Taps(taps), Objective::Operations);
        println!("{taps} {row:?}");
    }
    for objective in [Objective::Latency, Objective::Operations, Objective::KeySwitches, Objective::Upload] {
        let row = counted(&model, Family::Auto, objective);
        println!("{row:?}");
    }
}
