//! Chains, encoded and run: the part of the encrypted executor that computes many nodes together.

use crate::circuit::{Circuit, Operation, Value};
use crate::scalar::Chain;
use crate::{Counts, Error};
use blindsight_ckks::{Ciphertext, Context, Evaluator, Pointwise, ScalarRow};

/// A chain, ready to run.
#[derive(Debug)]
pub(crate) struct EncodedChain {
    inputs: Vec<Value>,
    stages: Pointwise,
    rescales: usize,
    /// What one run of it performs.
    performed: Counts,
}

impl EncodedChain {
    /// Encodes the weights of a chain.
    ///
    /// # Errors
    /// For a weight or constant that is too large for its scale and level.
    pub fn new(circuit: &Circuit, context: &Context, chain: &Chain) -> Result<Self, Error> {
        let first = &circuit.nodes()[chain.stages[0].clone()];
        let inputs: Vec<Value> = match &first[0].operation {
            Operation::Sum { stage, .. } => stage.inputs.clone(),
            _ => first.iter().flat_map(|n| n.operation.operands()).collect(),
        };
        let input = circuit.node(inputs[0]);
        let mut stages = Pointwise::new(inputs.len(), input.level, input.scale);
        let mut performed = Counts::default();
        for nodes in &chain.stages {
            match &circuit.nodes()[nodes.start].operation {
                Operation::Sum { stage, .. } => {
                    let rows: Vec<ScalarRow> = (0..stage.rows.count()).map(|r| stage.rows.row(r)).collect();
                    stages.sums(context, &rows, stage.scale)?;
                    rows.iter().for_each(|row| count_row(&mut performed, row));
                }
                _ => {
                    stages.squares();
                    performed.ciphertext_multiplications += nodes.len() as u64;
                }
            }
        }
        let Operation::Reduce { value, rescales } = circuit.nodes()[chain.reduced.start].operation else {
            unreachable!("a chain ends where its values are reduced")
        };
        let outputs = stages.outputs() as u64;
        performed.relinearizations = if circuit.parts(value) > 2 { outputs } else { 0 };
        performed.rescales = rescales as u64 * outputs;
        Ok(Self { inputs, stages, rescales, performed })
    }

    /// What one run performs.
    pub fn performed(&self) -> Counts {
        self.performed
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.stages.bytes()
    }

    /// The reduced values of its end.
    pub fn run<'v>(
        &self,
        evaluator: &Evaluator<'_>,
        get: impl Fn(Value) -> &'v Ciphertext,
    ) -> Result<Vec<Ciphertext>, Error> {
        let inputs: Vec<&Ciphertext> = self.inputs.iter().map(|v| get(*v)).collect();
        Ok(evaluator.pointwise(&inputs, &self.stages, self.rescales)?)
    }
}

fn count_row(counts: &mut Counts, row: &ScalarRow) {
    let products = row.terms.len() as u64;
    counts.plaintext_multiplications += products;
    counts.additions += products.saturating_sub(1) + u64::from(products > 0 && row.constant != 0.0);
}
