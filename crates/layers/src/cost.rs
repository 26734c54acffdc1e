//! What steps take, and what that costs whoever plans.

use blindsight_circuit::Counts;
use blindsight_ckks::Level;
use std::cmp::Ordering;
use std::ops::Add;

/// What computing a layer takes, figure by figure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resources {
    /// The operations.
    pub counts: Counts,
    /// Bytes of the keys that they need.
    pub key_bytes: f64,
    /// How many ciphertexts the client sends for it.
    pub input_ciphertexts: usize,
}

impl Resources {
    /// Operations and nothing else.
    pub fn of(counts: Counts) -> Self {
        Self { counts, ..Self::default() }
    }

    /// The same, with so many bytes of keys.
    pub fn with_keys(self, key_bytes: f64) -> Self {
        Self { key_bytes, ..self }
    }
}

/// What what is taken costs: the planner's objective.
pub trait CostFunction: Sync {
    /// The cost of what is taken. It must add up: what is taken in two steps costs what both cost.
    fn cost(&self, resources: &Resources) -> Cost;

    /// Bytes of the key of a rotation at a level.
    fn key_bytes(&self, level: Level) -> f64;
}

/// A cost in the order in which its figures matter: the first decides, the others break ties.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost(pub [f64; 4]);

impl Cost {
    /// More than anything costs.
    pub const NEVER: Self = Self([f64::INFINITY; 4]);
}

impl Eq for Cost {}

impl Ord for Cost {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Cost {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
}
