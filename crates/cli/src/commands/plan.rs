//! `plan`: makes a plan and pins it.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::failure::Outcome;
use crate::figures::{bytes, milliseconds};
use crate::page::{Facts, Page, Shown};
use crate::plan_file;
use crate::report::{Output, emit};
use crate::session::timed;
use blindsight_ckks::wire;
use serde::Serialize;
use std::path::PathBuf;

/// Server: plans a model, and writes the plan for itself and its clients
///
/// The plan is made once and pinned: keys, ciphertexts and replies carry its digest. It holds no weights.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight plan cryptonets-mnist --out net.plan
  blindsight plan cryptonets-mnist --objective throughput --out batch.plan")]
pub struct Plan {
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    flags: PlanFlags,
    /// Where the plan goes
    #[arg(long, value_name = "PLAN")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    out: PathBuf,
    digest: String,
    plan_bytes: u64,
    plan_ms: f64,
    /// What was assumed, and what looks wrong.
    warnings: Vec<String>,
}

impl Plan {
    pub fn run(&self, output: Output) -> Outcome {
        let model = self.model.load()?;
        let (plan, plan_ms) = timed(|| self.flags.plan(&model));
        let plan = plan?;
        let warnings = PlanFlags::notices(&model, &plan)?;
        let report = Report {
            model: model.name,
            out: self.out.clone(),
            digest: wire::hex(&plan.digest()),
            plan_bytes: plan_file::write(&plan, &self.out)?,
            plan_ms,
            warnings,
        };
        emit(&report, output)
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let facts = Facts::default()
            .fact("plan", format!("{}, {}: clients need it, too", self.out.display(), bytes(self.plan_bytes)))
            .fact("digest", self.digest.clone())
            .fact("time", milliseconds(self.plan_ms));
        page.facts(facts);
        self.warnings.iter().for_each(|warning| page.warning(warning));
    }
}
