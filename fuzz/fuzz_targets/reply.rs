//! A reply, damaged: the client refuses it, or gives a label.
#![no_main]

use blindsight_fuzz::{EXCHANGE, edited};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let exchange = &*EXCHANGE;
    if let Ok(read) = exchange.client.decrypt(&edited(&exchange.reply, input)[..]) {
        assert!(exchange.plan.public.labels.contains(&read.label));
    }
    let _ = exchange.client.decrypt(input);
});
