//! ONNX files.
#![no_main]

use blindsight_fuzz::{ONNX, edited};
use libfuzzer_sys::fuzz_target;
use network::Model;

fuzz_target!(|input: &[u8]| {
    let _ = Model::from_bytes("fuzzed", input);
    let _ = Model::from_bytes("fuzzed", &edited(ONNX, input));
});
