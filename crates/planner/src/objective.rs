//! What a plan should be best at: how costs are weighed, of steps while plans are searched and of whole
//! plans.

use crate::{Error, sizes};
use blindsight_circuit::{Circuit, CostModel, dry_run};
use blindsight_ckks::Level;
use blindsight_layers::Cost;
use blindsight_layout::InputLayout;
use std::fmt;
use std::str::FromStr;

/// What a plan should be best at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objective {
    /// Predicted time on the server from a request's bytes to the reply; a megabyte of keys counts as
    /// 0.3 ms, one of a request as 0.5 ms, one of encoded weights as 0.02 ms.
    #[default]
    Latency,
    /// Homomorphic operations, then key-switches, then time.
    Operations,
    /// Key-switches, then operations, then time.
    KeySwitches,
    /// Bytes of a request, then time.
    Upload,
    /// Images a second: a batch, unless a plan for single images is asked for.
    Throughput,
}

impl FromStr for Objective {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let not_offered = |reason| Error::NotOffered { what: "objective", asked: name.into(), reason };
        match name {
            "latency" => Ok(Self::Latency),
            "operations" => Ok(Self::Operations),
            "key-switches" => Ok(Self::KeySwitches),
            "upload" => Ok(Self::Upload),
            "throughput" => Ok(Self::Throughput),
            _ => Err(not_offered("there are latency, operations, key-switches, upload and throughput")),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Latency => "latency",
            Self::Operations => "operations",
            Self::KeySwitches => "key-switches",
            Self::Upload => "upload",
            Self::Throughput => "throughput",
        })
    }
}

/// What a kilobyte of keys costs, in microseconds: a client sends them once, and a server holds them for each
/// client.
pub(crate) const KEY_COST: f64 = 0.3;

/// What a kilobyte of a request costs beside the time to expand it, in microseconds: of plans that are
/// equally fast, the one that is sent sooner is better.
pub(crate) const REQUEST_COST: f64 = 0.5;

/// What a mebibyte of the encoded model costs, in microseconds: less than it takes to read it, for all
/// clients share it.
pub(crate) const MODEL_COST: f64 = 20.0;

/// What a step costs, figure by figure.
pub(crate) struct StepCost {
    /// Microseconds, what keys cost among them.
    pub time: f64,
    /// Bytes of keys.
    pub keys: f64,
    pub hops: f64,
    pub key_switches: f64,
    /// Input ciphertexts.
    pub inputs: f64,
    /// What keys cost beside, in the units of the objective, where they are limited.
    pub surcharge: f64,
}

/// What a whole plan costs, figure by figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanCost {
    /// Homomorphic operations.
    pub hops: u64,
    /// Rotations and relinearisations.
    pub key_switches: u64,
    /// Milliseconds of an inference on one core.
    pub inference_ms: f64,
    /// Milliseconds to parse and expand a request.
    pub expand_ms: f64,
    /// Bytes of the evaluation keys, as sent.
    pub key_bytes: u64,
    /// Bytes of the encoded model in the server's memory.
    pub model_bytes: u64,
    /// Bytes of a request.
    pub upload_bytes: u64,
    /// How many images a request holds at most.
    pub images: usize,
}

impl PlanCost {
    /// What a circuit costs whose input is encrypted at this level.
    pub(crate) fn of(circuit: &Circuit, input: &InputLayout, level: Level, model: &CostModel) -> Self {
        let (run, parameters, inputs) = (dry_run(circuit), circuit.parameters(), input.ciphertexts());
        let expand = model.expansion_microseconds(inputs * parameters.limbs(level), parameters.degree());
        Self {
            hops: run.totals.hops(),
            key_switches: run.totals.key_switches(),
            inference_ms: run.milliseconds(model),
            expand_ms: expand / 1e3,
            key_bytes: sizes::evaluation_keys(parameters, &circuit.keys()),
            model_bytes: sizes::encoded_model(circuit),
            upload_bytes: sizes::upload(parameters, level, inputs),
            images: input.images(),
        }
    }
}

impl Objective {
    /// Whether it is about time, for which memory is weighed against time.
    pub(crate) fn is_time(self) -> bool {
        matches!(self, Self::Latency | Self::Throughput)
    }

    /// A step's costs in the order in which they matter: the first decides, the others break ties.
    pub(crate) fn cost(self, cost: &StepCost) -> Cost {
        let StepCost { time, keys, hops, key_switches, inputs, surcharge } = *cost;
        Cost(match self {
            Self::Latency | Self::Throughput => [time + surcharge, keys, hops, key_switches],
            Self::Operations => [hops + surcharge, key_switches, time, keys],
            Self::KeySwitches => [key_switches + surcharge, hops, time, keys],
            Self::Upload => [inputs + surcharge, time, keys, hops],
        })
    }

    /// What a whole plan costs, the less the better. Latency is that of a request from its bytes on; keys,
    /// requests and the encoded model cost a little.
    pub fn value(self, cost: &PlanCost) -> f64 {
        let kilobytes = |bytes: u64| bytes as f64 / 1024.0;
        let sent = KEY_COST * kilobytes(cost.key_bytes) + REQUEST_COST * kilobytes(cost.upload_bytes);
        let kept = MODEL_COST * kilobytes(cost.model_bytes) / 1024.0;
        match self {
            Self::Latency => cost.inference_ms + cost.expand_ms + (sent + kept) / 1e3,
            Self::Operations => cost.hops as f64,
            Self::KeySwitches => cost.key_switches as f64,
            Self::Upload => cost.upload_bytes as f64,
            Self::Throughput => cost.inference_ms / cost.images as f64,
        }
    }
}
