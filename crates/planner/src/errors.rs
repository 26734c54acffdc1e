//! The errors of scores, as a plan's circuit makes them.

use crate::{Error, Plan};
use blindsight_circuit::{Prediction, predict};
use blindsight_layers::{Assembly, LayerGraph};
use blindsight_layout::InputLayout;
use blindsight_network::{Model, probe};

/// How many times as large as on the planner's probe the errors of a plan's scores are on these inputs: what
/// a model's metadata say so that predictions hold on data. Inputs that the plan has no room for are left
/// out; `None` where that are all.
///
/// # Errors
/// Where the plan is not the model's.
pub fn error_ratio(model: &Model, plan: &Plan, inputs: &[Vec<f64>]) -> Result<Option<f64>, Error> {
    let graph = &LayerGraph::new(&model.graph, &model.metadata)?;
    let parameters = &plan.public.validated_parameters()?;
    let assembly = plan.recipe().assemble(graph, parameters, plan.public.score_bound)?;
    let error = |input: &[f64]| Ok::<_, Error>(assembly.reply.errors(&runs(&assembly, input)?).score);
    let usual = error(&probe::usual(graph.input, &model.metadata))?;
    let squares: Vec<f64> =
        inputs.iter().filter_map(|input| error(input).ok()).map(|error| error * error).collect();
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    Ok((!squares.is_empty()).then(|| mean.sqrt() / usual))
}

/// The errors of all coefficients that are read of the reply, run by run.
pub(crate) fn runs(assembly: &Assembly, image: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
    /// Slots of a batch do not meet: a few, which all hold the same image, speak for all.
    const SLOTS: usize = 16;
    /// In a large circuit fewer: as many as leave what a tile reads in a cache.
    const FEW_SLOTS: usize = 8;
    const LARGE: usize = 10_000;
    let slots = if assembly.circuit.nodes().len() > LARGE { FEW_SLOTS } else { SLOTS };
    let inputs = match assembly.input {
        InputLayout::Batch(_) => image.iter().map(|pixel| vec![*pixel; slots]).collect(),
        _ => assembly.input.write(image)?,
    };
    Ok(of_all_outputs(&predict(&assembly.circuit, &inputs)?))
}

/// The errors of all outputs together, run by run.
pub(crate) fn of_all_outputs(predictions: &[Prediction]) -> Vec<Vec<f64>> {
    let runs = predictions.first().map_or(0, |prediction| prediction.errors.len());
    (0..runs).map(|run| predictions.iter().flat_map(|p| &p.errors[run]).copied().collect()).collect()
}
