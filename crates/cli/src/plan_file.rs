//! Plans as files: framed like everything else that travels.

use crate::failure::{During, Failure, Outcome};
use crate::files;
use ckks::wire::{self, Expected, Header, KeyId, Kind, Length};
use packing::{LARGEST_PLAN_BYTES, Plan};
use std::path::Path;

/// Writes a plan: how many bytes.
pub fn write(plan: &Plan, path: &Path) -> Outcome<u64> {
    let header = Header { kind: Kind::Plan, plan: plan.digest(), key: KeyId::default() };
    let bytes = wire::seal(&header, &plan.to_bytes());
    files::write(path, &bytes)?;
    Ok(bytes.len() as u64)
}

/// Reads a plan, and checks it.
pub fn read(path: &Path) -> Outcome<Plan> {
    let file = files::open(path)?;
    parse(file).during(|| format!("plan {}", path.display()))
}

fn parse(source: impl std::io::Read) -> Outcome<Plan> {
    let length = Length::AtMost(LARGEST_PLAN_BYTES);
    let (header, payload) =
        wire::open(source, &Expected { kind: Kind::Plan, plan: None, key: None, length })?;
    let plan = Plan::from_bytes(&payload)?;
    match plan.digest() == header.plan {
        true => Ok(plan),
        false => Err(Failure::new(
            "its header names another plan than it holds: the file was put together wrongly",
        )),
    }
}
