//! Which evaluation keys a circuit needs.

use crate::{Circuit, Operation};
use blindsight_ckks::KeyRequirements;
use std::collections::BTreeSet;

/// Each key at the highest level it is used at: a key for fewer levels is smaller.
pub(crate) fn requirements(circuit: &Circuit) -> KeyRequirements {
    let mut keys = KeyRequirements::default();
    for node in circuit.nodes() {
        let Some(operand) = node.operation.operands().first().copied() else { continue };
        let level = circuit.node(operand).level;
        if relinearises(circuit, &node.operation) {
            keys.relinearise_at(level);
        }
        rotations(&node.operation).into_iter().for_each(|steps| keys.rotate_at(steps, level));
    }
    keys
}

/// Whether an operation ends in a relinearisation. Every operation is named: a new one must say.
fn relinearises(circuit: &Circuit, operation: &Operation) -> bool {
    match operation {
        Operation::Multiply { .. } => true,
        Operation::Reduce { value, .. } => circuit.parts(*value) > 2,
        Operation::Input(_)
        | Operation::Dot { .. }
        | Operation::Transform { .. }
        | Operation::RotateAndSum { .. } => false,
        Operation::Add(..) | Operation::Sub(..) | Operation::AddPlain(..) | Operation::Rotate(..) => false,
        Operation::Rescale(_) | Operation::DropLevel(..) => false,
        Operation::Sum { .. } | Operation::Square(_) | Operation::Product { .. } => false,
        Operation::Divide { .. } => false,
    }
}

/// The rotations that an operation performs, zeros and repetitions among them.
fn rotations(operation: &Operation) -> Vec<usize> {
    match operation {
        Operation::Rotate(_, steps) => vec![*steps],
        Operation::RotateAndSum { stages, .. } => stages.concat(),
        Operation::Transform { giant_steps, order, .. } => {
            let baby_steps = giant_steps.iter().flat_map(|g| g.terms.iter().map(|term| term.baby_step));
            let steps: BTreeSet<usize> = giant_steps.iter().map(|g| g.rotation).collect();
            baby_steps.chain(order.rotations(&steps.into_iter().collect::<Vec<_>>())).collect()
        }
        Operation::Input(_) | Operation::Dot { .. } | Operation::Multiply { .. } => vec![],
        Operation::Add(..) | Operation::Sub(..) | Operation::AddPlain(..) => vec![],
        Operation::Rescale(_) | Operation::DropLevel(..) => vec![],
        Operation::Sum { .. } | Operation::Square(_) | Operation::Product { .. } => vec![],
        Operation::Reduce { .. } | Operation::Divide { .. } => vec![],
    }
}
