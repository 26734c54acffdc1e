//! Plans, whole and public, and secret keys: refused, or fit to be used.
#![no_main]

use blindsight_fuzz::{EXCHANGE, edited};
use client::Client;
use libfuzzer_sys::fuzz_target;
use packing::Plan;
use std::sync::LazyLock;

static PUBLIC: LazyLock<Vec<u8>> =
    LazyLock::new(|| protocol::write_plan(&EXCHANGE.plan.public, EXCHANGE.plan.digest()));
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| EXCHANGE.plan.write());

fuzz_target!(|input: &[u8]| {
    for bytes in [&edited(&PUBLIC, input)[..], input] {
        if let Ok((plan, digest)) = protocol::read_plan(bytes) {
            let values = vec![plan.input_range.0; plan.input.input.elements()];
            let _ = plan.write(&values);
            let _ = Client::read(plan, digest, input);
        }
    }
    for bytes in [&edited(&WHOLE, input)[..], input] {
        if let Ok(plan) = Plan::read(bytes) {
            plan.public.validate().expect("what was read is valid");
        }
    }
});
