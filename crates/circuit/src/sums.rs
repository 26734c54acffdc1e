//! Stages of chains: what the nodes of one share.

use crate::plain::Numbers;
use crate::value::Value;
use blindsight_ckks::{ScalarRow, Scale};
use std::sync::Arc;

/// The rows of a matrix of scalars, made when they are asked for.
#[derive(Clone)]
pub struct ScalarRows {
    count: usize,
    make: Arc<dyn Fn(usize) -> ScalarRow + Send + Sync>,
}

impl ScalarRows {
    /// The rows that `make` returns for `0 ... count - 1`; it must return the same ones each time.
    pub fn new(count: usize, make: impl Fn(usize) -> ScalarRow + Send + Sync + 'static) -> Self {
        Self { count, make: Arc::new(make) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// One row, without weights that are zero.
    pub fn row(&self, index: usize) -> ScalarRow {
        let mut row = (self.make)(index);
        row.terms.retain(|(_, weight)| *weight != 0.0);
        row
    }
}

impl std::fmt::Debug for ScalarRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScalarRows({})", self.count)
    }
}

/// A stage of sums: what its nodes share.
#[derive(Debug)]
pub struct SumStage {
    /// The values that rows are over.
    pub inputs: Vec<Value>,
    /// The rows.
    pub rows: ScalarRows,
    /// The scale that weights are rounded at.
    pub scale: Scale,
}

/// The same stage, not an equal one: weights are not compared.
impl PartialEq for SumStage {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for SumStage {}

impl SumStage {
    /// The terms of a row: values and weights.
    pub(crate) fn terms(&self, row: usize) -> impl Iterator<Item = (Value, f64)> + '_ {
        self.rows.row(row).terms.into_iter().map(|(at, weight)| (self.inputs[at as usize], weight))
    }
}

/// A stage of sums of products with plaintexts: what its nodes share.
#[derive(Debug)]
pub struct ProductStage {
    /// The values that rows are over.
    pub inputs: Vec<Value>,
    /// For each row what multiplies each input.
    pub rows: Vec<Vec<Numbers>>,
    /// The scale that these are encoded at.
    pub scale: Scale,
}

/// The same stage, not an equal one: weights are not compared.
impl PartialEq for ProductStage {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for ProductStage {}
