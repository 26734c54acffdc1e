#![no_main]
libfuzzer_sys::fuzz_target!(init: hostile::prepare(), |input: &[u8]| hostile::fleet(input));
