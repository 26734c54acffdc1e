//! The circuit itself: a list of nodes in static single assignment, in an order in which they can be
//! computed.

use crate::sums::{ProductStage, SumStage};
pub use crate::value::{Plain, Value};
use crate::{Factors, PlainSpec, keys};
use blindsight_ckks::{GiantOrder, KeyRequirements, Level, Parameters, Rescale, Scale};
use std::ops::Range;
use std::sync::Arc;

/// One giant step of a [`Operation::Transform`]: `rotation` of the sum of `plain * rotated value` over the
/// terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiantStep {
    /// The rotation of the sum, to the left.
    pub rotation: usize,
    /// What is summed.
    pub terms: Vec<Term>,
}

/// One product of a [`GiantStep`]: a value of the transform, rotated, times a plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Which of the transform's values.
    pub input: usize,
    /// Its rotation, to the left.
    pub baby_step: usize,
    /// What multiplies it.
    pub plain: Plain,
}

/// What a node computes. Rotations are to the left: slot `j` of the result is slot `j + steps`, cyclically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// An encrypted input of the circuit, by its place among all of them. Its node may stand anywhere before
    /// its first use.
    Input(usize),
    /// The sum of products of a value and a plaintext, reduced once and rescaled once.
    Dot {
        /// The products.
        terms: Vec<(Value, Plain)>,
        /// Whether the sum is rescaled.
        rescale: Rescale,
    },
    /// `a + b`.
    Add(Value, Value),
    /// `a - b`.
    Sub(Value, Value),
    /// A value and a plaintext summand.
    AddPlain(Value, Plain),
    /// The relinearised product; a square where both are the same value.
    Multiply {
        /// The first factor.
        a: Value,
        /// The second factor.
        b: Value,
        /// Whether the product is rescaled.
        rescale: Rescale,
    },
    /// A rotation by itself.
    Rotate(Value, usize),
    /// A linear transform of several values in baby and giant steps: the baby steps of a value share one
    /// decomposition. Where plaintexts are extended it is
    /// hoisted twice, and each giant step has one mod-down (ia.cr/2020/1203, algorithm 6).
    Transform {
        /// What is transformed.
        values: Vec<Value>,
        /// The giant steps.
        giant_steps: Vec<GiantStep>,
        /// How their rotations are made.
        order: GiantOrder,
        /// Whether the sum is rescaled.
        rescale: Rescale,
    },
    /// For each stage in turn `v = v + sum of v rotated by each of the stage's steps`.
    RotateAndSum {
        /// What is summed.
        value: Value,
        /// The rotations of each stage; those of one stage are hoisted.
        stages: Vec<Vec<usize>>,
        /// Whether the result is rescaled.
        rescale: Rescale,
    },
    /// A rescale by itself.
    Rescale(Value),
    /// The value at a lower level, its scale unchanged.
    DropLevel(Value, Level),
    /// A row of a stage of sums of scalar multiples, and a constant; not reduced (see [`crate::scalar`]).
    Sum {
        /// The stage.
        stage: Arc<SumStage>,
        /// The row.
        row: usize,
    },
    /// A square, not reduced.
    Square(Value),
    /// A row of a stage of sums of products with plaintexts; not reduced.
    Product {
        /// The stage.
        stage: Arc<ProductStage>,
        /// The row.
        row: usize,
    },
    /// The end of a chain: the value relinearised, where it was squared, and divided by the last primes of
    /// its level.
    Reduce {
        /// What is reduced.
        value: Value,
        /// By how many primes it is divided.
        rescales: usize,
    },
    /// The end of a chain that squares and needs no key: the value, in three parts as it is, divided by the
    /// last primes of its level.
    Divide {
        /// What is divided.
        value: Value,
        /// By how many primes.
        rescales: usize,
    },
}

impl Operation {
    /// The operation's name, for messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Input(_) => "input",
            Self::Dot { .. } => "dot product",
            Self::Add(..) => "addition",
            Self::Sub(..) => "subtraction",
            Self::AddPlain(..) => "plaintext addition",
            Self::Multiply { .. } => "multiplication",
            Self::Rotate(..) => "rotation",
            Self::Transform { .. } => "linear transform",
            Self::RotateAndSum { .. } => "rotate and sum",
            Self::Rescale(..) => "rescale",
            Self::DropLevel(..) => "level drop",
            Self::Sum { .. } => "scalar sum",
            Self::Square(_) => "square",
            Self::Product { .. } => "sum of products",
            Self::Reduce { .. } => "reduction",
            Self::Divide { .. } => "division",
        }
    }

    /// The plaintexts that it names, one after the other; a chain's weights are none.
    pub fn plains(&self) -> Vec<Plain> {
        match self {
            Self::Dot { terms, .. } => terms.iter().map(|(_, plain)| *plain).collect(),
            Self::AddPlain(_, plain) => vec![*plain],
            Self::Transform { giant_steps, .. } => {
                giant_steps.iter().flat_map(|giant_step| &giant_step.terms).map(|term| term.plain).collect()
            }
            _ => vec![],
        }
    }

    /// The values that it reads, one that is read twice listed twice.
    pub fn operands(&self) -> Vec<Value> {
        match self {
            Self::Input(_) => vec![],
            Self::Dot { terms, .. } => terms.iter().map(|(v, _)| *v).collect(),
            // Its first row and its last read all that the stage does: this is there as long as it computes.
            Self::Sum { stage, row } if *row == 0 || row + 1 == stage.rows.count() => stage.inputs.clone(),
            Self::Sum { .. } => vec![],
            Self::Product { stage, .. } => stage.inputs.clone(),
            Self::Add(a, b) | Self::Sub(a, b) | Self::Multiply { a, b, .. } => vec![*a, *b],
            Self::AddPlain(v, _)
            | Self::Rotate(v, _)
            | Self::Rescale(v)
            | Self::DropLevel(v, _)
            | Self::Square(v)
            | Self::Reduce { value: v, .. }
            | Self::Divide { value: v, .. }
            | Self::RotateAndSum { value: v, .. } => vec![*v],
            Self::Transform { values, .. } => values.clone(),
        }
    }
}

/// One node: an operation, and the level and scale of its result.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it computes.
    pub operation: Operation,
    /// The level of the result.
    pub level: Level,
    /// The scale of the result.
    pub scale: Scale,
}

/// What is read of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// All its slots.
    Slots,
    /// These coefficients of its polynomial, and nothing else.
    Coefficients(Vec<usize>),
}

/// An output of the circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The value.
    pub value: Value,
    /// What is read of it.
    pub reading: Reading,
}

/// What a layer of the network is called, and between which representations it maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The layer's name.
    pub name: String,
    /// The layer's kind.
    pub kind: String,
    /// What it reads.
    pub inputs: Vec<LabelInput>,
    /// The representation of its output, in words.
    pub representation_out: String,
}

/// What a layer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelInput {
    /// The name of the layer that made it, or of the input.
    pub name: String,
    /// Its representation, in words.
    pub representation: String,
}

/// The nodes of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What the layer is.
    pub label: Label,
    /// Its nodes, piece by piece in their order: between two pieces lie nodes of other layers.
    pub pieces: Vec<Range<usize>>,
}

impl Span {
    /// Its nodes, by their positions in the circuit.
    pub fn nodes(&self) -> impl Iterator<Item = usize> + '_ {
        self.pieces.iter().cloned().flatten()
    }

    /// Whether a node is one of them.
    pub fn contains(&self, node: usize) -> bool {
        let before = self.pieces.partition_point(|piece| piece.start <= node);
        before > 0 && self.pieces[before - 1].contains(&node)
    }
}

/// A circuit, checked while it was built: see [`Builder`](crate::Builder).
#[derive(Debug, Clone)]
pub struct Circuit {
    pub(crate) parameters: Parameters,
    pub(crate) nodes: Vec<Node>,
    pub(crate) plains: Vec<PlainSpec>,
    pub(crate) layers: Vec<Span>,
    pub(crate) outputs: Vec<Output>,
}

impl Circuit {
    /// The parameters that levels and scales were computed for.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// How many slots a ciphertext has.
    pub fn slots(&self) -> usize {
        self.parameters.slots()
    }

    /// All nodes, in an order in which they can be computed.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node that computes `value`.
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.0]
    }

    /// All plaintexts.
    pub fn plains(&self) -> &[PlainSpec] {
        &self.plains
    }

    /// One plaintext.
    pub fn plain(&self, plain: Plain) -> &PlainSpec {
        &self.plains[plain.0]
    }

    /// What one plaintext is to whoever multiplies by it.
    pub(crate) fn factors(&self, plain: Plain) -> Factors {
        Factors::repeating(1, self.plain(plain).repeats)
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[Span] {
        &self.layers
    }

    /// The outputs, in order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The encrypted inputs, in order.
    pub fn inputs(&self) -> Vec<Value> {
        let index = |v: &Value| match self.node(*v).operation {
            Operation::Input(index) => Some(index),
            _ => None,
        };
        let mut inputs: Vec<Value> =
            (0..self.nodes.len()).map(Value).filter(|v| index(v).is_some()).collect();
        inputs.sort_unstable_by_key(index);
        inputs
    }

    /// The evaluation keys that the circuit needs, each with the highest level it is needed at.
    pub fn keys(&self) -> KeyRequirements {
        keys::requirements(self)
    }

    /// How often each value is read, as an operand or as an output.
    pub(crate) fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        let operands = self.nodes.iter().flat_map(|n| n.operation.operands());
        operands.chain(self.outputs.iter().map(|o| o.value)).for_each(|v| uses[v.0] += 1);
        uses
    }
}
