//! The server cannot hold a secret key: its sources never name the type, and nothing that it depends on is
//! the client.

use std::fs;
use std::path::Path;

#[test]
fn the_sources_never_name_the_secret_key() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for entry in fs::read_dir(&sources).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a source file");
        assert!(!text.contains(concat!("Secret", "Key")), "{} names the secret key", path.display());
        assert!(!text.contains("decrypt("), "{} decrypts", path.display());
        read += 1;
    }
    assert!(read >= 3, "{read} source files were read");
}

#[test]
fn the_server_does_not_depend_on_the_client() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("readable");
    let (_, rest) = manifest.split_once("[dependencies]").expect("dependencies");
    let (dependencies, _) = rest.split_once("[dev-dependencies]").expect("test dependencies");
    assert!(dependencies.contains("ckks") && !dependencies.contains("client"), "{dependencies}");
}
