//! Evaluation keys, damaged: the server refuses them, or computes with them.
#![no_main]

use blindsight_fuzz::{EXCHANGE, edited};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let exchange = &*EXCHANGE;
    if let Ok(keys) = exchange.server.read_keys(&edited(&exchange.key_frame, input)[..])
        && let Ok(request) = exchange.server.read_request(&keys, &exchange.request[..])
    {
        exchange.server.compute(&keys, &request).expect("what was read can be computed with");
    }
    let _ = exchange.server.read_keys(input);
});
