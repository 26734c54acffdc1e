//! What encryption does to scores, without encrypting.

use crate::{Error, Plan};
use blindsight_circuit::predict;
use blindsight_layers::LayerGraph;
use blindsight_layout::InputLayout;
use blindsight_network::Model;
use blindsight_ring::parallel;

/// Errors that scores of these inputs may come out with: for each input a few draws, each with an error for
/// every score. Errors of one draw belong together, for those of two scores may depend on each other.
///
/// The circuit runs on plain numbers, and where the encrypted run makes an error, one of its size is made.
/// Inputs are normalised. Work is spread over rayon's current pool.
///
/// # Errors
/// Where the plan is not the model's or is for batches, and where an input does not fit or its values
/// overflow.
pub fn simulated_errors(model: &Model, plan: &Plan, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Error> {
    if matches!(plan.public.input, InputLayout::Batch(_)) {
        return Err(Error::plan("errors of a batch are not simulated: plan for single inputs".to_string()));
    }
    let graph = &LayerGraph::new(&model.graph, &model.metadata)?;
    let parameters = &plan.public.validated_parameters()?;
    let assembly = plan.recipe().assemble(graph, parameters, plan.public.score_bound)?;
    let of_input = |input: &Vec<f64>| -> Result<Vec<Vec<f64>>, Error> {
        let predictions = predict(&assembly.circuit, &assembly.input.write(input)?)?;
        let exact: Vec<f64> = predictions.iter().flat_map(|p| p.values.iter().copied()).collect();
        let scores = assembly.reply.read(&exact)?.scores;
        let wrong = |errors: Vec<f64>| -> Result<Vec<f64>, Error> {
            let read: Vec<f64> = exact.iter().zip(&errors).map(|(value, error)| value + error).collect();
            let wrong = assembly.reply.read(&read)?.scores;
            Ok(wrong.iter().zip(&scores).map(|(wrong, score)| wrong - score).collect())
        };
        crate::errors::of_all_outputs(&predictions).into_iter().map(wrong).collect()
    };
    let drawn = parallel::map(inputs.iter(), of_input).into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(drawn.concat())
}
