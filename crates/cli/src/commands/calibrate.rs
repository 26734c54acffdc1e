//! `calibrate`: measures this machine for the cost model.

use crate::configuration;
use crate::failure::Outcome;
use crate::figures::{milliseconds, number};
use crate::machine::Machine;
use crate::page::{Facts, Page, Shown};
use crate::progress;
use crate::report::{Output, emit};
use crate::table::Table;
use blindsight_circuit::CostModel;
use blindsight_ring::Kernel;
use blindsight_server::calibration;
use serde::Serialize;
use std::path::PathBuf;

/// Measures this machine's operation times for the cost model, and stores them
///
/// Whole kernels are run at several ring degrees and the times of the units of work fitted to them; the
/// second table shows how well. `explain`, `plan` and everything else that plans uses the measured figures
/// from then on. Delete the file (its path is printed) to go back to the shipped ones. Run it on an idle
/// machine; it takes some ten seconds on one core.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  blindsight calibrate\n  blindsight calibrate --json")]
pub struct Calibrate {}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    microseconds: CostModel,
    kernels: Vec<Row>,
    path: PathBuf,
}

/// A kernel, its time and its prediction, in microseconds.
#[derive(Debug, Serialize)]
struct Row {
    kernel: &'static str,
    ring_degree: usize,
    measured: f64,
    predicted: f64,
}

impl Calibrate {
    pub fn run(&self, output: Output) -> Outcome {
        let bar = progress::bar("measuring", calibration::STEPS);
        let measured =
            calibration::measure(Kernel::from_environment()?, |done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        let path = configuration::store_costs(&measured.costs)?;
        let kernels = measured.kernels.into_iter().map(|k| Row {
            kernel: k.kernel,
            ring_degree: k.degree,
            measured: k.measured,
            predicted: k.predicted,
        });
        let kernels = kernels.collect();
        emit(&Report { machine: Machine::this()?, microseconds: measured.costs, kernels, path }, output)
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let (measured, shipped) = (&self.microseconds, CostModel::default());
        let rows = [
            ("transform", measured.ntt, shipped.ntt),
            ("multiply-accumulate", measured.multiply_accumulate, shipped.multiply_accumulate),
            ("permutation", measured.permutation, shipped.permutation),
            ("base conversion, each product", measured.conversion, shipped.conversion),
            ("addition or copy", measured.pass, shipped.pass),
            ("read from memory", measured.stream, shipped.stream),
            ("product with a scalar, in a batch", measured.scalar_product, shipped.scalar_product),
            ("expansion of a request", measured.expansion, shipped.expansion),
        ];
        let mut table = Table::new(["one limb of 8192 words", "this machine", "shipped figure"]);
        for (what, measured, shipped) in rows {
            table.row([what.to_string(), milliseconds(measured / 1e3), milliseconds(shipped / 1e3)]);
        }
        let mut kernels =
            Table::new(["kernel", "ring\ndegree", "measured", "predicted", "predicted /\nmeasured"]);
        for row in &self.kernels {
            kernels.row([
                row.kernel.to_string(),
                row.ring_degree.to_string(),
                milliseconds(row.measured / 1e3),
                milliseconds(row.predicted / 1e3),
                number(row.predicted / row.measured),
            ]);
        }
        page.table(&table);
        page.gap();
        page.table(&kernels);
        page.gap();
        page.facts(self.facts());
    }
}

impl Report {
    fn facts(&self) -> Facts {
        Facts::default()
            .fact("machine", self.machine.to_string())
            .fact("stored in", self.path.display().to_string())
    }
}
