//! What steps cost by an objective.

use crate::objective::{KEY_WORTH, Objective, StepCost};
use crate::options::Options;
use crate::sizes;
use blindsight_ckks::{KeyRequirements, Level, Parameters};
use blindsight_layers::{Expense, Price, Pricing};

/// The prices of an objective in a ring.
pub(crate) struct Prices<'a> {
    parameters: &'a Parameters,
    options: &'a Options,
    /// What a kilobyte of keys is worth, in microseconds.
    pub key_worth: f64,
    /// What a kilobyte of keys costs beside, in the units of the objective.
    key_price: f64,
    /// Bytes of a rotation's key at each level.
    key_bytes: Vec<f64>,
    /// What a mebibyte of the encoded model is worth, in the units of the objective.
    model_worth: f64,
}

/// What a mebibyte of the encoded model is worth, in microseconds: less than it takes to read it, for all
/// clients share it.
const MODEL_WORTH: f64 = 20.0;

impl<'a> Prices<'a> {
    /// Those of plans whose keys are not limited.
    pub fn new(parameters: &'a Parameters, options: &'a Options) -> Self {
        let is_time = matches!(options.objective, Objective::Latency | Objective::Throughput);
        Self {
            parameters,
            options,
            key_worth: KEY_WORTH,
            key_price: 0.0,
            key_bytes: key_bytes(parameters),
            model_worth: if is_time { MODEL_WORTH } else { 0.0 },
        }
    }

    /// The same where a kilobyte of keys is worth something else.
    pub fn with_key_worth(&self, key_worth: f64) -> Self {
        Self { key_worth, key_bytes: self.key_bytes.clone(), ..*self }
    }

    /// The same where a kilobyte of keys costs so much beside.
    pub fn with_key_price(&self, key_price: f64) -> Self {
        Self { key_price, key_bytes: self.key_bytes.clone(), ..*self }
    }
}

impl Pricing for Prices<'_> {
    fn price(&self, expense: &Expense) -> Price {
        let Expense { counts, key_bytes, input_ciphertexts, model_bytes } = *expense;
        let (model, degree) = (&self.options.cost, self.parameters.degree());
        let limbs = input_ciphertexts * self.parameters.limbs(self.parameters.max_level());
        let time = model.microseconds(&counts.work, degree)
            + model.expansion_microseconds(limbs, degree)
            + self.model_worth * model_bytes / (1 << 20) as f64
            + self.key_worth * key_bytes / 1024.0;
        self.options.objective.price(&StepCost {
            time,
            keys: key_bytes,
            hops: counts.hops() as f64,
            key_switches: counts.key_switches() as f64,
            inputs: input_ciphertexts as f64,
            surcharge: self.key_price * key_bytes / 1024.0,
        })
    }

    fn key_bytes(&self, level: Level) -> f64 {
        self.key_bytes[level.0]
    }
}

/// Bytes of a rotation's key at each level.
fn key_bytes(parameters: &Parameters) -> Vec<f64> {
    let none = sizes::evaluation_keys(parameters, &KeyRequirements::default());
    let at = |level| {
        let mut one = KeyRequirements::default();
        one.rotations.insert(1, Level(level));
        (sizes::evaluation_keys(parameters, &one) - none) as f64
    };
    (0..=parameters.max_level().0).map(at).collect()
}
