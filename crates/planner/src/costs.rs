//! What steps cost by an objective.

use crate::objective::{KEY_COST, MODEL_COST, REQUEST_COST, StepCost};
use crate::options::Options;
use crate::sizes;
use blindsight_ckks::{KeyRequirements, Level, Parameters};
use blindsight_layers::{Cost, CostFunction, Resources};

/// The costs of an objective in a ring.
pub(crate) struct Costs<'a> {
    parameters: &'a Parameters,
    options: &'a Options,
    /// What a kilobyte of keys costs, in microseconds.
    pub key_cost: f64,
    /// What a kilobyte of keys costs beside, in the units of the objective.
    key_surcharge: f64,
    /// Bytes of a rotation's key at each level.
    key_bytes: Vec<f64>,
    /// Bytes of an input ciphertext, as sent.
    input_bytes: f64,
    /// What a mebibyte of the encoded model costs, in the units of the objective.
    model_cost: f64,
}

impl<'a> Costs<'a> {
    /// Those of plans whose keys are not limited.
    pub fn new(parameters: &'a Parameters, options: &'a Options) -> Self {
        Self {
            parameters,
            options,
            key_cost: KEY_COST,
            key_surcharge: 0.0,
            key_bytes: key_bytes(parameters),
            input_bytes: input_bytes(parameters),
            model_cost: if options.objective.is_time() { MODEL_COST } else { 0.0 },
        }
    }

    /// The same where a kilobyte of keys costs something else.
    pub fn with_key_cost(&self, key_cost: f64) -> Self {
        Self { key_cost, key_bytes: self.key_bytes.clone(), ..*self }
    }

    /// The same where the encoded model costs so many times as much.
    pub fn with_dearer_model(&self, times: f64) -> Self {
        Self { model_cost: times * self.model_cost, key_bytes: self.key_bytes.clone(), ..*self }
    }

    /// The same where a kilobyte of keys costs so much beside.
    pub fn with_key_surcharge(&self, key_surcharge: f64) -> Self {
        Self { key_surcharge, key_bytes: self.key_bytes.clone(), ..*self }
    }
}

impl CostFunction for Costs<'_> {
    fn cost(&self, resources: &Resources) -> Cost {
        let Resources { counts, key_bytes, input_ciphertexts } = *resources;
        let (model, degree) = (&self.options.cost, self.parameters.degree());
        let limbs = input_ciphertexts * self.parameters.limbs(self.parameters.max_level());
        let model_bytes = counts.work.factors as f64 * (self.parameters.slots() * size_of::<u32>()) as f64;
        let time = model.microseconds(&counts.work, degree)
            + model.expansion_microseconds(limbs, degree)
            + self.model_cost * model_bytes / (1 << 20) as f64
            + self.key_cost * key_bytes / 1024.0
            + REQUEST_COST * input_ciphertexts as f64 * self.input_bytes / 1024.0;
        self.options.objective.cost(&StepCost {
            time,
            keys: key_bytes,
            hops: counts.hops() as f64,
            key_switches: counts.key_switches() as f64,
            inputs: input_ciphertexts as f64,
            surcharge: self.key_surcharge * key_bytes / 1024.0,
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

/// Bytes of an input ciphertext, as sent at the highest level.
fn input_bytes(parameters: &Parameters) -> f64 {
    let of = |count| sizes::upload(parameters, parameters.max_level(), count);
    (of(1) - of(0)) as f64
}
