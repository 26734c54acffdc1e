//! Why each layer is computed as it is, in words and figures.

use crate::assemble;
use crate::choice::windows;
use crate::kernels::{Differences, FoldChoice, PointwiseKernel, bearer};
use crate::layer_graph::{Layer, LayerGraph};
use crate::layout::Blocks;
use crate::placement::Placement;
use crate::{Choice, Error, LayerChoice, Layout, Plan, Recipe};
use blindsight_circuit::DryRun;
use blindsight_network::Model;

/// A reason for each layer of a run; `None` where there was nothing to choose.
pub(crate) fn reasons(plan: &Plan, model: &Model, run: &DryRun) -> Result<Vec<Option<String>>, Error> {
    let Recipe::Layers(choice) = plan.recipe() else { return Ok(vec![None; run.layers.len()]) };
    let graph = LayerGraph::new(&model.graph, &model.metadata)?;
    let parameters = plan.public.parameters.clone().validate()?;
    let reply = assemble::reply(&graph, &parameters, choice, plan.public.score_bound)?;
    let mut layers = run.layers.iter();
    let mut reasons = vec![];
    let mut tensors = vec![choice.image.clone()];
    for (index, (layer, chosen)) in graph.layers.iter().zip(&choice.layers).enumerate() {
        let counts = layers.next().map(|run| run.counts).unwrap_or_default();
        let figures = Figures { rotations: counts.rotations, products: counts.plaintext_multiplications };
        reasons.push(Some(match chosen {
            LayerChoice::Windows { output, fold } => unrolled(layer, output, fold, figures)?,
            LayerChoice::Diagonals { output, fold, .. } => {
                let is_last = index + 1 == graph.layers.len();
                let extended = is_last.then(|| reply.extended(layer));
                diagonals(extended.as_ref().unwrap_or(layer), &tensors, output, fold, figures)
            }
            LayerChoice::Scores => coefficients(reply.indices().len(), choice),
        }));
        let sums = chosen.sum().map(|(output, _)| output.sums());
        reasons.extend(layer.pointwise.iter().map(|pointwise| {
            let layout = sums.as_ref()?;
            PointwiseKernel::new(&pointwise.operation, layout).reason()
        }));
        layers.by_ref().take(layer.pointwise.len()).for_each(drop);
        tensors.push(sums);
    }
    Ok(reasons)
}

/// What a layer was counted to take.
#[derive(Clone, Copy)]
struct Figures {
    rotations: u64,
    products: u64,
}

fn unrolled(layer: &Layer, output: &Layout, fold: &FoldChoice, figures: Figures) -> Result<String, Error> {
    let (windows, _) = windows(layer, output)?;
    let (taps, shared) = (windows.taps.len(), output.blocks.classes);
    let whole = windows.kernel[0] * windows.kernel[1] * (windows.input.channels / windows.groups);
    let unused = match whole - taps {
        0 => String::new(),
        unused => format!(" ({unused} of its window's {whole} have no weight)"),
    };
    let sums = match shared {
        1 => "no rotation".into(),
        _ => format!(
            "{} to add the {shared} that share a ciphertext{}",
            many(figures.rotations, "rotation"),
            stages(fold)
        ),
    };
    let copies = output.sums().blocks.count;
    Ok(format!(
        "the client writes what each of the {taps} taps sees{unused}, {shared} to a ciphertext: {} and {sums}; {}",
        many(figures.products, "product"),
        match copies {
            1 => "the output comes out once".into(),
            _ => format!("its output comes out {copies} times, for the next layer to use"),
        }
    ))
}

fn diagonals(
    layer: &Layer,
    tensors: &[Option<Layout>],
    to: &Layout,
    fold: &FoldChoice,
    figures: Figures,
) -> String {
    let once = |layout: &Layout| Placement::new(&layout.clone().with_blocks(Blocks::ONE));
    let inputs: Vec<Placement> =
        layer.terms.iter().filter_map(|term| tensors[term.operand.tensor].as_ref()).map(once).collect();
    let (bearer, output) = (bearer(&inputs), once(to));
    let terms = layer.terms.iter().zip(&inputs).enumerate().map(|(index, (term, input))| {
        let bias = (bearer == Some(index)).then_some(&*layer.bias);
        let differences = Differences::new(&term.linear, bias, input, &output);
        differences.count()
    });
    let plain: usize = terms.sum();
    let from = tensors[layer.main().operand.tensor].as_ref().unwrap_or(to);
    let folds = fold.radices.iter().map(|r| u64::from(*r) - 1).sum::<u64>() * to.ciphertexts as u64;
    let because = match (from.blocks.count, to.blocks.classes) {
        (1, 1) => String::new(),
        (copies, 1) => format!(", because {copies} copies of the input meet different ones"),
        (1, classes) => format!(", because {classes} blocks share out each row"),
        (copies, classes) => {
            format!(
                ", because {copies} copies of the input meet different ones and {classes} blocks share out each row"
            )
        }
    };
    let diagonals = match (figures.products as usize) < plain {
        true => format!("{} instead of {plain} diagonals{because}", many(figures.products, "product")),
        false => many(figures.products, "diagonal"),
    };
    let steps = many(figures.rotations.saturating_sub(folds), "rotation");
    match folds {
        0 => format!("{diagonals}, brought together by {steps}; nothing is left to be summed"),
        _ => format!(
            "{diagonals}, brought together by {steps}; {} to sum the {} blocks{}",
            many(folds, "rotation"),
            to.blocks.classes,
            stages(fold)
        ),
    }
}

/// In how many stages a sum is folded.
fn stages(fold: &FoldChoice) -> String {
    let radices: Vec<String> = fold.radices.iter().map(u8::to_string).collect();
    match radices.len() {
        0 | 1 => String::new(),
        _ => format!(" ({})", radices.join(" x ")),
    }
}

fn coefficients(count: usize, choice: &Choice) -> String {
    let read = choice.layers.iter().rev().find_map(LayerChoice::sum).map(|(layout, _)| layout.clone());
    let copies = read.or_else(|| choice.image.clone()).map_or(1, |layout| layout.blocks.count);
    format!(
        "every value stands in {copies} slots, so that one product has all {count} values of the reply as coefficients: no rotation"
    )
}

fn many(count: u64, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
