//! Images and arrays against what Pillow and numpy make of them: `truth/make.py` wrote the files.

use std::path::{Path, PathBuf};

use blindsight_data::{Dataset, InputSource, InputSpec, Split, decode_image};
use blindsight_network::{Metadata, Shape};

fn truth(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/truth").join(name)
}

/// Without normalisation but for pixels, which are divided by 255.
fn spec(shape: Shape) -> InputSpec {
    InputSpec::new(shape, Metadata::new(shape, 3))
}

const SIZES: [(&str, Shape); 3] = [
    ("RGB32x32", Shape::new(3, 32, 32)),
    ("L28x28", Shape::new(1, 28, 28)),
    ("RGB20x36", Shape::new(3, 20, 36)),
];

/// The bytes of an array in an archive that numpy wrote.
fn array(archive: &Path, name: &str) -> Vec<u8> {
    let mut archive =
        zip::ZipArchive::new(std::fs::File::open(archive).expect("a file")).expect("an archive");
    let mut member = archive.by_name(&format!("{name}.npy")).expect("an array");
    let mut bytes = vec![];
    std::io::Read::read_to_end(&mut member, &mut bytes).expect("whole");
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes.split_off(10 + header)
}

/// Holds all conversions of a file against Pillow's, whose fixed-point filter rounds differently.
fn held_against_pillow(name: &str, most: u8) {
    let bytes = std::fs::read(truth(name)).expect("a file");
    for (key, shape) in SIZES {
        let (image, _) = decode_image(name, &bytes, shape).expect("an image");
        let theirs = array(&truth(&format!("{name}.npz")), key);
        assert_eq!(theirs.len(), shape.elements());
        let apart = image.pixels().iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b));
        let largest = apart.clone().max().expect("pixels");
        let mean = apart.map(f64::from).sum::<f64>() / theirs.len() as f64;
        println!("{name} {key}: at most {largest}, on average {mean:.3}");
        assert!(largest <= most && mean < 0.5, "{name} {key}: {largest} apart, on average {mean}");
    }
}

#[test]
fn images_are_what_pillow_makes_of_them() {
    for name in ["photo.png", "photo.webp", "photo.bmp", "photo.tiff", "palette.gif", "palette.png"] {
        held_against_pillow(name, 1);
    }
    for name in ["bits.png", "grey16.png", "wide.png", "tall.png", "enlarged.png", "exact.png"] {
        held_against_pillow(name, 1);
    }
    for name in ["alpha.png", "grey-alpha.png"] {
        held_against_pillow(name, 2);
    }
    // Decoders of JPEG may round differently.
    for name in ["photo.jpg", "turned.jpg"] {
        held_against_pillow(name, 3);
    }
}

#[test]
fn what_was_done_is_told_in_one_line_and_nothing_where_nothing_was() {
    let told = |name: &str, shape| {
        let bytes = std::fs::read(truth(name)).expect("a file");
        decode_image(name, &bytes, shape).expect("an image").1.map(|done| done.to_string())
    };
    let [(_, rgb), (_, grey), (_, oblong)] = SIZES;
    assert_eq!(told("exact.png", rgb), None);
    let cases = [
        ("photo.jpg", rgb, "photo.jpg: 61x43 RGB, shortest side resized to 32, centre cropped to 32x32"),
        ("exact.png", grey, "exact.png: 32x32 RGB, RGB to grey, shortest side resized to 28"),
        ("wide.png", oblong, "wide.png: 90x31 RGB, resized to 58x20, centre cropped to 36x20"),
        ("grey16.png", grey, "61x43 16-bit grey, to 8 bits, shortest side"),
        ("bits.png", rgb, "61x43 grey, grey to RGB, shortest side"),
        ("alpha.png", rgb, "61x43 RGBA, laid over white, shortest side"),
        ("turned.jpg", rgb, "43x61 RGB, turned upright by its EXIF data, shortest side"),
    ];
    for (name, shape, expected) in cases {
        let told = told(name, shape).expect("something was done");
        assert!(told.contains(expected), "{told:?}, expected {expected:?}");
    }
}

#[test]
fn arrays_of_every_type_and_order_are_what_numpy_says() {
    let shape = Shape::new(2, 3, 4);
    let load = |name: &str| {
        let path = truth(name).display().to_string();
        path.parse::<InputSource>().expect("a path").load(&spec(shape)).expect("an array").values
    };
    let whole: Vec<f64> = (0..24).map(f64::from).collect();
    for kind in ["i2", "i4", "i8", "u2", "u8"] {
        for order in ["le", "be"] {
            assert_eq!(load(&format!("{order}-{kind}.npy")), whole, "{order} {kind}");
        }
    }
    assert_eq!(load("i1.npy"), whole);
    assert_eq!(load("le-u4.npy"), whole);
    assert_eq!(load("u1.npy"), whole.iter().map(|v| v / 255.0).collect::<Vec<_>>(), "bytes are pixels");
    let eighths: Vec<f64> = whole.iter().map(|v| v / 8.0 - 1.0).collect();
    for kind in ["f2", "f4", "f8"] {
        for order in ["le", "be"] {
            assert_eq!(load(&format!("{order}-{kind}.npy")), eighths, "{order} {kind}");
        }
    }
    assert_eq!(load("bool.npy"), (0..24).map(|i| f64::from(i % 3 == 0)).collect::<Vec<_>>());
}

#[test]
fn archives_hold_a_data_set_or_its_two_parts() {
    let plain =
        Dataset::open(&truth("plain.npz"), Split::Test, &spec(Shape::vector(12))).expect("a data set");
    let (inputs, labels) = plain.inputs(0..9).expect("two");
    assert_eq!(labels, [1, 0]);
    assert_eq!(inputs[1], (12..24).map(|v| f64::from(v) / 8.0 - 1.0).collect::<Vec<_>>());
    let part = |split| {
        let part = Dataset::open(&truth("parts.npz"), split, &spec(Shape::new(1, 2, 3))).expect("a data set");
        let (inputs, labels) = part.inputs(0..4).expect("four");
        (inputs.concat().iter().map(|v| v * 255.0).map(f64::round).collect::<Vec<_>>(), labels)
    };
    let forwards: Vec<f64> = (0..24).map(f64::from).collect();
    assert_eq!(part(Split::Train), (forwards.clone(), vec![0, 1, 2, 1]));
    assert_eq!(part(Split::Test), (forwards.into_iter().rev().collect(), vec![2, 2, 1, 0]));
}
