//! Chains of scalar sums, squares and products with plaintexts: what a circuit computes for many values at
//! once, without a rotation.
//!
//! A chain begins at ciphertexts and goes through *stages*: sums of scalar multiples, squares, or sums of
//! products with plaintexts, of all values of the stage before. It ends where its last values are *reduced*:
//! relinearised, if they were squared, and rescaled; or *divided*: left in three parts, which takes no key,
//! and rescaled. Nodes of a chain stand one after the other, so that an executor may compute them
//! together; what lies between is no ciphertext and no other operation takes it.

use crate::circuit::{Circuit, Node, Operation, Value};
pub use crate::sums::{ProductStage, ScalarRows, SumStage};
use blindsight_ckks::pointwise::{rounded_weight, sum_bytes};
use std::ops::Range;
use std::sync::Arc;

impl Operation {
    /// Whether the result is an unreduced value of a chain.
    pub(crate) const fn is_unreduced(&self) -> bool {
        matches!(self, Self::Sum { .. } | Self::Square(_) | Self::Product { .. })
    }
}

/// A chain: the nodes of each stage, and those that reduce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub stages: Vec<Range<usize>>,
    pub reduced: Range<usize>,
}

impl Circuit {
    /// The chain that begins at a node: stages that follow each other, up to the nodes that reduce or divide
    /// the last.
    pub(crate) fn chain_at(&self, start: usize) -> Option<Chain> {
        let nodes = &self.nodes;
        let begins = start == 0 || !nodes[start - 1].operation.is_unreduced();
        if !begins || !nodes[start].operation.is_unreduced() {
            return None;
        }
        let (mut stages, mut at) = (vec![], start);
        while nodes.get(at).is_some_and(|n| n.operation.is_unreduced()) {
            let end = at + nodes[at..].iter().take_while(|n| same_stage(&nodes[at], n)).count();
            stages.push(at..end);
            at = end;
        }
        let ends = |n: &&Node| matches!(n.operation, Operation::Reduce { .. } | Operation::Divide { .. });
        let reduced = nodes[at..].iter().take_while(ends).count();
        (reduced > 0).then_some(Chain { stages, reduced: at..at + reduced })
    }

    /// How many polynomials a value consists of: three after a square, until it is relinearised.
    pub(crate) fn parts(&self, value: Value) -> usize {
        match &self.node(value).operation {
            Operation::Square(_) | Operation::Divide { .. } => 3,
            Operation::Sum { stage, .. } => self.parts(stage.inputs[0]),
            Operation::Product { stage, .. } => self.parts(stage.inputs[0]),
            Operation::AddPlain(value, _) => self.parts(*value),
            _ => 2,
        }
    }

    /// Whether every operation acts on each slot by itself, and slots are what is read.
    pub fn is_slotwise(&self) -> bool {
        let slotwise = |n: &Node| match n.operation {
            Operation::Input(_) | Operation::Multiply { .. } | Operation::Add(..) | Operation::Sub(..) => {
                true
            }
            Operation::Sum { .. } | Operation::Square(_) => true,
            Operation::Reduce { .. } | Operation::Divide { .. } => true,
            Operation::Rescale(_) | Operation::DropLevel(..) => true,
            Operation::Rotate(..) | Operation::Transform { .. } | Operation::RotateAndSum { .. } => false,
            // Plaintexts are made for all slots.
            Operation::Dot { .. } | Operation::Product { .. } | Operation::AddPlain(..) => false,
        };
        let read = |o: &crate::Output| o.reading == crate::Reading::Slots;
        self.nodes.iter().all(slotwise) && self.outputs.iter().all(read)
    }

    /// Bytes of the chains' weights, encoded.
    pub fn chain_bytes(&self) -> usize {
        let stages = (0..self.nodes.len()).filter_map(|i| self.chain_at(i)).flat_map(|c| c.stages);
        stages.map(|stage| self.stage_bytes(stage)).sum()
    }

    fn stage_bytes(&self, nodes: Range<usize>) -> usize {
        let Node { operation, level, .. } = &self.nodes[nodes.start];
        let limbs = self.parameters.limbs(*level);
        match operation {
            Operation::Sum { stage, .. } => {
                // One that is too large to be encoded takes no less.
                let rounded = |w: f64| rounded_weight(w, stage.scale, *level).unwrap_or(i32::MAX);
                let row = |row| stage.rows.row(row).terms.iter().map(|t| (t.0, rounded(t.1))).collect();
                let matrix: Vec<Vec<(u32, i32)>> = (0..stage.rows.count()).map(row).collect();
                sum_bytes(&matrix, limbs)
            }
            Operation::Product { stage, .. } => {
                stage.rows.len() * stage.inputs.len() * limbs * self.slots() * size_of::<u32>()
            }
            _ => 0,
        }
    }
}

fn same_stage(a: &Node, b: &Node) -> bool {
    match (&a.operation, &b.operation) {
        (Operation::Sum { stage: a, .. }, Operation::Sum { stage: b, .. }) => Arc::ptr_eq(a, b),
        (Operation::Product { stage: a, .. }, Operation::Product { stage: b, .. }) => Arc::ptr_eq(a, b),
        (Operation::Square(_), Operation::Square(_)) => true,
        _ => false,
    }
}
