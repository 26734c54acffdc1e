//! Plans as files.

use crate::failure::{During, Outcome};
use crate::files;
use blindsight_planner::Plan;
use std::path::Path;

/// Writes a plan: how many bytes.
pub fn write(plan: &Plan, path: &Path) -> Outcome<u64> {
    let bytes = plan.write();
    files::write(path, &bytes)?;
    Ok(bytes.len() as u64)
}

/// Reads a plan, and checks it.
pub fn read(path: &Path) -> Outcome<Plan> {
    Plan::read(files::open(path)?).during(|| format!("plan {}", path.display()))
}
