//! Plans of all kinds, in the clear and encrypted, against plain inference.

use super::{
    Figures, Machine, Random, check_search, figures, image, layer, model, options, planned, small_parameters,
};
use crate::search::Map;
use crate::{Error, Lola, Objective, Options, Packing, Recipe};
use blindsight_circuit::{Circuit, Counts, Span, Work, clear, dry_run, predict};
use blindsight_ckks::SecretKey;
use blindsight_layers::{Assembly, Choice, Cost, LayerGraph, assemble};
use blindsight_layout::Error as LayoutError;
use blindsight_layout::{Placement, Verdict};
use blindsight_network::{Dense, Graph, Metadata, Model, Operator, Shape};
use proptest::prelude::*;
use std::collections::HashSet;
use std::path::Path;

pub fn assert_close(expected: &[f64], actual: &[f64]) -> Result<(), TestCaseError> {
    let largest = expected.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
    prop_assert_eq!(expected.len(), actual.len());
    for (a, b) in expected.iter().zip(actual) {
        prop_assert!((a - b).abs() <= 1e-9 * largest, "{} instead of {}", b, a);
    }
    Ok(())
}

/// The nodes of a span that none of its others reads, in order: its ciphertexts.
fn results(circuit: &Circuit, span: &Span) -> Vec<usize> {
    let operands = span.nodes().flat_map(|node| circuit.nodes()[node].operation.operands());
    let read: HashSet<usize> = operands.map(|value| value.index()).collect();
    span.nodes().filter(|node| !read.contains(node)).collect()
}

/// Checks that the result of each layer, and of each operation on it, lies where the layer's layout says.
fn check_layers(
    assembly: &Assembly,
    chain: &LayerGraph,
    choice: &Choice,
    model: &Model,
    image: &[f64],
) -> Result<(), TestCaseError> {
    let values = clear::trace(&assembly.circuit, &assembly.input.write(image).unwrap()).unwrap();
    let fused = model.graph.fused(&model.metadata).unwrap();
    let named = |name: &str| fused.nodes.iter().position(|node| node.name == name).unwrap();
    let tensors = fused.trace(image).unwrap();
    let mut spans = assembly.circuit.layers().iter();
    for (layer, chosen) in chain.layers.iter().zip(&choice.layers).take(chain.layers.len() - 1) {
        let placement = Placement::new(&chosen.sum().unwrap().0.sums());
        let names = std::iter::once(&layer.name).chain(layer.pointwise.iter().map(|p| &p.name));
        for name in names {
            let span = spans.next().unwrap();
            prop_assert_eq!(&span.label.name, name);
            let ciphertexts = results(&assembly.circuit, span);
            prop_assert_eq!(ciphertexts.len(), placement.ciphertexts);
            let slots = ciphertexts.iter().flat_map(|node| &values[*node]);
            check_slots(name, slots, &placement, &tensors[named(name)])?;
        }
    }
    Ok(())
}

/// Checks that every element of a tensor, and all its copies, lie where they are placed.
fn check_slots<'a>(
    name: &str,
    slots: impl Iterator<Item = &'a f64>,
    placement: &Placement,
    tensor: &[f64],
) -> Result<(), TestCaseError> {
    let mut seen = vec![false; placement.base.len()];
    for (position, z) in slots.enumerate() {
        let Some((_, element)) = placement.at(position) else { continue };
        let expected = tensor.get(element).copied().unwrap_or(1.0);
        let tolerance = 1e-9 * expected.abs().max(1.0);
        prop_assert!(
            (z - expected).abs() < tolerance,
            "{} position {}: {}, not {}",
            name,
            position,
            z,
            expected
        );
        seen[element] = true;
    }
    prop_assert!(seen.into_iter().all(|s| s));
    Ok(())
}

/// Slots from which on everything that is drawn here can be planned.
const ENOUGH: usize = 1024;

/// The planner's choice in a small ring; `None` where the network does not fit, which must not be where all
/// ways are open and slots are many.
fn chosen(model: &Model, degree: usize, options: &Options) -> Option<(LayerGraph, Choice, Assembly)> {
    let parameters = small_parameters(model, degree);
    let plan = match crate::plan_for(model, &parameters, options) {
        // A packing asked for by name may not fit, and few slots hold few copies.
        Err(Error::Layout(LayoutError::DoesNotFit { .. }) | Error::Limit { .. } | Error::Circuit(_))
            if options.packing != Packing::Auto || degree < ENOUGH =>
        {
            return None;
        }
        // Weights may be drawn whose scores no bound of ours holds.
        Err(Error::ScoreBound { reached, bound, .. }) if reached > bound => return None,
        // Or none that are other than zero.
        Err(Error::Constant { .. }) => return None,
        plan => plan.unwrap(),
    };
    let chain = LayerGraph::new(&model.graph, &model.metadata).unwrap();
    let Recipe::Layers(choice) = plan.recipe() else { panic!("a plan that was not searched") };
    let assembly = assemble(&chain, &parameters, choice, plan.public.score_bound).unwrap();
    Some((chain, choice.clone(), assembly))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_equals_plain_inference(f in figures(), log_degree in 8u32..=10, options in options()) {
        let Some(model) = model(&f) else { return Ok(()) };
        let Some((chain, choice, assembly)) = chosen(&model, 1 << log_degree, &options) else { return Ok(()) };
        let image = image(&f);
        let coefficients = clear::run(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap();
        let read = assembly.reply.read(&coefficients[0]).unwrap();
        prop_assert_eq!(read.verdict, Verdict::Sound);
        assert_close(&model.graph.infer(&image).unwrap(), &read.scores)?;
        check_layers(&assembly, &chain, &choice, &model, &image)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_runs_encrypted(f in figures(), log_degree in 8u32..=11, options in options()) {
        let Some(model) = model(&f) else { return Ok(()) };
        let degree = 1 << log_degree;
        let Some((_, _, assembly)) = chosen(&model, degree, &options) else { return Ok(()) };
        let image = image(&f);
        let predicted = predict(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap().remove(0);
        let deviation = assembly.reply.errors(&predicted.errors).score;
        let mut machine = Machine::new(&small_parameters(&model, degree), f.seed);
        let other = Machine::new(&small_parameters(&model, degree), f.seed ^ 1).secret;
        let own = SecretKey::from_coefficients(&machine.context, &machine.secret.coefficients()).unwrap();
        let (coefficients, counts) = machine.run(&assembly, &image, &own);

        let dry = dry_run(&assembly.circuit).totals;
        prop_assert_eq!(Counts { work: Work::default(), ..dry }, counts);
        let read = assembly.reply.read(&coefficients).unwrap();
        prop_assert_eq!(read.verdict, Verdict::Sound);
        for (expected, score) in model.graph.infer(&image).unwrap().iter().zip(&read.scores) {
            prop_assert!((expected - score).abs() < 12.0 * deviation, "{} for {}", score, expected);
        }
        // Where weights between were drawn as zeros, or next to it, scores are constants beside their errors,
        // which any key reads.
        let scores = |image: &[f64]| model.graph.infer(image).unwrap();
        let (blank, scores) = (scores(&vec![0.0; image.len()]), scores(&image));
        if blank.iter().zip(&scores).all(|(a, b)| (a - b).abs() < deviation) {
            return Ok(());
        }
        let (foreign, _) = machine.run(&assembly, &image, &other);
        let verdict = assembly.reply.read(&foreign).unwrap().verdict;
        prop_assert!(matches!(verdict, Verdict::WrongKeys { .. }), "{:?}", verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_small_network_is_planned_where_slots_are_many(f in figures(), options in options()) {
        let Some(model) = model(&f) else { return Ok(()) };
        let options = Options { packing: Packing::Auto, ..options };
        let parameters = small_parameters(&model, ENOUGH);
        let is_refused = || match crate::plan_for(&model, &parameters, &options) {
            Err(error) => matches!(error, Error::ScoreBound { .. } | Error::Constant { .. }),
            Ok(_) => false,
        };
        prop_assert!(chosen(&model, ENOUGH, &options).is_some() || is_refused());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// What the search counts before anything is built is what the circuit then counts.
    #[test]
    fn the_cost_of_a_choice_is_that_of_its_circuit(f in figures(), log_degree in 8u32..=10, options in options()) {
        check_search(&f, log_degree, &options, |search| {
            let found = Map::new(search).cheapest(&[], |_| true);
            let Ok(Some((Cost(cost), choice))) = found else { return Ok(()) };
            let assembly = assemble(search.network.graph, search.network.parameters, &choice, search.network.bound).unwrap();
            let totals = dry_run(&assembly.circuit).totals;
            let (hops, switches) = (totals.hops() as f64, totals.key_switches() as f64);
            let counted = match options.objective {
                Objective::Operations => [cost[0], cost[1]],
                Objective::KeySwitches => [cost[1], cost[0]],
                Objective::Upload => [cost[3], switches],
                _ => [cost[2], cost[3]],
            };
            prop_assert_eq!([hops, switches], counted);
            Ok(())
        })?;
    }
}

/// What is predicted is the root mean square over keys: of scores, of zero checks, which hardly anything is
/// wrong with, and of range checks.
#[test]
fn predicted_errors_are_those_of_many_keys() {
    let figures = Figures { input: Shape::new(1, 12, 12), hidden: Some(20), ..super::CRYPTONETS };
    let model = model(&figures).unwrap();
    for packing in [Packing::Auto, Packing::Image] {
        let options = Options { packing, ..Options::default() };
        let (_, _, assembly) = chosen(&model, 512, &options).expect("it fits");
        let (image, reply) = (image(&figures), &assembly.reply);
        let slots = assembly.input.write(&image).unwrap();
        let exact = clear::run(&assembly.circuit, &slots).unwrap().remove(0);
        let predicted = reply.errors(&predict(&assembly.circuit, &slots).unwrap()[0].errors);
        let run = |seed| {
            let mut machine = Machine::new(assembly.circuit.parameters(), seed);
            let own = SecretKey::from_coefficients(&machine.context, &machine.secret.coefficients()).unwrap();
            let (coefficients, _) = machine.run(&assembly, &image, &own);
            coefficients.iter().zip(&exact).map(|(a, b)| a - b).collect()
        };
        let measured = reply.errors(&(0..64).map(run).collect::<Vec<_>>());
        let close = |a: f64, b: f64| (0.75..1.33).contains(&(a / b));
        let all = close(measured.score, predicted.score)
            && close(measured.zero_check, predicted.zero_check)
            && close(measured.range_check, predicted.range_check);
        assert!(all, "{packing}, {:?}: measured {measured:?}, predicted {predicted:?}", reply.form);
    }
}

/// Images that do not fit one ciphertext, layers that take several, and both in a ring of few slots.
#[test]
fn tensors_over_several_ciphertexts() {
    let figures =
        Figures { outputs: 6, hidden: None, second: Some((4, 3, 2, 1)), scores: 3, ..super::CRYPTONETS };
    let model = model(&figures).unwrap();
    for packing in [Packing::Auto, Packing::Image] {
        let options = Options { packing, ..Options::default() };
        let (_, choice, assembly) = chosen(&model, 512, &options).expect("it fits");
        assert!(choice.layers[0].sum().unwrap().0.ciphertexts > 1);
        let image = image(&figures);
        let coefficients = clear::run(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap();
        assert_close(
            &model.graph.infer(&image).unwrap(),
            &assembly.reply.read(&coefficients[0]).unwrap().scores,
        )
        .unwrap();
        check_layers(
            &assembly,
            &LayerGraph::new(&model.graph, &model.metadata).unwrap(),
            &choice,
            &model,
            &image,
        )
        .unwrap();
    }
}

/// Eight dense layers with a square between any two: fifteen levels, one more than ring degree 16384 has.
/// Near one the square of half of a number and a half changes as much as the number, so that values neither
/// vanish nor explode.
#[test]
fn a_deep_network_runs_encrypted_in_the_ring_that_it_takes() {
    let (width, squares) = (8, 7);
    let mut random = Random(5);
    let mut dense = |rows: usize, neighbour: f64, bias: f64, mean_square: f64| {
        let mut weights = random.values(rows * width, mean_square);
        (0..rows).for_each(|row| weights[row * width + (row + 1) % width] += neighbour);
        layer("dense", Operator::Dense(Dense { rows, columns: width, weights, bias: vec![bias; rows] }))
    };
    let mut layers = vec![dense(width, 0.3, 0.85, 1e-4), layer("square", Operator::square(width))];
    (1..squares).for_each(|_| {
        layers.extend([dense(width, 0.5, 0.5, 1e-4), layer("square", Operator::square(width))])
    });
    layers.push(dense(3, 1.0, 0.0, 0.3));
    let mut model = model(&super::CRYPTONETS).unwrap();
    model.graph = Graph::chain(Shape::new(1, 2, 4), layers);
    model.metadata = Metadata { score_bound: Some(16.0), ..Metadata::new(model.graph.input, 3) };
    let plan = planned(&model, Packing::Auto, Objective::Latency);
    let parameters = plan.public.validated_parameters().unwrap();
    assert_eq!((parameters.degree(), parameters.max_level().0), (32768, 15));

    let chain = LayerGraph::new(&model.graph, &model.metadata).unwrap();
    let assembly = plan.recipe().assemble(&chain, &parameters, plan.public.score_bound).unwrap();
    let image: Vec<f64> = (0..width).map(|i| i as f64 / width as f64).collect();
    let mut machine = Machine::new(&parameters, 8);
    let own = SecretKey::from_coefficients(&machine.context, &machine.secret.coefficients()).unwrap();
    let (coefficients, _) = machine.run(&assembly, &image, &own);
    let read = plan.public.reply.read(&coefficients).unwrap();
    assert_eq!(read.verdict, Verdict::Sound);
    for (expected, score) in model.graph.infer(&image).unwrap().iter().zip(&read.scores) {
        let error = (expected - score).abs();
        assert!(error < 8.0 * plan.public.predicted_error, "{score} for {expected}");
    }
}

/// The shipped model on the sample digits that are drawn for the project: clear and encrypted, for several
/// plans.
#[test]
fn the_shipped_model_runs_encrypted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("models/cryptonets-mnist.onnx");
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return;
    }
    let model = Model::load(&path).unwrap();
    for (packing, objective) in [
        (Packing::Auto, Objective::Latency),
        (Packing::Auto, Objective::Operations),
        (Packing::Im2col(4), Objective::Latency),
        (Packing::Image, Objective::Latency),
        (Packing::Lola(Lola::Offsets), Objective::Latency),
        (Packing::Lola(Lola::Dense), Objective::Latency),
    ] {
        let plan = planned(&model, packing, objective);
        let parameters = plan.public.validated_parameters().unwrap();
        let mut machine = Machine::new(&parameters, 3);
        let own = SecretKey::from_coefficients(&machine.context, &machine.secret.coefficients()).unwrap();
        let chain = LayerGraph::new(&model.graph, &model.metadata).unwrap();
        let assembly = plan.recipe().assemble(&chain, &parameters, plan.public.score_bound).unwrap();
        let (mut squares, mut count) = (0.0, 0.0);
        for digit in 0..10 {
            let Ok((image, _)) = blindsight_data::open_image(
                &root.join(format!("samples/digit-{digit}.png")),
                model.graph.input,
            ) else {
                continue;
            };
            let image = model.input(&image).unwrap();
            let expected = model.graph.infer(&image).unwrap();
            let clear = clear::run(&assembly.circuit, &plan.public.write(&image).unwrap()).unwrap();
            assert_close(&expected, &assembly.reply.read(&clear.concat()).unwrap().scores).unwrap();
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
