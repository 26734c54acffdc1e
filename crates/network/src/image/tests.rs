use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use proptest::prelude::*;

use super::*;

fn png(width: u32, height: u32, colour: ExtendedColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(pixels, width, height, colour).unwrap();
    bytes
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
}

/// Puts a chunk behind the header of a PNG.
fn insert(png: &[u8], chunk: &[u8]) -> Vec<u8> {
    [&png[..33], chunk, &png[33..]].concat()
}

#[track_caller]
fn refused(bytes: &[u8], expected: Shape, words: &[&str]) {
    let message = Image::from_png(bytes, expected).expect_err("should be refused").to_string();
    for word in words {
        assert!(message.contains(word), "expected {word:?} in: {message}");
    }
}

const GREY: Shape = Shape::new(1, 2, 3);
const RGB: Shape = Shape::new(3, 2, 3);

#[test]
fn pixels_come_channel_by_channel() {
    let grey = Image::from_png(&png(3, 2, ExtendedColorType::L8, &[1, 2, 3, 4, 5, 6]), GREY).unwrap();
    assert_eq!((grey.shape(), grey.pixels()), (GREY, &[1, 2, 3, 4, 5, 6][..]));
    let interleaved: Vec<u8> = (0..6).flat_map(|i| [i, 10 + i, 20 + i]).collect();
    let colour = Image::from_png(&png(3, 2, ExtendedColorType::Rgb8, &interleaved), RGB).unwrap();
    assert_eq!(colour.pixels(), [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25]);
}

#[test]
fn images_of_another_form() {
    let expected = "expected a PNG of 2x3 8-bit grey";
    refused(&png(32, 32, ExtendedColorType::Rgb8, &[0; 3072]), GREY, &[expected, "got 32x32 8-bit RGB"]);
    refused(&png(2, 3, ExtendedColorType::L8, &[0; 6]), GREY, &[expected, "got 3x2 8-bit grey"]);
    refused(&png(3, 2, ExtendedColorType::L16, &[0; 12]), GREY, &[expected, "16-bit grey"]);
    refused(&png(3, 2, ExtendedColorType::La8, &[0; 12]), GREY, &["grey with transparency"]);
    refused(&png(3, 2, ExtendedColorType::Rgba8, &[0; 24]), RGB, &["2x3 8-bit RGB,", "RGBA"]);
    refused(
        &png(3, 2, ExtendedColorType::L8, &[0; 6]),
        RGB,
        &["expected a PNG of 2x3 8-bit RGB", "8-bit grey"],
    );
    refused(b"GIF89a", GREY, &[expected, "no PNG"]);
    refused(&[], GREY, &["no PNG"]);
}

#[test]
fn absurd_headers() {
    let mut bytes = png(3, 2, ExtendedColorType::L8, &[0; 6]);
    bytes[16..24].fill(0xff);
    refused(&bytes, GREY, &["4294967295x4294967295"]);
}

#[test]
fn damaged_and_special_files() {
    let plain = png(3, 2, ExtendedColorType::L8, &[1, 2, 3, 4, 5, 6]);
    for length in 0..plain.len() - 12 {
        refused(&plain[..length], GREY, &["expected a PNG"]);
    }
    let mut flipped = plain.clone();
    flipped[45] ^= 0x10;
    refused(&flipped, GREY, &["damaged"]);
    let animated = insert(&plain, &chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]));
    refused(&animated, GREY, &["animated"]);
    let transparent = insert(&plain, &chunk(b"tRNS", &[0, 1]));
    refused(&transparent, GREY, &["transparent"]);
}

#[test]
fn bombs_are_cut_short() {
    use std::io::Write;
    // 256 MiB of zeros as the data of six pixels.
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    (0..256).for_each(|_| encoder.write_all(&[0; 1 << 20]).unwrap());
    let bomb = encoder.finish().unwrap();
    let plain = png(3, 2, ExtendedColorType::L8, &[1; 6]);
    let bytes = [&plain[..33], &chunk(b"IDAT", &bomb), &chunk(b"IEND", &[])].concat();
    // Whether the rest counts as damage is the decoder's choice; what is had of it is six zeros.
    if let Ok(image) = Image::from_png(&bytes, GREY) {
        assert_eq!(image.pixels(), [0; 6]);
    }
    let text = insert(&plain, &chunk(b"zTXt", &[&b"k\0\0"[..], &bomb].concat()));
    assert_eq!(Image::from_png(&text, GREY).unwrap().pixels(), [1; 6]);
}

#[test]
fn number_of_pixels_is_checked() {
    let message = Image::new(GREY, vec![0; 7]).unwrap_err().to_string();
    assert!(message.contains("1x2x3") && message.contains("expected 6, got 7"), "{message}");
}

proptest! {
    #[test]
    fn damaged_files_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = png(3, 2, ExtendedColorType::L8, &[1, 2, 3, 4, 5, 6]);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(image) = Image::from_png(&bytes, GREY) {
            prop_assert_eq!(image.pixels().len(), 6);
        }
    }
}
