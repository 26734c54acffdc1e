//! Chains, encoded and run: the part of the encrypted executor that computes many nodes together.

use crate::backend::{Backend, Scheme, Stage};
use crate::circuit::{Circuit, Operation, Value};
use crate::scalar::Chain;
use crate::{Counts, Error};
use blindsight_ckks::ScalarRow;

/// A chain, ready to run; `C` is what the scheme made of its stages.
#[derive(Debug)]
pub(crate) struct EncodedChain<C> {
    inputs: Vec<Value>,
    stages: C,
    rescales: usize,
    /// What one run of it performs.
    performed: Counts,
}

impl<C> EncodedChain<C> {
    /// Encodes the weights of a chain.
    ///
    /// # Errors
    /// For a weight or constant that is too large for its scale and level.
    pub fn new<S: Scheme<Chain = C>>(circuit: &Circuit, scheme: &S, chain: &Chain) -> Result<Self, Error> {
        let first = &circuit.nodes()[chain.stages[0].clone()];
        let inputs: Vec<Value> = match &first[0].operation {
            Operation::Sum { stage, .. } => stage.inputs.clone(),
            _ => first.iter().flat_map(|n| n.operation.operands()).collect(),
        };
        let input = circuit.node(inputs[0]);
        let mut performed = Counts::default();
        let stages = chain.stages.iter().map(|nodes| {
            let stage = match &circuit.nodes()[nodes.start].operation {
                Operation::Sum { stage, .. } => {
                    let rows = (0..stage.rows.count()).map(|r| stage.rows.row(r)).collect();
                    Stage::Sums(rows, stage.scale)
                }
                _ => Stage::Squares,
            };
            count_stage(&mut performed, &stage, nodes.len());
            stage
        });
        let stages = scheme.chain(inputs.len(), input.level, input.scale, stages)?;
        let Operation::Reduce { value, rescales } = circuit.nodes()[chain.reduced.start].operation else {
            unreachable!("a chain ends where its values are reduced")
        };
        let outputs = chain.stages.last().map_or(0, |nodes| nodes.len()) as u64;
        performed.relinearizations = if circuit.parts(value) > 2 { outputs } else { 0 };
        performed.rescales = rescales as u64 * outputs;
        Ok(Self { inputs, stages, rescales, performed })
    }

    /// What one run performs.
    pub fn performed(&self) -> Counts {
        self.performed
    }

    /// The weights in the scheme's form.
    pub fn stages(&self) -> &C {
        &self.stages
    }

    /// The reduced values of its end.
    pub fn run<'v, S, B>(
        &self,
        backend: &B,
        get: impl Fn(Value) -> &'v S::Ciphertext,
    ) -> Result<Vec<S::Ciphertext>, Error>
    where
        S: Scheme<Chain = C>,
        S::Ciphertext: 'v,
        B: Backend<Scheme = S>,
    {
        let inputs: Vec<&S::Ciphertext> = self.inputs.iter().map(|v| get(*v)).collect();
        backend.chain(&inputs, &self.stages, self.rescales)
    }
}

/// Counts a stage on so many values.
fn count_stage(counts: &mut Counts, stage: &Stage, values: usize) {
    match stage {
        Stage::Sums(rows, _) => rows.iter().for_each(|row| count_row(counts, row)),
        Stage::Squares => counts.ciphertext_multiplications += values as u64,
    }
}

fn count_row(counts: &mut Counts, row: &ScalarRow) {
    let products = row.terms.len() as u64;
    counts.plaintext_multiplications += products;
    counts.additions += products.saturating_sub(1) + u64::from(products > 0 && row.constant != 0.0);
}
