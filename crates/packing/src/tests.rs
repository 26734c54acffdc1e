//! Every choice, on random networks of the family, against plain inference.

use crate::assemble::{Assembly, assemble};
use crate::planner::{self, Family, Objective, Options, ReplyKind};
use crate::representation::{Element, Representation};
use crate::stack::Stack;
use crate::{Choice, Error, FoldChoice, Periodic, Plan, ReplyLayout, Verdict, explain, parameters};
use circuit::encrypted::Program;
use circuit::{CostModel, Counts, Work, clear, dry_run, predict};
use ckks::{Context, Evaluator, Parameters, ParametersLiteral, Randomness, SecretKey, SeededEvaluationKeys};
use network::{Bias, Convolution, Dense, Graph, Layer, LayerKind, Metadata, Model, Padding, Shape};
use proptest::prelude::*;
use std::path::Path;
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
    let periodic = Representation::Periodic(Periodic::new(tensors[2].len(), assembly.input.carries_one));
    for (index, representation) in [&copies, &copies, &periodic, &periodic].into_iter().enumerate() {
        let slots = &values[assembly.circuit.layers()[index].nodes.end - 1];
        let mut seen = vec![false; tensors[index].len()];
        for (slot, z) in slots.iter().enumerate() {
            let expected = match representation.element(0, slot) {
                Some(Element::Of(element)) => {
                    seen[element] = true;
                    tensors[index][element]
                }
                Some(Element::One) => 1.0,
                None if matches!(representation, Representation::Periodic(_)) => 0.0,
                None => continue,
            };
            prop_assert!((z - expected).abs() < 1e-9, "layer {} slot {}", index, slot);
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

fn planned(model: &Model, family: Family, objective: Objective) -> Plan {
    planner::plan(model, &Options { family, objective, ..Options::default() }).unwrap()
}

/// Rotations, products with plaintexts, products, additions, HOPs, key-switches, inputs.
fn counted(model: &Model, plan: &Plan) -> [u64; 7] {
    let t = explain(plan, model, &CostModel::default()).unwrap().totals;
    let inputs = plan.public.input.ciphertexts() as u64;
    let products = [t.plaintext_multiplications, t.ciphertext_multiplications];
    [t.rotations, products[0], products[1], t.additions, t.hops, t.key_switches, inputs]
}

#[test]
fn counts_of_the_cryptonets_network() {
    let model = model(&CRYPTONETS).unwrap();
    let rows = [
        [12, 41, 2, 45, 100, 14, 25],
        [13, 30, 2, 34, 79, 15, 13],
        [15, 29, 2, 34, 80, 17, 9],
        [16, 30, 2, 35, 83, 18, 7],
        [19, 32, 2, 40, 93, 21, 5],
        [19, 38, 2, 44, 103, 21, 5],
    ];
    for (taps, row) in (1..).zip(rows) {
        let plan = planned(&model, Family::Taps(taps), Objective::Operations);
        assert_eq!(counted(&model, &plan), row, "{taps} taps in a ciphertext");
    }
}

/// The figures that can be added up by hand: six limbs at first; a stage of a fold costs a decomposition and a division.
#[test]
fn transforms_of_the_cryptonets_network() {
    let (model, parameters) = (model(&CRYPTONETS).unwrap(), parameters(8192).unwrap());
    let stack = Arc::new(Stack::new(&model.graph).unwrap());
    let row_sum = FoldChoice { radices: vec![2; 6], rescale_first: false };
    let tap_sum = FoldChoice { radices: vec![], rescale_first: false };
    let choice =
        Choice { taps_per_input: 1, carries_one: false, spacing: 881, tap_sum, baby_steps: 4, row_sum };
    let assembly = assemble(&stack, &parameters, &choice, 64.0).unwrap();
    let run = dry_run(&assembly.circuit);
    let ntts: Vec<u64> = run.layers.iter().map(|l| l.counts.work.ntts).collect();
    let transform = 12 + 3 * (6 + 12) + 12;
    let folds = 5 * (12 + 12) + (12 + 12);
    assert_eq!(ntts, [12, 21 + 14, transform + folds, 10 + 10, 4 + 1]);
    assert_eq!(run.totals.work.ntts, 294);
}

#[test]
fn each_objective_is_best_at_its_own() {
    let model = model(&CRYPTONETS).unwrap();
    let objectives = [Objective::Latency, Objective::Operations, Objective::KeySwitches, Objective::Upload];
    let plans = objectives
        .map(|o| explain(&planned(&model, Family::Auto, o), &model, &CostModel::default()).unwrap());
    for taps in 1..=4 {
        for objective in objectives {
            let other = planned(&model, Family::Taps(taps), objective);
            let other = explain(&other, &model, &CostModel::default()).unwrap();
            assert!(plans[0].predicted_ms <= other.predicted_ms);
            assert!(plans[1].totals.hops <= other.totals.hops);
            assert!(plans[2].totals.key_switches <= other.totals.key_switches);
            assert!(plans[3].upload_bytes <= other.upload_bytes);
        }
    }
    assert_eq!(plans[1].totals.hops, 79);
    assert_eq!(plans[2].totals.key_switches, 14);
    let sums = plans[0].layers.iter().fold((0, 0), |(h, n), l| (h + l.counts.hops, n + l.counts.ntts));
    assert_eq!(sums, (plans[0].totals.hops, plans[0].totals.ntts));
}

#[test]
fn limits_on_keys_and_errors_are_kept_or_refused_with_figures() {
    let model = model(&CRYPTONETS).unwrap();
    let free = planned(&model, Family::Auto, Objective::Latency);
    let free = explain(&free, &model, &CostModel::default()).unwrap();
    let limit = free.evaluation_key_bytes - 1;
    let tight = planner::plan(&model, &Options { max_key_bytes: Some(limit), ..Options::default() }).unwrap();
    assert!(explain(&tight, &model, &CostModel::default()).unwrap().evaluation_key_bytes <= limit);
    let keys = planner::plan(&model, &Options { max_key_bytes: Some(1 << 20), ..Options::default() });
    assert!(matches!(keys, Err(Error::Limit { what: "evaluation key bytes", .. })));
    let error = planner::plan(&model, &Options { max_error: Some(1e-9), ..Options::default() });
    assert!(matches!(error, Err(Error::Limit { what: "a predicted score error", .. })));
}

#[test]
fn what_does_not_fit_is_refused_with_figures() {
    let options = |degree| Options { ring_degree: Some(degree), ..Options::default() };
    let fits = model(&CRYPTONETS).unwrap();
    let refusal = |model: &Model, options: &Options| planner::plan(model, options).unwrap_err().to_string();
    assert!(refusal(&fits, &options(4096)).contains("128 bits of security allow at most 106"));
    assert!(refusal(&fits, &options(5000)).contains("5000: expected a power of two"));

    let mut deep = fits.clone();
    let square = deep.graph.layers[1].clone();
    deep.graph.layers.push(square);
    assert!(refusal(&deep, &Options::default()).contains("dense, square: expected"));

    let large = model(&Figures { outputs: 60, hidden: 4, ..CRYPTONETS }).unwrap();
    assert!(refusal(&large, &options(8192)).contains("10140: expected at most the 8192 slots"));
    assert_eq!(planned(&large, Family::Auto, Objective::Latency).public.parameters.degree, 16384);

    let scores = model(&Figures { scores: 40, ..CRYPTONETS }).unwrap();
    assert!(refusal(&scores, &options(8192)).contains("46 (40 scores): expected at most 31"));
    let taps = Options { family: Family::Taps(10), ..options(8192) };
    assert!(refusal(&fits, &taps).contains("taps in one ciphertext is 10: expected 1 to 9"));
}

#[test]
fn names_are_parsed_or_refused_with_what_is_offered() {
    assert_eq!("taps-3".parse::<Family>().unwrap(), Family::Taps(3));
    assert_eq!("auto".parse::<Family>().unwrap(), Family::Auto);
    for name in ["lola", "cryptonets", "lola-dense"] {
        let refusal = name.parse::<Family>().unwrap_err().to_string();
        assert!(refusal.contains("not offered yet") && refusal.contains("taps-1"), "{refusal}");
    }
    for name in ["", "taps-", "taps-0", "taps-x", "dense"] {
        assert!(name.parse::<Family>().unwrap_err().to_string().contains("unknown"));
    }
    assert!("throughput".parse::<Objective>().unwrap_err().to_string().contains("batches"));
    assert!("fast".parse::<Objective>().is_err());
    assert!("raw".parse::<ReplyKind>().is_err());
}

#[test]
fn an_input_out_of_range_or_of_the_wrong_length_is_refused() {
    let model = model(&CRYPTONETS).unwrap();
    let public = planned(&model, Family::Taps(2), Objective::Latency).public;
    let mut image = image(&CRYPTONETS);
    assert_eq!(public.write(&image).unwrap().len(), 13);
    assert!(matches!(public.write(&image[1..]), Err(Error::Length { expected: 784, actual: 783, .. })));
    image[5] = 1.5;
    assert!(matches!(public.write(&image), Err(Error::Range { index: 5, .. })));
    image[5] = f64::NAN;
    assert!(matches!(public.write(&image), Err(Error::Range { index: 5, .. })));
}

#[test]
fn scores_that_wrapped_around_are_recognised() {
    let layout = ReplyLayout::new(3, 16.0, 268369921.0);
    let reply = |scores: [f64; 3]| {
        let wrap = |s: f64| s - 2.0 * layout.capacity * (s / (2.0 * layout.capacity)).round();
        let check = scores.iter().sum::<f64>() / layout.check_divisor;
        [&scores.map(wrap)[..], &[0.0; 5], &[check]].concat()
    };
    let verdict = |scores| layout.read(&reply(scores)).unwrap().verdict;
    assert_eq!(verdict([1.0, -15.0, 31.0]), Verdict::Sound);
    assert!(matches!(verdict([1.0, 40.0, 2.0]), Verdict::OutOfRange { .. }));
    assert!(matches!(verdict([-33.0, -40.0, 2.0]), Verdict::OutOfRange { .. }));
    let mut random = reply([1.0, 2.0, 3.0]);
    random[4] = -0.5;
    assert!(matches!(layout.read(&random).unwrap().verdict, Verdict::WrongKeys { .. }));
    random[4] = f64::NAN;
    assert!(matches!(layout.read(&random).unwrap().verdict, Verdict::WrongKeys { .. }));
    assert!(layout.read(&[0.0; 8]).is_err());
}

#[test]
fn plans_are_the_same_each_time_and_survive_encoding() {
    let model = model(&CRYPTONETS).unwrap();
    let [first, second] = [0, 1].map(|_| planned(&model, Family::Auto, Objective::Latency));
    assert_eq!(first.digest(), second.digest());
    assert_eq!(Plan::from_bytes(&first.to_bytes()).unwrap(), first);
    assert_ne!(first.digest(), planned(&model, Family::Auto, Objective::Operations).digest());
    let other = Model { digest: [9; 32], ..model.clone() };
    assert_ne!(first.digest(), planned(&other, Family::Auto, Objective::Latency).digest());
    assert!(matches!(first.circuit(&other), Err(Error::OtherModel { .. })));
    assert!(first.circuit(&model).is_ok());
}

/// Every single byte of a plan changed in every way that a bit can: an error, or a plan that is consistent; never a panic.
#[test]
fn damaged_plans_are_refused_or_consistent() {
    let model = model(&Figures { input: Shape::new(1, 9, 9), hidden: 8, scores: 3, ..CRYPTONETS }).unwrap();
    let plan = planned(&model, Family::Taps(2), Objective::Latency);
    let bytes = plan.to_bytes();
    for at in 0..bytes.len() {
        assert!(Plan::from_bytes(&bytes[..at]).is_err(), "truncated to {at}");
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(read) = Plan::from_bytes(&damaged) {
                assert_ne!(read.digest(), plan.digest());
                let _ = read.circuit(&model);
            }
        }
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(Plan::from_bytes(&longer).unwrap_err().to_string().contains("1 bytes follow"));
    assert!(Plan::from_bytes(&vec![0; 2 << 20]).unwrap_err().to_string().contains("at most 1048576"));
}

#[test]
fn a_plan_with_other_choices_than_its_public_part_is_refused() {
    let model = model(&CRYPTONETS).unwrap();
    let (one, two) = (
        planned(&model, Family::Taps(1), Objective::Latency),
        planned(&model, Family::Taps(2), Objective::Latency),
    );
    let mut mixed = one.clone();
    mixed.public = two.public.clone();
    assert!(matches!(mixed.circuit(&model), Err(Error::Plan(_))));
}

proptest! {
    #[test]
    fn random_bytes_are_no_plan(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Plan::from_bytes(&bytes).is_err());
    }
}

/// The shipped model on the sample digits that are drawn for the project: clear and encrypted, for several plans.
#[test]
fn the_shipped_model_runs_encrypted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("models/cryptonets-mnist.onnx");
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return;
    }
    let model = Model::load(&path).unwrap();
    let parameters = parameters(8192).unwrap();
    let mut machine = Machine::new(&parameters, 3);
    let own = SecretKey::from_coefficients(&machine.context, &machine.secret.coefficients()).unwrap();
    for (family, objective) in [
        (Family::Auto, Objective::Latency),
        (Family::Auto, Objective::Operations),
        (Family::Taps(4), Objective::Latency),
    ] {
        let plan = planned(&model, family, objective);
        let stack = Arc::new(Stack::new(&model.graph).unwrap());
        let assembly = assemble(&stack, &parameters, plan.choice(), plan.public.score_bound).unwrap();
        let (mut squares, mut count) = (0.0, 0.0);
        for digit in 0..10 {
            let Ok(image) =
                network::Image::open(&root.join(format!("samples/digit-{digit}.png")), model.graph.input)
            else {
                continue;
            };
            let image = model.input(&image).unwrap();
            let expected = model.graph.infer(&image).unwrap();
            let clear = clear::run(&assembly.circuit, &plan.public.write(&image).unwrap()).unwrap();
            assert_close(&expected, &assembly.reply.read(&clear[0]).unwrap().scores).unwrap();
            let (coefficients, _) = machine.run(&assembly, &image, &own);
            let read = plan.public.reply.read(&coefficients).unwrap();
            assert_eq!(read.verdict, Verdict::Sound);
            assert_eq!(Model::class_of(&read.scores), Model::class_of(&expected));
            let errors = read.scores.iter().zip(&expected).map(|(a, b)| (a - b).powi(2));
            squares += errors.sum::<f64>();
            count += expected.len() as f64;
        }
        let measured = (squares / count).sqrt();
        println!(
            "{}: error {measured:.2e}, predicted {:.2e}",
            plan.public.representation, plan.public.predicted_error
        );
        assert!(count == 0.0 || measured < 4.0 * plan.public.predicted_error);
    }
}
