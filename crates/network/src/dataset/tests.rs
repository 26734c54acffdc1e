use std::io::Write;

use flate2::{Compression, write::GzEncoder};

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
        std::fs::write(self.0.join(name), bytes).unwrap();
        self
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let message = Dataset::open(&self.0).expect_err("should be refused").to_string();
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
fn idx_files_plain_and_packed() {
    let plain = Folder::new("plain").write(IMAGES, &images()).write(LABELS, &labels());
    let packed =
        Folder::new("packed").write("t10k-images-idx3-ubyte.gz", &gzip(&images())).write(LABELS, &labels());
    for folder in [plain, packed] {
        let dataset = Dataset::open(&folder.0).unwrap();
        assert_eq!((dataset.len(), dataset.shape()), (3, Shape::new(1, 2, 3)));
        assert_eq!(dataset.image(1).unwrap().pixels(), [6, 7, 8, 9, 10, 11]);
        assert_eq!((0..3).map(|n| dataset.label(n).unwrap()).collect::<Vec<_>>(), [4, 0, 9]);
        let message = dataset.image(3).unwrap_err().to_string();
        assert!(message.contains("below 3") && message.contains("got 3"), "{message}");
        assert!(dataset.label(usize::MAX).is_err());
        assert!(
            Dataset::open_split(&folder.0, Split::Train).unwrap_err().to_string().contains("train-images")
        );
    }
}

#[test]
fn cifar_files() {
    let record = |label: u8, byte: u8| [vec![label], vec![byte; 3072]].concat();
    let batch = [record(7, 1), record(2, 255)].concat();
    let folder = Folder::new("cifar").write("test_batch.bin.gz", &gzip(&batch));
    let dataset = Dataset::open(&folder.0).unwrap();
    assert_eq!((dataset.len(), dataset.shape()), (2, Shape::new(3, 32, 32)));
    assert_eq!((dataset.label(0).unwrap(), dataset.label(1).unwrap()), (7, 2));
    assert!(dataset.image(1).unwrap().pixels().iter().all(|&p| p == 255));
    Folder::new("cut").write("test_batch.bin", &batch[..5000]).refused(&[
        "3073 bytes",
        "1 and 1927 bytes",
        "truncated",
    ]);
    Folder::new("class")
        .write("test_batch.bin", &record(10, 0))
        .refused(&["labels below 10", "10 at image 0"]);
    Folder::new("none").write("test_batch.bin", &[]).refused(&["none"]);
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
    bad("counts", &images(), &words(&[0x801, 2], &[1, 2])).refused(&["labels", "expected 3", "got 2"]);
    bad("class", &images(), &words(&[0x801, 3], &[1, 2, 10])).refused(&["below 10", "10 at image 2"]);
    bad("none", &words(&[0x803, 0, 2, 3], &[]), &words(&[0x801, 0], &[])).refused(&["none"]);
    bad("many", &words(&[0x803, u32::MAX, 2, 3], &[]), &labels())
        .refused(&["images of the data set", "4294967295"]);
    bad("large", &words(&[0x803, 3, u32::MAX, 3], &[]), &labels()).refused(&["height", "4294967295"]);
    bad("pixels", &words(&[0x803, 1 << 20, 28, 28], &[]), &labels()).refused(&["pixels of the data set"]);
    Folder::new("alone").write(IMAGES, &images()).refused(&[LABELS, "no such file"]);
    Folder::new("empty").refused(&["MNIST", "CIFAR-10", "neither"]);
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
