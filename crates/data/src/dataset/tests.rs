use std::io::Write;

use blindsight_network::{Metadata, Shape};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("blindsight-dataset-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(self, name: &str, bytes: &[u8]) -> Self {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    fn open(&self, shape: Shape) -> Result<Dataset, Error> {
        Dataset::open(&self.0, Split::Test, &spec(shape))
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let message = self.open(SMALL).expect_err("should be refused").to_string();
        for word in words {
            assert!(message.contains(word), "expected {word:?} in: {message}");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind in the system's own is no failure of what is tested.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SMALL: Shape = Shape::new(1, 2, 3);
const CIFAR: Shape = Shape::new(3, 32, 32);

/// Ten classes.
fn spec(shape: Shape) -> InputSpec {
    InputSpec::new(shape, Metadata::new(shape, 10))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn words(words: &[u32], data: &[u8]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).chain(data.iter().copied()).collect()
}

/// Three images of 2x3 pixels, counted through.
fn images() -> Vec<u8> {
    words(&[0x803, 3, 2, 3], &(0..18).collect::<Vec<u8>>())
}

fn labels() -> Vec<u8> {
    words(&[0x801, 3], &[4, 0, 9])
}

const IMAGES: &str = "t10k-images-idx3-ubyte";
const LABELS: &str = "t10k-labels-idx1-ubyte";

#[test]
fn idx_files_under_every_usual_name() {
    for (n, (images_at, labels_at)) in [
        (IMAGES, LABELS),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
        ("t10k-images-idx3-ubyte.gz", LABELS),
        ("MNIST/raw/t10k-images-idx3-ubyte", "MNIST/raw/t10k-labels-idx1-ubyte.gz"),
    ]
    .into_iter()
    .enumerate()
    {
        let packed = |name: &str, bytes: Vec<u8>| if name.ends_with(".gz") { gzip(&bytes) } else { bytes };
        let folder = Folder::new(&format!("idx-{n}"))
            .write(images_at, &packed(images_at, images()))
            .write(labels_at, &packed(labels_at, labels()));
        let dataset = folder.open(SMALL).unwrap();
        assert_eq!(dataset.len(), 3);
        let second: Vec<f64> = (6..12).map(|p| f64::from(p) / 255.0).collect();
        assert_eq!(dataset.input(1).unwrap().values, second);
        assert_eq!((0..4).map(|n| dataset.label(n)).collect::<Vec<_>>(), [Some(4), Some(0), Some(9), None]);
        assert_eq!(dataset.inputs(1..9).unwrap().1, [0, 9]);
        let message = dataset.input(3).unwrap_err().to_string();
        assert!(message.contains("below 3") && message.contains("found 3"), "{message}");
        let train = Dataset::open(&folder.0, Split::Train, &spec(SMALL)).unwrap_err().to_string();
        assert!(train.contains("train-images"), "{train}");
        let other = folder.open(CIFAR).unwrap_err().to_string();
        assert!(other.contains("[3, 32, 32]") && other.contains("[1, 2, 3]"), "{other}");
        assert_eq!(folder.open(Shape::vector(6)).unwrap().input(1).unwrap().values, second);
    }
}

#[test]
fn cifar_files() {
    let record = |label: u8, byte: u8| [vec![label], vec![byte; 3072]].concat();
    let batch = [record(7, 1), record(2, 255)].concat();
    let folder = Folder::new("cifar").write("test_batch.bin.gz", &gzip(&batch));
    let dataset = folder.open(CIFAR).unwrap();
    assert_eq!((dataset.label(0), dataset.label(1), dataset.len()), (Some(7), Some(2), 2));
    assert!(dataset.input(1).unwrap().values.iter().all(|&v| v == 1.0));
    Folder::new("cut").write("test_batch.bin", &batch[..5000]).refused(&[
        "3073 bytes",
        "1 and 1927 bytes",
        "truncated",
    ]);
    let refused = |name: &str, bytes: &[u8], word: &str| {
        let said = Folder::new(name).write("test_batch.bin", bytes).open(CIFAR).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    };
    refused("class", &record(10, 0), "labels below 10, the network's number of scores, found 10 at sample 0");
    refused("none", &[], "none");
    let fine = [vec![19, 5], vec![3; 3072]].concat();
    let folder = Folder::new("cifar-100").write("cifar-100-binary/test.bin", &fine);
    let dataset = folder.open(CIFAR).unwrap();
    assert_eq!((dataset.len(), dataset.label(0)), (1, Some(5)), "the fine label");
    assert!(dataset.input(0).unwrap().values.iter().all(|&v| v == 3.0 / 255.0));
}

#[test]
fn pickles_are_refused_with_what_to_do() {
    for (n, name) in
        ["cifar-10-batches-py/data_batch_1", "test_batch", "cifar-100-python/meta"].iter().enumerate()
    {
        Folder::new(&format!("pickle-{n}"))
            .write(name, b"\x80\x02}")
            .refused(&["binary version", "can run code"]);
    }
}

#[test]
fn damaged_idx_files() {
    let bad = |name: &str, images: &[u8], labels: &[u8]| {
        Folder::new(name).write(IMAGES, images).write(LABELS, labels)
    };
    bad("magic", &words(&[0x801, 3, 2, 3], &[]), &labels()).refused(&["0x00000803", "0x00000801"]);
    bad("header", &images()[..9], &labels()).refused(&["header of 16 bytes", "9 bytes"]);
    bad("short", &images()[..30], &labels()).refused(&["18 bytes of data", "14", "truncated"]);
    bad("long", &[images(), vec![0]].concat(), &labels()).refused(&["18 bytes of data", "more"]);
    bad("counts", &images(), &words(&[0x801, 2], &[1, 2])).refused(&["expected 3 labels", "found 2"]);
    bad("class", &images(), &words(&[0x801, 3], &[1, 2, 10])).refused(&["below 10", "10 at sample 2"]);
    bad("none", &words(&[0x803, 0, 2, 3], &[]), &words(&[0x801, 0], &[])).refused(&["none"]);
    bad("many", &words(&[0x803, u32::MAX, 2, 3], &[]), &labels()).refused(&["images", "4294967295"]);
    bad("large", &words(&[0x803, 3, u32::MAX, 3], &[]), &labels()).refused(&["bytes of pixels"]);
    Folder::new("alone").write(IMAGES, &images()).refused(&[LABELS, "no such file"]);
    Folder::new("empty").refused(&[
        "MNIST",
        "CIFAR-10",
        "a folder of images for each class",
        "none of these",
    ]);
}

#[test]
fn packed_files_that_are_damaged_or_bombs() {
    let packed = |name: &str, bytes: &[u8]| {
        Folder::new(name).write("t10k-images-idx3-ubyte.gz", bytes).write(LABELS, &labels())
    };
    let whole = gzip(&images());
    packed("gz-cut", &whole[..whole.len() - 12]).refused(&["readable", "after"]);
    packed("gz-not", b"not a gzip stream at all").refused(&["readable"]);
    // 64 MiB of zeros behind a header that asks for 18 bytes: no more than those are unpacked.
    packed("gz-bomb", &gzip(&[images(), vec![0; 64 << 20]].concat())).refused(&["18 bytes of data", "more"]);
}

/// A PNG of 3x2 pixels of one grey.
fn png(grey: u8) -> Vec<u8> {
    use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&[grey; 6], 3, 2, ExtendedColorType::L8).unwrap();
    bytes
}

#[test]
fn images_by_class_with_and_without_parts() {
    let folder = Folder::new("classes")
        .write("dog/b.png", &png(2))
        .write("dog/a.PNG", &png(1))
        .write("cat/1.png", &png(3))
        .write("cat/notes.txt", b"no image")
        .write("cat/.hidden.png", b"no image")
        .write("readme.md", b"no class");
    for split in [Split::Train, Split::Test] {
        let dataset = Dataset::open(&folder.0, split, &spec(SMALL)).unwrap();
        let (inputs, labels) = dataset.inputs(0..3).unwrap();
        assert_eq!(labels, [0, 1, 1]);
        assert_eq!(inputs.iter().map(|v| (v[0] * 255.0).round()).collect::<Vec<_>>(), [3.0, 1.0, 2.0]);
    }
    let named =
        Metadata { labels: ["ant", "dog", "cat"].map(String::from).into(), ..Metadata::new(SMALL, 3) };
    let dataset = Dataset::open(&folder.0, Split::Test, &InputSpec::new(SMALL, named)).unwrap();
    assert_eq!(dataset.inputs(0..3).unwrap().1, [2, 1, 1], "the network's own classes");
    let parts = Folder::new("parts")
        .write("train/cat/1.png", &png(1))
        .write("train/dog/1.png", &png(2))
        .write("val/dog/1.png", &png(3));
    let dataset = parts.open(SMALL).unwrap();
    assert_eq!((dataset.len(), dataset.label(0)), (1, Some(1)), "numbered by the training part");
    assert_eq!(Dataset::open(&parts.0, Split::Train, &spec(SMALL)).unwrap().len(), 2);
}

#[test]
fn folders_of_classes_that_are_not_whole() {
    Folder::new("no-test").write("train/cat/1.png", &png(1)).refused(&["`test` or `val`", "none"]);
    let strange = Folder::new("strange").write("train/cat/1.png", &png(1)).write("test/eel/1.png", &png(1));
    strange.refused(&["eel", "a class that the training part has"]);
    Folder::new("no-images").write("cat/1.txt", b"").refused(&["cat", "image files"]);
    // What is damaged is told when it is asked for, by its name; the others are as they are.
    let damaged = Folder::new("damaged").write("cat/1.png", &png(1)[..40]).write("cat/2.png", &png(7));
    let dataset = damaged.open(SMALL).unwrap();
    assert!(dataset.input(0).unwrap_err().to_string().contains("1.png"));
    assert_eq!(dataset.input(1).unwrap().values, [7.0 / 255.0; 6]);
}

#[test]
fn an_image_by_class_is_converted_and_it_is_told() {
    let folder = Folder::new("converted").write("cat/1.png", &png(9));
    let input = folder.open(Shape::new(3, 4, 4)).unwrap().input(0).unwrap();
    assert_eq!(input.values.len(), 48);
    let told = input.conversion.unwrap().to_string();
    assert!(
        told.ends_with("3x2 grey, grey to RGB, shortest side resized to 4, centre cropped to 4x4"),
        "{told}"
    );
}

#[test]
fn a_data_set_of_another_kind_is_refused() {
    let said =
        |path: &str| Dataset::open(Path::new(path), Split::Test, &spec(SMALL)).unwrap_err().to_string();
    assert!(said("none.parquet").contains("no such file"));
    assert!(
        said(file!().rsplit_once("crates/data/").map_or(file!(), |(_, file)| file)).contains("another kind")
    );
}

proptest! {
    #[test]
    fn a_range_of_inputs_is_what_single_ones_are(from in 0usize..5, to in 0usize..5) {
        let folder = Folder::new("range").write(IMAGES, &images()).write(LABELS, &labels());
        let dataset = folder.open(SMALL).unwrap();
        let (inputs, labels) = dataset.inputs(from..to).unwrap();
        let single: Vec<_> = (from..to.min(3)).map(|n| dataset.input(n).unwrap().values).collect();
        prop_assert_eq!(inputs, single);
        prop_assert_eq!(labels.len(), (from..to.min(3)).len());
    }
}
