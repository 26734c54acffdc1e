//! Every choice, in the clear and encrypted, against plain inference.

use super::{Machine, figures, image, model, planned, small_parameters};
use crate::assemble::{Assembly, assemble};
use crate::planner::{Family, Objective};
use crate::representation::{Element, Representation};
use crate::stack::Stack;
use crate::{Choice, Error, Periodic, Verdict, parameters};
use circuit::{Counts, Work, clear, dry_run, predict};
use ckks::SecretKey;
use network::Model;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

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
