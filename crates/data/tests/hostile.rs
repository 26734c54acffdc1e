//! Files of every format, truncated and with bytes changed: an error, or a sound result of the network's
//! shape.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use blindsight_data::{Dataset, InputSource, InputSpec, Split};
use blindsight_network::{Metadata, Shape};
use proptest::prelude::*;

/// A folder for one test, removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("blindsight-hostile-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(&path, bytes).expect("writable");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn truth(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/truth").join(name)).expect("a file")
}

fn spec(shape: Shape) -> InputSpec {
    InputSpec::new(shape, Metadata::new(shape, 3))
}

const IMAGES: [&str; 9] = [
    "photo.png",
    "photo.jpg",
    "photo.webp",
    "photo.bmp",
    "photo.tiff",
    "palette.gif",
    "alpha.png",
    "turned.jpg",
    "bits.png",
];
const ARRAYS: [&str; 4] = ["le-f8.npy", "be-i2.npy", "u1.npy", "be-f2.npy"];
const TABLE: &[u8] = b"a,b,c,label\n1,2,3,0\n-1,2.5,1e3,2\n\"4\",5,6,1\n";
const LIST: &[u8] = b"[[1, 2.5], [-3e2]]";

/// Loads the file as the input of a network: an error, or values of the right number, all finite.
fn load(folder: &Folder, name: &str, bytes: &[u8], shape: Shape) -> Result<(), String> {
    let path = folder.file(name, bytes);
    let source = match name.ends_with(".csv") {
        true => InputSource::Numbered { path, index: 2 },
        false => InputSource::File(path),
    };
    match source.load(&spec(shape)) {
        Ok(input) => {
            assert_eq!(input.values.len(), shape.elements());
            assert!(input.values.iter().all(|v| v.is_finite()));
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Loads the file as a data set.
fn load_all(path: &Path, shape: Shape) -> Result<(), String> {
    let data = Dataset::open(path, Split::Test, &spec(shape)).map_err(|error| error.to_string())?;
    for n in 0..data.len() {
        assert!(data.label(n).is_some_and(|label| label < 3));
        if let Ok(input) = data.input(n) {
            assert!(input.values.len() == shape.elements() && input.values.iter().all(|v| v.is_finite()));
        }
    }
    Ok(())
}

#[test]
fn truncated_files_are_refused() {
    let folder = Folder::new();
    let whole: Vec<(&str, Vec<u8>, Shape)> = IMAGES
        .map(|name| (name, truth(name), Shape::new(3, 8, 8)))
        .into_iter()
        .chain(ARRAYS.map(|name| (name, truth(name), Shape::new(2, 3, 4))))
        .chain([("x.csv", TABLE.to_vec(), Shape::vector(3)), ("x.json", LIST.to_vec(), Shape::vector(3))])
        .collect();
    for (name, bytes, shape) in whole {
        load(&folder, name, &bytes, shape).unwrap_or_else(|error| panic!("{error}"));
        for part in [0, 1, 7, bytes.len() / 4, bytes.len() / 2, bytes.len() * 3 / 4] {
            let said = load(&folder, name, &bytes[..part], shape);
            let said = said.expect_err(&format!("{name}, {part} of {} bytes", bytes.len()));
            assert!(said.contains(name) && said.contains("expected"), "{said}");
        }
    }
    for name in ["plain.npz", "parts.npz"] {
        let (bytes, shape) =
            (truth(name), if name == "plain.npz" { Shape::vector(12) } else { Shape::new(1, 2, 3) });
        load_all(&folder.file(name, &bytes), shape).unwrap_or_else(|error| panic!("{error}"));
        for part in [0, 30, bytes.len() / 4, bytes.len() / 2] {
            let said = load_all(&folder.file(name, &bytes[..part]), shape).expect_err("truncated");
            assert!(said.contains(name), "{said}");
        }
    }
}

/// Headers that ask for much more than the file has.
#[test]
fn bombs_are_refused_by_their_headers() {
    let folder = Folder::new();
    let refused = |name: &str, bytes: &[u8], words: &[&str]| {
        let said = load(&folder, name, bytes, Shape::new(3, 8, 8)).expect_err(name);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    let mut png = truth("photo.png");
    png[16..24].copy_from_slice(&[0, 0, 0xff, 0, 0, 0, 0xff, 0]);
    let checksum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&checksum);
    refused("bomb.png", &png, &["bomb.png", "pixels"]);
    let mut bmp = truth("photo.bmp");
    bmp[18..26].copy_from_slice(&[0, 0xff, 0, 0, 0, 0xff, 0, 0]);
    refused("bomb.bmp", &bmp, &["bomb.bmp"]);
    let mut gif = truth("palette.gif");
    gif[6..10].fill(0xff);
    refused("bomb.gif", &gif, &["bomb.gif"]);
    let header = |shape: &str| {
        let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
    };
    refused("bomb.npy", &header("(3, 8, 8)"), &["bomb.npy", "truncated"]);
    refused("bomb.npy", &header("(100000, 100000)"), &["bytes of values"]);
    refused("bomb.npy", &header("(18446744073709551615, 8, 18446744073709551615)"), &["bytes of values"]);
    refused("bomb.npy", &header("(99999999999999999999,)"), &["length of an axis"]);
    refused("bomb.npy", &header("(0, 8)"), &["elements"]);
    refused("bomb.npy", &header(&format!("({})", "1,".repeat(1000))), &["axes"]);
    refused("bomb.npy", &header("((((((((((1))))))))))"), &["header"]);
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}

/// A member of 64 MiB of zeros behind a header that asks for twelve numbers, and one that asks for all of
/// them.
#[test]
fn archives_that_unpack_to_much_are_read_as_far_as_their_headers_say() {
    use std::io::Write;
    let folder = Folder::new();
    let archive = |shape: &str| {
        let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        let header = [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
        zip.start_file("x.npy", zip::write::SimpleFileOptions::default()).expect("a member");
        zip.write_all(&header).expect("memory");
        (0..64).for_each(|_| zip.write_all(&[0; 1 << 20]).expect("memory"));
        folder.file("bomb.npz", &zip.finish().expect("an archive").into_inner())
    };
    let refused = |shape: &str, word: &str| {
        let said = load_all(&archive(shape), Shape::vector(12)).expect_err("a bomb");
        assert!(said.contains("bomb.npz, x") && said.contains(word), "{said}");
    };
    refused("(1, 12)", "more bytes");
    refused("(1, 8388608)", "[12]");
    refused("(1048577, 12)", "samples");
    refused("(1048576, 12000)", "bytes of values");
}

fn changed(
    mut bytes: Vec<u8>,
    changes: &[(prop::sample::Index, u8)],
    cut: Option<prop::sample::Index>,
) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn damaged_images_are_an_error_or_an_image(
        which in 0..IMAGES.len(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let name = IMAGES[which];
        let _ = load(&Folder::new(), name, &changed(truth(name), &changes, cut), Shape::new(3, 8, 8));
    }

    /// Headers are short, so most changes hit them.
    #[test]
    fn changed_starts_of_images_are_an_error_or_an_image(
        which in 0..IMAGES.len(),
        changes in prop::collection::vec((0..64usize, any::<u8>()), 1..6),
    ) {
        let (name, mut bytes) = (IMAGES[which], truth(IMAGES[which]));
        changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
        let _ = load(&Folder::new(), name, &bytes, Shape::new(1, 8, 8));
    }

    #[test]
    fn damaged_arrays_are_an_error_or_numbers(
        which in 0..ARRAYS.len(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let name = ARRAYS[which];
        let _ = load(&Folder::new(), name, &changed(truth(name), &changes, cut), Shape::new(2, 3, 4));
    }

    #[test]
    fn damaged_tables_and_lists_are_an_error_or_numbers(
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let folder = Folder::new();
        let _ = load(&folder, "x.csv", &changed(TABLE.to_vec(), &changes, cut), Shape::vector(3));
        let _ = load_all(&folder.0.join("x.csv"), Shape::vector(3));
        let _ = load(&folder, "x.json", &changed(LIST.to_vec(), &changes, cut), Shape::vector(3));
    }

    #[test]
    fn damaged_archives_are_an_error_or_a_data_set(
        is_plain: bool,
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (name, shape) = match is_plain {
            true => ("plain.npz", Shape::vector(12)),
            false => ("parts.npz", Shape::new(1, 2, 3)),
        };
        let folder = Folder::new();
        let _ = load_all(&folder.file(name, &changed(truth(name), &changes, cut)), shape);
    }

    #[test]
    fn damaged_original_files_are_an_error_or_a_data_set(
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let folder = Folder::new();
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
        let images = [words(&[0x803, 3, 2, 3]), (0..18).collect()].concat();
        folder.file("t10k-images-idx3-ubyte", &changed(images, &changes, cut));
        folder.file("t10k-labels-idx1-ubyte", &[words(&[0x801, 3]), vec![0, 1, 2]].concat());
        let _ = load_all(&folder.0, Shape::new(1, 2, 3));
        let _ = load(&folder, "nothing.bin", &[1, 2, 3], Shape::vector(3));
    }

    #[test]
    fn names_of_inputs_are_understood_or_refused(text in ".{0,40}") {
        if let Ok(source) = text.parse::<InputSource>() {
            let _ = source.data_set();
        }
    }
}
