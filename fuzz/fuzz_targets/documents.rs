//! JSON documents and addresses of the protocol.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{Address, KeyStatus, Keys, Models, Problem};

fuzz_target!(|input: &[u8]| {
    let _ = serde_json::from_slice::<Models>(input);
    let _ = serde_json::from_slice::<Keys>(input);
    let _ = serde_json::from_slice::<KeyStatus>(input);
    let _ = serde_json::from_slice::<Problem>(input);
    if let Some(address) = str::from_utf8(input).ok().and_then(|text| text.parse::<Address>().ok()) {
        assert_eq!(address.to_string().as_bytes(), input);
    }
});
