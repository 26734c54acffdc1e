use std::io::Write;

use super::*;

#[test]
fn the_covering_size_is_torchvisions() {
    // torchvision's Resize(32): the longer side is int(32 * long / short).
    for (found, size) in
        [((640, 480), (42, 32)), ((480, 640), (32, 42)), ((32, 32), (32, 32)), ((7, 90), (32, 411))]
    {
        assert_eq!(covering(found, (32, 32)), size, "{found:?}");
    }
    assert_eq!(covering((100, 50), (20, 20)), (40, 20));
    assert_eq!(covering((100, 50), (80, 20)), (80, 40));
    assert_eq!((0..7).map(margin).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 2, 3]);
}

#[test]
fn vectors_are_square_images_or_none() {
    let target = |shape| Target::of(shape, "x.png").map(|t| (t.channels, t.height, t.width, t.resizes));
    assert_eq!(target(Shape::vector(784)).unwrap(), (1, 28, 28, true));
    assert_eq!(target(Shape::vector(3072)).unwrap(), (3, 32, 32, true));
    assert_eq!(target(Shape::new(1, 1, 128)).unwrap(), (1, 1, 128, false));
    for shape in [Shape::vector(30), Shape::vector(1), Shape::new(2, 8, 8)] {
        let refused = target(shape);
        assert!(shape == Shape::vector(1) || refused.unwrap_err().to_string().contains("no image has"));
    }
}

fn png(width: u32, height: u32, colour: image::ExtendedColorType, pixels: &[u8]) -> Vec<u8> {
    use image::ImageEncoder;
    let mut bytes = vec![];
    image::codecs::png::PngEncoder::new(&mut bytes).write_image(pixels, width, height, colour).unwrap();
    bytes
}

#[test]
fn pixels_come_channel_by_channel() {
    let interleaved: Vec<u8> = (0..6).flat_map(|i| [i, 10 + i, 20 + i]).collect();
    let bytes = png(3, 2, image::ExtendedColorType::Rgb8, &interleaved);
    let (image, conversion) = decode_image("x", &bytes, Shape::new(3, 2, 3)).unwrap();
    assert_eq!(image.pixels(), [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25]);
    assert_eq!(conversion, None);
}

#[test]
fn an_opaque_alpha_channel_and_grey_in_colours_are_no_conversion() {
    let rgba: Vec<u8> = (0..4).flat_map(|i| [i, i, i, 255]).collect();
    let bytes = png(2, 2, image::ExtendedColorType::Rgba8, &rgba);
    for shape in [Shape::new(1, 2, 2), Shape::vector(4)] {
        let (image, conversion) = decode_image("x", &bytes, shape).unwrap();
        assert_eq!((image.pixels(), conversion), (&[0, 1, 2, 3][..], None));
    }
}

#[test]
fn rows_of_another_length_are_no_series() {
    let bytes = png(64, 1, image::ExtendedColorType::L8, &[1; 64]);
    assert!(decode_image("x", &bytes, Shape::new(1, 1, 64)).is_ok());
    let said = decode_image("x", &bytes, Shape::new(1, 1, 128)).unwrap_err().to_string();
    assert!(said.contains("128x1") && said.contains("found 64x1"), "{said}");
}

#[test]
fn what_is_no_image_is_refused() {
    for bytes in [&b""[..], b"no picture", b"<svg xmlns=", b"%PDF-1.7", b"\x93NUMPY\x01\0"] {
        let said = decode_image("x.png", bytes, Shape::new(1, 2, 2)).unwrap_err().to_string();
        assert!(said.contains("x.png: expected an image (PNG") && said.contains("none of these"), "{said}");
    }
}

/// 256 MiB of zeros as the data of six pixels.
#[test]
fn data_beyond_the_pixels_is_not_unpacked() {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    (0..256).for_each(|_| encoder.write_all(&[0; 1 << 20]).unwrap());
    let bomb = encoder.finish().unwrap();
    let plain = png(3, 2, image::ExtendedColorType::L8, &[1; 6]);
    let bytes = [&plain[..33], &chunk(b"IDAT", &bomb), &chunk(b"IEND", &[])].concat();
    // Whether the rest counts as damage is the decoder's choice; what is had of it is six zeros.
    if let Ok((image, _)) = decode_image("x", &bytes, Shape::new(1, 2, 3)) {
        assert_eq!(image.pixels(), [0; 6]);
    }
    let text = [&plain[..33], &chunk(b"zTXt", &[&b"k\0\0"[..], &bomb].concat()), &plain[33..]].concat();
    assert_eq!(decode_image("x", &text, Shape::new(1, 2, 3)).unwrap().0.pixels(), [1; 6]);
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
}

/// An image of extreme proportions would become a very long one.
#[test]
fn extreme_proportions_are_refused() {
    let bytes = png(40_000, 1, image::ExtendedColorType::L8, &[1; 40_000]);
    let said = decode_image("x", &bytes, Shape::new(1, 224, 224)).unwrap_err().to_string();
    assert!(said.contains("pixels once resized"), "{said}");
}
