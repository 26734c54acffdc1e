//! What a plan asks of a client, to be shown before it agrees.

use crate::Error;
use blindsight_ckks::{Parameters, wire};
use blindsight_layout::PublicPlan;
use std::fmt;
use std::time::Duration;

/// Bytes of evaluation keys that one core makes in a second, at least, on a machine of the last ten years.
/// WebAssembly in a browser takes some three times as long (`docs/browser.md` has what was measured).
const KEY_BYTES_PER_SECOND: f64 = if cfg!(target_family = "wasm") { 16e6 } else { 64e6 };

/// What a plan asks of a client: before a key is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// How many evaluation keys.
    pub keys: usize,
    /// Bytes of evaluation keys, made and sent once. Making them takes about three times as many in memory.
    pub key_bytes: u64,
    /// How long making them takes, about and at most.
    pub key_time: Duration,
    /// Bytes of each request.
    pub request_bytes: u64,
    /// Bytes of each reply.
    pub reply_bytes: u64,
}

impl Cost {
    /// Of a plan.
    ///
    /// # Errors
    /// Where the plan's parameters are refused.
    pub fn of(plan: &PublicPlan) -> Result<Self, Error> {
        let parameters = plan.validated_parameters()?;
        Ok(Self::with(plan, &parameters))
    }

    /// Of a plan with these parameters.
    pub(crate) fn with(plan: &PublicPlan, parameters: &Parameters) -> Self {
        let frame = |payload: usize| (payload + wire::FRAME_BYTES) as u64;
        let key_bytes = frame(wire::evaluation_keys_bytes(parameters, &plan.keys));
        let inputs = plan.input.ciphertexts();
        Self {
            keys: plan.keys.iter().count(),
            key_bytes,
            key_time: Duration::from_secs_f64(key_bytes as f64 / KEY_BYTES_PER_SECOND),
            request_bytes: frame(wire::ciphertexts_bytes(parameters, plan.input_level, inputs)),
            reply_bytes: frame(wire::reply_bytes(parameters, plan.reply.shape())),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{} evaluation keys of {:.1} MiB, about {:.1} s to make, {:.1} MiB a request",
            self.keys,
            mib(self.key_bytes),
            self.key_time.as_secs_f64(),
            mib(self.request_bytes)
        )
    }
}
