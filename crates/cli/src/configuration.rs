//! What `calibrate` found out about this machine, kept for the planner.

use crate::failure::{During, Failure, Outcome};
use crate::files;
use circuit::CostModel;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Where the measured costs are kept: `blindsight/costs.json` in the user's configuration folder.
pub fn costs_path() -> Outcome<PathBuf> {
    let folder = |variable| std::env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = folder("XDG_CONFIG_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".config")))
        .or_else(|| folder("APPDATA"));
    let home = home.ok_or_else(|| {
        Failure::new("no configuration folder: none of XDG_CONFIG_HOME, HOME and APPDATA is set")
    })?;
    Ok(home.join("blindsight").join("costs.json"))
}

/// The measured costs, or the shipped ones where none were measured.
pub fn costs() -> Outcome<CostModel> {
    let Ok(path) = costs_path() else { return Ok(CostModel::default()) };
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).during(|| {
            format!("measured costs in {} (delete it or run `blindsight calibrate`)", path.display())
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(CostModel::default()),
        Err(error) => Err(error).during(|| format!("cannot read {}", path.display())),
    }
}

/// Keeps measured costs.
pub fn store_costs(costs: &CostModel) -> Outcome<PathBuf> {
    let path = costs_path()?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).during(|| format!("cannot create {}", folder.display()))?;
    }
    files::write(&path, serde_json::to_string_pretty(costs)?.as_bytes())?;
    Ok(path)
}
