//! The service cannot hold a secret key: its sources never name the type, and nothing that it depends on is
//! the client.

use std::fs;
use std::path::Path;

/// Reads all sources below a folder: how many.
fn check(folder: &Path) -> usize {
    let mut read = 0;
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read += check(&path);
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        assert!(!text.contains(concat!("Secret", "Key")), "{} names the secret key", path.display());
        assert!(!text.contains("decrypt("), "{} decrypts", path.display());
        read += 1;
    }
    read
}

#[test]
fn the_sources_never_name_the_secret_key() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = ["service/src", "protocol/src", "fleet/src"].map(|sources| check(&crates.join(sources)));
    assert!(read.iter().sum::<usize>() >= 20, "{read:?} source files were read");
}

#[test]
fn the_service_does_not_depend_on_the_client() {
    for name in ["service", "protocol", "fleet"] {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("readable");
        let (_, rest) = manifest.split_once("[dependencies]").expect("dependencies");
        let (dependencies, _) = rest.split_once("[dev-dependencies]").expect("test dependencies");
        let depends =
            |on: &str| dependencies.lines().any(|line| line.starts_with(&format!("{on}.workspace")));
        assert!(depends("blindsight-ckks") && !depends("blindsight-client"), "{dependencies}");
    }
}
