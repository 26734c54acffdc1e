//! Bounds and precision where a file says nothing of its scores, or something wrong.

use super::{CRYPTONETS, model};
use crate::{Error, Notice, Options, Plan, error_ratio, notices, plan};
use blindsight_network::{Model, Operator, ValueRange, probe};

/// A model whose scores are so many times as large.
fn scaled(factor: f64) -> Model {
    let mut model = model(&CRYPTONETS).unwrap();
    model.metadata.score_bound = None;
    let last = model.graph.nodes.last_mut().unwrap();
    let Operator::Dense(dense) = &mut last.operator else { panic!("the last layer is dense") };
    dense.weights.iter_mut().chain(&mut dense.bias).for_each(|w| *w *= factor);
    model
}

fn largest_score(model: &Model) -> f64 {
    let inputs = probe::inputs(model.graph.input, model.metadata.input_range);
    let scores = model.graph.infer_batch(&inputs).unwrap().concat();
    scores.iter().fold(0.0, |most: f64, s| most.max(s.abs()))
}

fn planned(model: &Model) -> Plan {
    plan(model, &Options::default()).unwrap()
}

/// A factor in the last layer changes neither the plan nor how much of a score its error is.
#[test]
fn small_and_large_scores_are_as_precise_as_others() {
    let share = |factor: f64| {
        let model = scaled(factor);
        let plan = planned(&model);
        assert!(plan.public.score_bound >= largest_score(&model), "{factor}");
        plan.public.predicted_error / largest_score(&model)
    };
    let usual = share(1.0);
    for factor in [1e-4, 1e-2, 30.0] {
        let share = share(factor);
        assert!(share < 2.5 * usual && usual < 2.5 * share, "{factor}: {share}, for a factor of one {usual}");
    }
}

#[test]
fn an_estimate_is_said_to_be_one() {
    let model = scaled(1.0);
    let plan = planned(&model);
    let said = notices(&model, &plan).unwrap();
    assert!(said.contains(&Notice::EstimatedBound { bound: plan.public.score_bound }), "{said:?}");
    assert!(said.contains(&Notice::AssumedPixels), "{said:?}");
    let mut said_all = model.clone();
    said_all.metadata.is_normalised = true;
    said_all.metadata.score_bound = Some(2.0 * largest_score(&model));
    assert_eq!(notices(&said_all, &planned(&said_all)).unwrap(), []);
}

#[test]
fn wrong_bounds_are_named() {
    let mut model = scaled(1.0);
    let reached = largest_score(&model);
    model.metadata.score_bound = Some(1000.0 * reached);
    let said = notices(&model, &planned(&model)).unwrap();
    assert!(said.iter().any(|notice| matches!(notice, Notice::LargeBound { .. })), "{said:?}");
    model.metadata.score_bound = Some(reached / 1000.0);
    let message = match plan(&model, &Options::default()) {
        Err(error @ Error::ScoreBound { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(plan) => notices(&model, &plan).unwrap().iter().map(ToString::to_string).collect(),
    };
    assert!(message.contains("score") && message.contains("bound") && !message.contains("2^"), "{message}");
}

/// What is recorded on data goes before what probe inputs show.
#[test]
fn recorded_scores_decide() {
    let mut model = scaled(1.0);
    let reached = 3.0 * largest_score(&model);
    let name = model.graph.nodes.last().unwrap().name.clone();
    model.metadata.ranges.insert(name, ValueRange { max: reached, rms: reached / 4.0 });
    assert!(planned(&model).public.score_bound >= reached);
}

/// A few inputs that are far off spoil neither the precision of the others nor what is said of the bound.
#[test]
fn outliers_are_named_and_set_aside() {
    let mut model = scaled(1.0);
    model.metadata.score_bound = Some(2.0 * largest_score(&model));
    let usual = planned(&model);
    let name = model.graph.nodes.last().unwrap().name.clone();
    model.metadata.ranges.insert(name, ValueRange { max: 1e12, rms: 1e9 });
    let plan = planned(&model);
    assert!(plan.public.predicted_error <= usual.public.predicted_error);
    let said = notices(&model, &plan).unwrap();
    assert!(said.iter().any(|notice| matches!(notice, Notice::Outliers { .. })), "{said:?}");
    assert!(!said.iter().any(|notice| matches!(notice, Notice::SmallBound { .. })), "{said:?}");
}

/// What is known of errors on data is in what is predicted.
#[test]
fn predicted_errors_are_those_on_data() {
    let mut model = scaled(1.0);
    let plan = planned(&model);
    let inputs = probe::inputs(model.graph.input, model.metadata.input_range);
    let ratio = error_ratio(&model, &plan, &inputs[1..5]).unwrap().unwrap();
    assert!(ratio != 1.0 && (0.2..5.0).contains(&ratio), "{ratio}");
    let ring = probe::image(model.graph.input, model.metadata.input_range);
    assert_eq!(error_ratio(&model, &plan, &[ring]).unwrap(), Some(1.0));
    assert_eq!(error_ratio(&model, &plan, &[]).unwrap(), None);
    model.metadata.error_ratio = Some(0.5);
    let halved = planned(&model).public.predicted_error / plan.public.predicted_error;
    assert!((halved - 0.5).abs() < 1e-12, "{halved}");
}
