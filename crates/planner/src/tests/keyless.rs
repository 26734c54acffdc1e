//! Plans without evaluation keys: what they compute, what they take, and where they are refused.

use super::{CRYPTONETS, Figures, Machine, Random, figures, image, layer, model};
use crate::error::Limit;
use crate::{Error, Objective, Options, Packing, Plan, Recipe, ReplyKind, explain, keyless, plan, runner_up};
use blindsight_circuit::{CostModel, Counts, Work, dry_run, predict};
use blindsight_ckks::{KeyRequirements, Level, Parameters, Parts, Security};
use blindsight_layers::{Assembly, LayerGraph};
use blindsight_layout::{ReplyForm, ReplyLayout, Verdict};
use blindsight_network::{Dense, FinalActivation, Graph, Metadata, Model, Operator, Shape};
use proptest::prelude::*;

/// The shipped network of one convolution.
const ONNX: &[u8] = include_bytes!("../../../../models/lola-small-mnist.onnx");
const BOUND: f64 = 16.0;

fn shipped() -> Model {
    Model::from_bytes("lola-small-mnist", ONNX).expect("the shipped model")
}

/// Dense, square, dense on a vector.
fn of_vectors(features: usize, hidden: usize, scores: usize, biased: bool, seed: u64) -> Model {
    let mut random = Random(seed | 1);
    let mut dense = |rows: usize, columns: usize, share: f64| {
        let weights = random.values(rows * columns, share / columns as f64);
        let bias = if biased { random.values(rows, 0.1) } else { vec![0.0; rows] };
        Operator::Dense(Dense { rows, columns, weights, bias })
    };
    let layers = vec![
        layer("hidden", dense(hidden, features, 1.0)),
        layer("square", Operator::square(hidden)),
        layer("scores", dense(scores, hidden, 0.5)),
    ];
    let input = Shape::vector(features);
    let metadata = Metadata { input_range: (-1.0, 1.0), ..Metadata::new(input, scores) };
    Model {
        name: "random".into(),
        graph: Graph::chain(input, layers),
        metadata: Metadata { score_bound: Some(BOUND), ..metadata },
        output: FinalActivation::None,
        remarks: vec![],
        digest: [seed as u8; 32],
    }
}

fn assembled(model: &Model, degree: usize) -> Result<(Parameters, Assembly), Error> {
    let graph = LayerGraph::new(&model.graph, &model.metadata)?;
    let chain = crate::literature::Chain::new(&graph)?;
    let parameters = keyless::parameters(&chain, degree, BOUND, Security::Bits128)?;
    let assembly = Recipe::Keyless.assemble(&graph, &parameters, BOUND)?;
    Ok((parameters, assembly))
}

/// What the circuit computes in the clear is what the network computes; encrypted, up to the predicted error.
fn check(model: &Model, input: &[f64], degree: usize, seed: u64) -> Result<(), TestCaseError> {
    let (parameters, assembly) = match assembled(model, degree) {
        // All weights may be drawn as zeros.
        Err(Error::Constant { .. }) => return Ok(()),
        assembled => assembled.map_err(|e| TestCaseError::fail(e.to_string()))?,
    };
    prop_assert!(parameters.special().is_empty() && assembly.circuit.keys() == KeyRequirements::default());
    let expected = model.graph.infer(input).unwrap();
    let predicted = predict(&assembly.circuit, &assembly.input.write(input).unwrap()).unwrap();
    let clear: Vec<f64> = predicted.iter().flat_map(|p| p.values.clone()).collect();
    let read = assembly.reply.read(&clear).unwrap();
    for (score, expected) in read.scores.iter().zip(&expected) {
        prop_assert!((score - expected).abs() < 1e-9, "{} in the clear for {}", score, expected);
    }
    prop_assert!(clear[expected.len()..].iter().all(|zero| zero.abs() < 1e-9));

    let errors = assembly.reply.errors(&crate::errors::of_all_outputs(&predicted));
    let mut machine = Machine::new(&parameters, seed);
    let coefficients = machine.secret.coefficients();
    let own = blindsight_ckks::SecretKey::from_coefficients(&machine.context, &coefficients).unwrap();
    let (coefficients, counts) = machine.run(&assembly, input, &own);
    let dry = dry_run(&assembly.circuit).totals;
    prop_assert_eq!(Counts { work: Work::default(), ..dry }, counts);
    let read = assembly.reply.read(&coefficients).unwrap();
    prop_assert_eq!(read.verdict, Verdict::Sound);
    for (score, expected) in read.scores.iter().zip(&expected) {
        prop_assert!(
            (score - expected).abs() < 8.0 * errors.score,
            "{} for {}: {:.2e} was predicted",
            score,
            expected,
            errors.score
        );
    }
    let stranger = Machine::new(&parameters, !seed).secret;
    let read = assembly.reply.read(&machine.run(&assembly, input, &stranger).0).unwrap();
    prop_assert!(matches!(read.verdict, Verdict::WrongKeys { .. }), "{:?}", read.verdict);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn any_convolution_and_dense_layer_run_without_keys(
        f in figures(), scores in 1usize..40, seed: u64, log_degree in 12u32..14
    ) {
        let f = Figures { second: None, hidden: None, scores, ..f };
        let Some(model) = model(&f) else { return Ok(()) };
        check(&model, &image(&f), 1 << log_degree, seed)?;
    }

    #[test]
    fn any_two_dense_layers_run_without_keys(
        features in 1usize..20, hidden in 1usize..9, scores in 1usize..40, biased: bool, seed: u64
    ) {
        let model = of_vectors(features, hidden, scores, biased, seed);
        let input = Random(seed.wrapping_add(9) | 1).values(features, 1.0 / 3.0);
        check(&model, &input, 4096, seed)?;
    }

    /// Up to 63 times the range a score is told from one within, wherever it comes to lie.
    #[test]
    fn scores_beyond_the_range_are_told(times in 1.001f64..62.99, negative: bool, scores in 1usize..12) {
        let layout = ReplyLayout::unrelinearised(scores, BOUND, 1e9, 64).unwrap();
        let range = 2.0 * BOUND;
        prop_assert_eq!(layout.capacity, 32.0 * range);
        let score = if negative { -times } else { times } * range;
        let wrapped = score - 2.0 * layout.capacity * (score / 2.0 / layout.capacity).round();
        let mut values = vec![0.0; layout.values().len()];
        values[scores - 1] = wrapped;
        let verdict = layout.read(&values).unwrap().verdict;
        prop_assert!(matches!(verdict, Verdict::OutOfRange { .. }), "{} as {}: {:?}", score, wrapped, verdict);
        values[scores - 1] = BOUND;
        prop_assert_eq!(layout.read(&values).unwrap().verdict, Verdict::Sound);
    }
}

/// Over all coefficients of some runs the error is the predicted one.
#[test]
fn the_error_is_the_predicted_one() {
    let (mut measured, mut predicted, mut count) = (0.0, 0.0, 0);
    for seed in 0..6 {
        let f = Figures { hidden: None, scores: 31, seed, ..CRYPTONETS };
        let (model, input) = (model(&f).unwrap(), image(&f));
        let (parameters, assembly) = assembled(&model, 4096).unwrap();
        let errors = predict(&assembly.circuit, &assembly.input.write(&input).unwrap()).unwrap();
        let errors = assembly.reply.errors(&crate::errors::of_all_outputs(&errors));
        let mut machine = Machine::new(&parameters, seed);
        let coefficients = machine.secret.coefficients();
        let own = blindsight_ckks::SecretKey::from_coefficients(&machine.context, &coefficients).unwrap();
        let read = assembly.reply.read(&machine.run(&assembly, &input, &own).0).unwrap();
        for (score, expected) in read.scores.iter().zip(model.graph.infer(&input).unwrap()) {
            measured += (score - expected).powi(2);
            predicted += errors.score.powi(2);
            count += 1;
        }
    }
    let ratio = (measured / predicted).sqrt();
    assert!(count == 186 && (0.75..1.33).contains(&ratio), "{ratio} times the predicted error");
}

#[test]
fn the_planner_takes_it_where_it_costs_least() {
    let (model, options) = (shipped(), Options::default());
    let found = plan(&model, &options).unwrap();
    let said = explain(&found, &model, &CostModel::default()).unwrap();
    assert_eq!((&*said.representation, said.ring_degree, said.totals.key_switches), ("keyless", 4096, 0));
    // The file of keys is no more than its frame.
    assert_eq!(said.evaluation_key_bytes, 100);
    assert!(said.predicted_ms < 1.2 && said.upload_bytes < 2_700_000, "{said:?}");
    assert!(said.layers.iter().all(|layer| layer.reason.is_some()));
    assert_eq!(Plan::from_bytes(&found.to_bytes()).unwrap(), found);
    let other = runner_up(&model, &found, &options).unwrap().unwrap();
    let other = explain(&other, &model, &CostModel::default()).unwrap();
    assert!(other.totals.key_switches > 0 && other.cost(Objective::Latency) > said.cost(Objective::Latency));
    // Operations are fewer with keys.
    let operations = plan(&model, &Options { objective: Objective::Operations, ..options }).unwrap();
    assert_ne!(operations.public.representation, "keyless");
}

#[test]
fn no_keys_allowed_leads_to_it() {
    let none = Options { max_key_bytes: 0, objective: Objective::Operations, ..Options::default() };
    let found = plan(&shipped(), &none).unwrap();
    assert_eq!(found.public.representation, "keyless");
    assert_eq!(found.public.keys, KeyRequirements::default());
    let deep = plan(&model(&CRYPTONETS).unwrap(), &none).unwrap_err();
    assert!(matches!(deep, Error::Limit { limit: Limit::KeyBytes, .. }), "{deep}");
}

#[test]
fn what_it_is_not_for_is_refused() {
    let options = Options { packing: Packing::Keyless, ..Options::default() };
    assert_eq!("keyless".parse::<Packing>().unwrap(), Packing::Keyless);
    let deep = plan(&model(&CRYPTONETS).unwrap(), &options).unwrap_err();
    assert!(matches!(deep, Error::Chain { .. }), "{deep}");
    let private = Options { reply: ReplyKind::Private { kappa: 10 }, ..options.clone() };
    assert!(matches!(plan(&shipped(), &private), Err(Error::NotOffered { what: "reply", .. })));
    let small = Options { ring_degree: Some(1024), ..options.clone() };
    assert!(plan(&shipped(), &small).is_err());
    // Replicas are too few for a coefficient.
    let large = Figures { input: Shape::new(1, 60, 60), hidden: None, stride: [1, 1], ..CRYPTONETS };
    let refused = plan(&model(&large).unwrap(), &Options { ring_degree: Some(4096), ..options }).unwrap_err();
    assert!(refused.is_misfit(), "{refused}");
}

#[test]
fn a_client_checks_what_it_says_of_itself() {
    let options = Options { packing: Packing::Keyless, ..Options::default() };
    let sound = plan(&shipped(), &options).unwrap().public;
    assert_eq!(sound.reply.shape().parts, Parts::Three);
    let ReplyForm::Unrelinearised { ciphertexts, each } = sound.reply.form else { panic!("another form") };
    assert_eq!((ciphertexts, each), (2, 7));
    sound.validate().unwrap();
    let wrong = |change: &dyn Fn(&mut blindsight_layout::PublicPlan)| {
        let mut plan = sound.clone();
        change(&mut plan);
        assert!(plan.validate().is_err(), "{plan:?}");
    };
    wrong(&|plan| plan.keys.relinearise_at(Level(0)));
    wrong(&|plan| plan.keys.rotate_at(1, Level(0)));
    wrong(&|plan| plan.reply.form = ReplyForm::Unrelinearised { ciphertexts, each: each + 1 });
    wrong(&|plan| plan.reply.form = ReplyForm::Unrelinearised { ciphertexts: usize::MAX, each });
    wrong(&|plan| plan.reply.form = ReplyForm::Coefficients);
    wrong(&|plan| plan.reply.capacity *= 2.0);
    wrong(&|plan| {
        plan.reply.zero_checks.clear();
        plan.reply.form = ReplyForm::Unrelinearised { ciphertexts: 2, each: 5 };
    });
    wrong(&|plan| plan.input_scale.0 = f64::from(1 << 30) * f64::from(1 << 31));
}
