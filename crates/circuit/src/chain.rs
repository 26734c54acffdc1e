//! Chains, encoded and run: the part of the encrypted executor that computes many nodes together.

use crate::backend::{Backend, Scheme, Stage};
use crate::circuit::{Circuit, Operation, Value};
use crate::plain::Numbers;
use crate::scalar::{Chain, ProductStage};
use crate::{Counts, Error};
use blindsight_ckks::{Extension, Level, ScalarRow};
use blindsight_ring::parallel;

/// A chain, ready to run; `C` is what the scheme made of its stages.
#[derive(Debug)]
pub(crate) struct EncodedChain<C> {
    inputs: Vec<Value>,
    stages: C,
    rescales: usize,
    /// Whether its values are left in three parts.
    is_unrelinearised: bool,
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
            Operation::Product { stage, .. } => stage.inputs.clone(),
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
                Operation::Product { stage, .. } => Stage::Products(factors(scheme, stage, input.level)?),
                _ => Stage::Squares,
            };
            count_stage(&mut performed, &stage, nodes.len());
            Ok(stage)
        });
        let stages = stages.collect::<Result<Vec<_>, Error>>()?;
        let stages = scheme.chain(inputs.len(), input.level, input.scale, stages.into_iter())?;
        let end = &circuit.nodes()[chain.reduced.start].operation;
        let (is_unrelinearised, relinearises, rescales) = match end {
            Operation::Reduce { value, rescales } => (false, circuit.parts(*value) > 2, *rescales),
            Operation::Divide { rescales, .. } => (true, false, *rescales),
            _ => unreachable!("a chain ends where its values are reduced or divided"),
        };
        let outputs = chain.stages.last().map_or(0, |nodes| nodes.len()) as u64;
        performed.relinearizations = if relinearises { outputs } else { 0 };
        performed.rescales = rescales as u64 * outputs;
        Ok(Self { inputs, stages, rescales, is_unrelinearised, performed })
    }

    /// What one run performs.
    pub fn performed(&self) -> Counts {
        self.performed
    }

    /// The weights in the scheme's form.
    pub fn stages(&self) -> &C {
        &self.stages
    }

    /// The values of its end.
    pub fn run<'v, S, B>(
        &self,
        backend: &B,
        get: impl Fn(Value) -> &'v S::Ciphertext,
    ) -> Result<ChainEnd<S>, Error>
    where
        S: Scheme<Chain = C>,
        S::Ciphertext: 'v,
        B: Backend<Scheme = S>,
    {
        let inputs: Vec<&S::Ciphertext> = self.inputs.iter().map(|v| get(*v)).collect();
        Ok(match self.is_unrelinearised {
            false => ChainEnd::Reduced(backend.chain(&inputs, &self.stages, self.rescales)?),
            true => ChainEnd::Divided(backend.chain_unrelinearised(&inputs, &self.stages, self.rescales)?),
        })
    }
}

/// What a chain ends in.
pub(crate) enum ChainEnd<S: Scheme> {
    Reduced(Vec<S::Ciphertext>),
    Divided(Vec<S::Unrelinearised>),
}

/// The plaintexts of a stage of products, row by row.
fn factors<S: Scheme>(scheme: &S, stage: &ProductStage, level: Level) -> Result<Vec<Vec<S::Factor>>, Error> {
    let factor = |numbers: &Numbers| scheme.factor(&numbers.make(), level, stage.scale, Extension::Plain);
    stage.rows.iter().map(|row| parallel::map(row.iter(), factor).into_iter().collect()).collect()
}

/// Counts a stage on so many values.
fn count_stage<F>(counts: &mut Counts, stage: &Stage<F>, values: usize) {
    match stage {
        Stage::Sums(rows, _) => rows.iter().for_each(|row| count_row(counts, row)),
        Stage::Squares => counts.ciphertext_multiplications += values as u64,
        Stage::Products(rows) => rows.iter().for_each(|row| {
            counts.plaintext_multiplications += row.len() as u64;
            counts.additions += row.len().saturating_sub(1) as u64;
        }),
    }
}

fn count_row(counts: &mut Counts, row: &ScalarRow) {
    let products = row.terms.len() as u64;
    counts.plaintext_multiplications += products;
    counts.additions += products.saturating_sub(1) + u64::from(products > 0 && row.constant != 0.0);
}
