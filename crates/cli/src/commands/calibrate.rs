//! `calibrate`: measures this machine for the cost model.

use crate::configuration;
use crate::failure::Outcome;
use crate::machine::Machine;
use crate::progress;
use crate::report::{Facts, Table, emit};
use circuit::CostModel;
use ring::Kernel;
use serde::Serialize;
use server::calibration;
use std::fmt;
use std::path::PathBuf;

/// Measures this machine's operation times for the cost model, and stores them
///
/// `explain`, `plan` and everything else that plans uses the measured figures from then on. Delete the file (its path is printed) to
/// go back to the shipped ones. Run it on an idle machine; it takes a few seconds on one core.
#[derive(Debug, clap::Args)]
pub struct Calibrate {}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    microseconds: CostModel,
    path: PathBuf,
}

impl Calibrate {
    pub fn run(&self, json: bool) -> Outcome {
        let bar = progress::bar("measuring", calibration::MEASUREMENTS);
        let costs = calibration::measure(Kernel::from_environment()?, |done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        let path = configuration::store_costs(&costs)?;
        emit(&Report { machine: Machine::this()?, microseconds: costs, path }, json)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (measured, shipped) = (&self.microseconds, CostModel::default());
        let rows = [
            ("transform", measured.ntt, shipped.ntt),
            ("multiply-accumulate", measured.multiply_accumulate, shipped.multiply_accumulate),
            ("permutation", measured.permutation, shipped.permutation),
            ("base conversion, each product", measured.conversion, shipped.conversion),
            ("addition or copy", measured.pass, shipped.pass),
            ("read from memory", measured.stream, shipped.stream),
            ("product with a scalar, in a batch", measured.scalar_product, shipped.scalar_product),
        ];
        let mut table = Table::new(["one limb of 8192 words", "this machine", "shipped figure"]);
        for (what, measured, shipped) in rows {
            table.row([what.to_string(), format!("{measured:.2} us"), format!("{shipped:.2} us")]);
        }
        write!(f, "{table}\n{}", self.facts())
    }
}

impl Report {
    fn facts(&self) -> Facts {
        Facts::default()
            .fact("machine", self.machine.to_string())
            .fact("stored in", self.path.display().to_string())
    }
}
