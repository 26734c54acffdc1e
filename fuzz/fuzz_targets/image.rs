//! PNG files.
#![no_main]

use blindsight_fuzz::{PNG, edited};
use libfuzzer_sys::fuzz_target;
use network::{Image, Shape};

fuzz_target!(|input: &[u8]| {
    let shape = Shape { channels: 1, height: 28, width: 28 };
    let _ = Image::from_png(input, shape);
    let _ = Image::from_png(&edited(PNG, input), shape);
});
