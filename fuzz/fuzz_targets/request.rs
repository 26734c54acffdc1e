//! A request, damaged: the server refuses it, or computes on it.
#![no_main]

use blindsight_fuzz::{EXCHANGE, edited};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let exchange = &*EXCHANGE;
    if let Ok(request) = exchange.server.read_request(&exchange.keys, &edited(&exchange.request, input)[..]) {
        exchange.server.compute(&exchange.keys, &request).expect("what was read can be computed on");
    }
    let _ = exchange.server.read_request(&exchange.keys, input);
});
