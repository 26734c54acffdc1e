//! The dry run: what a circuit will do, without doing it.

use crate::circuit::{Circuit, Label};
use crate::{CostModel, Counts, tally};
use blindsight_ckks::Level;

/// What one layer will do.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRun {
    /// What the layer is.
    pub label: Label,
    /// The level of its input.
    pub level_in: Level,
    /// The level of its output.
    pub level_out: Level,
    /// Its counts.
    pub counts: Counts,
}

/// What a circuit will do.
#[derive(Debug, Clone, PartialEq)]
pub struct DryRun {
    /// Layer by layer; reading the outputs is part of the last.
    pub layers: Vec<LayerRun>,
    /// Everything, nodes outside of layers too.
    pub totals: Counts,
    /// The ring degree.
    pub degree: usize,
}

impl DryRun {
    /// The predicted time in milliseconds on one core.
    pub fn milliseconds(&self, model: &CostModel) -> f64 {
        model.microseconds(&self.totals.work, self.degree) / 1e3
    }

    /// Bytes of plaintexts, of keys and of the ciphertexts of sums of products that are read, each as often
    /// as it is used.
    pub fn streamed_bytes(&self) -> u64 {
        self.totals.work.streamed * self.degree as u64 * size_of::<u32>() as u64
    }
}

/// Counts what `circuit` will do. Looks at no plaintext.
pub fn dry_run(circuit: &Circuit) -> DryRun {
    let counts: Vec<Counts> = circuit.nodes.iter().map(|n| tally::of_node(circuit, n)).collect();
    let reading: Counts = circuit.outputs.iter().map(|o| tally::of_output(circuit, o)).sum();
    let mut layers: Vec<LayerRun> =
        circuit.layers.iter().map(|span| layer_run(circuit, span, &counts)).collect();
    if let Some(last) = layers.last_mut() {
        last.counts += reading;
    }
    let totals = counts.into_iter().sum::<Counts>() + reading;
    DryRun { layers, totals, degree: circuit.slots() }
}

fn layer_run(circuit: &Circuit, span: &crate::Span, counts: &[Counts]) -> LayerRun {
    let operands = span.nodes().flat_map(|node| circuit.nodes[node].operation.operands());
    let from_outside = operands.filter(|v| !span.contains(v.index())).map(|v| circuit.node(v).level);
    let level_out = span.nodes().last().map_or(Level(0), |node| circuit.nodes[node].level);
    LayerRun {
        label: span.label.clone(),
        level_in: from_outside.min().unwrap_or(level_out),
        level_out,
        counts: span.nodes().map(|node| counts[node]).sum(),
    }
}
