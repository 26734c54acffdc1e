//! What is kept for this user: what `calibrate` found out about this machine, servers and how to reach them,
//! secret keys for them.

use crate::failure::{During, Failure, Outcome};
use crate::files;
use blindsight_circuit::CostModel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What this user knows of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownServer {
    /// This user's token.
    pub token: String,
    /// The certificate that the server must have.
    pub fingerprint: Option<String>,
    /// The file of the authorities that must have signed it.
    pub ca: Option<PathBuf>,
    /// The key that must have signed its models.
    #[serde(default)]
    pub pin: Option<String>,
}

/// A folder named `blindsight`: in the one that `variable` names, or in `below` the user's home.
fn folder(variable: &str, below: &str) -> Outcome<PathBuf> {
    let named = |variable| std::env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home =
        named(variable).or_else(|| named("HOME").map(|home| home.join(below))).or_else(|| named("APPDATA"));
    let home = home.ok_or_else(|| {
        Failure::new(format!("no folder to keep things in: none of {variable}, HOME and APPDATA is set"))
    })?;
    Ok(home.join("blindsight"))
}

fn configuration() -> Outcome<PathBuf> {
    folder("XDG_CONFIG_HOME", ".config")
}

/// Where the measured costs are kept: `blindsight/costs.json` in the user's configuration folder.
pub fn costs_path() -> Outcome<PathBuf> {
    Ok(configuration()?.join("costs.json"))
}

/// Where a server keeps what lasts: the folder given, or `blindsight/server` in the user's data folder. It is
/// made where it is missing.
pub fn server_folder(given: Option<&Path>) -> Outcome<PathBuf> {
    let folder = match given {
        Some(folder) => folder.to_path_buf(),
        None => folder("XDG_DATA_HOME", ".local/share")?.join("server"),
    };
    std::fs::create_dir_all(&folder).during(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Where plans are kept that were made before: they can be made anew at any time.
pub fn plans_folder() -> Outcome<PathBuf> {
    Ok(folder("XDG_CACHE_HOME", ".cache")?.join("plans"))
}

/// Where secret keys for servers' plans are kept.
pub fn secrets_folder() -> Outcome<PathBuf> {
    Ok(configuration()?.join("keys"))
}

/// The servers that this user knows, by address.
pub fn servers() -> Outcome<BTreeMap<String, KnownServer>> {
    let path = configuration()?.join("servers.json");
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).during(|| format!("servers in {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).during(|| format!("cannot read {}", path.display())),
    }
}

/// Keeps how to reach a server, in a file that only this user can read.
pub fn remember_server(address: &str, server: KnownServer) -> Outcome {
    let mut servers = servers()?;
    if servers.get(address) == Some(&server) {
        return Ok(());
    }
    servers.insert(address.into(), server);
    let folder = configuration()?;
    std::fs::create_dir_all(&folder).during(|| format!("cannot create {}", folder.display()))?;
    files::write_private(&folder.join("servers.json"), serde_json::to_string_pretty(&servers)?.as_bytes())
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
