#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| hostile::suite_inputs(input));
