//! What of a circuit's plaintexts is encoded together.

use crate::Plain;
use crate::circuit::{Circuit, GiantStep, Operation, Value};
use std::ops::Range;

/// What is encoded in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// One plaintext: a factor or a summand.
    Plain(usize),
    /// The factors of a giant step of a transform.
    GiantStep {
        /// The transform's node.
        node: usize,
        /// Which of its giant steps.
        index: usize,
    },
}

/// All parts of a circuit, in the order of their first use.
pub(crate) struct Parts {
    all: Vec<Part>,
    /// How many plaintexts the parts have up to each one.
    ends: Vec<usize>,
    /// For each plaintext its part; those of transforms alone have none.
    plains: Vec<Option<usize>>,
    /// For each node the parts of its giant steps.
    giant_steps: Vec<Range<usize>>,
}

impl Parts {
    pub fn new(circuit: &Circuit) -> Self {
        let mut parts = Self {
            all: vec![],
            ends: vec![],
            plains: vec![None; circuit.plains().len()],
            giant_steps: vec![],
        };
        for (node, of_node) in circuit.nodes().iter().enumerate() {
            let start = parts.all.len();
            if let Operation::Transform { giant_steps, .. } = &of_node.operation {
                for (index, giant_step) in giant_steps.iter().enumerate() {
                    parts.push(Part::GiantStep { node, index }, giant_step.terms.len());
                }
            } else {
                of_node.operation.plains().into_iter().for_each(|plain| parts.plain(plain));
            }
            parts.giant_steps.push(start..parts.all.len());
        }
        parts
    }

    fn plain(&mut self, plain: Plain) {
        if self.plains[plain.index()].is_none() {
            self.plains[plain.index()] = Some(self.all.len());
            self.push(Part::Plain(plain.index()), 1);
        }
    }

    fn push(&mut self, part: Part, plains: usize) {
        self.all.push(part);
        self.ends.push(self.plains_before(self.all.len() - 1) + plains);
    }

    /// How many plaintexts the parts before one have.
    pub fn plains_before(&self, part: usize) -> usize {
        part.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    /// The first part that ends after so many plaintexts.
    pub fn after(&self, plains: usize) -> usize {
        self.ends.partition_point(|end| *end <= plains)
    }

    /// All of them.
    pub fn all(&self) -> &[Part] {
        &self.all
    }

    /// The part of a plaintext that is not a transform's.
    pub fn of_plain(&self, plain: Plain) -> usize {
        self.plains[plain.index()].expect("a plaintext of an operation is a part")
    }

    /// The parts of a transform's giant steps.
    pub fn of_transform(&self, value: Value) -> Range<usize> {
        self.giant_steps[value.index()].clone()
    }

    /// The parts that a node uses.
    pub fn of_node(&self, value: Value, operation: &Operation) -> Vec<usize> {
        match operation {
            Operation::Transform { .. } => self.of_transform(value).collect(),
            _ => operation.plains().into_iter().map(|plain| self.of_plain(plain)).collect(),
        }
    }
}

/// The giant steps of a transform.
pub(crate) fn giant_steps(circuit: &Circuit, node: usize) -> &[GiantStep] {
    match &circuit.nodes()[node].operation {
        Operation::Transform { giant_steps, .. } => giant_steps,
        _ => unreachable!("giant steps are parts of transforms"),
    }
}
