//! Puts the page into the binary: each file of `web/page`, and below `client/` each of the package `npm/`
//! that a browser needs; its gzip form where that is smaller, its digest as a tag.

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The folders that are served, and what stands before their files' names.
const FOLDERS: [(&str, &str); 2] = [("../../web/page", ""), ("../../npm/src", "client/")];
/// What is for Node alone.
const NODE: &str = "client/node/";

/// A file to serve: the name it is asked for by, and where it is.
type Served = (String, PathBuf);

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo says where"));
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo says where"));
    let mut files = vec![];
    for (folder, prefix) in FOLDERS {
        let root = here.join(folder);
        println!("cargo::rerun-if-changed={}", root.display());
        list(&root, &root, prefix, &mut files)?;
    }
    files.retain(|(name, _)| !name.starts_with(NODE));
    files.sort();
    let mut code = String::from("static FILES: &[File] = &[\n");
    for (number, (name, path)) in files.iter().enumerate() {
        entry(path, &out, number, name, &mut code)?;
    }
    code.push_str("];\n");
    fs::write(out.join("page.rs"), code)
}

/// All files below a folder, by their paths from `root` with slashes, behind a prefix.
fn list(root: &Path, folder: &Path, prefix: &str, files: &mut Vec<Served>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, prefix, files)?;
        } else {
            let name = path.strip_prefix(root).expect("below the root");
            let name = name.to_str().expect("a name in Unicode").replace('\\', "/");
            files.push((format!("{prefix}{name}"), path));
        }
    }
    Ok(())
}

fn entry(path: &Path, out: &Path, number: usize, name: &str, code: &mut String) -> io::Result<()> {
    let path = path.canonicalize()?;
    let bytes = fs::read(&path)?;
    let tag: String = Sha256::digest(&bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(&bytes)?;
    let packed = encoder.finish()?;
    let mut gzip = "None".to_string();
    if packed.len() < bytes.len() {
        let path = out.join(format!("{number}.gz"));
        fs::write(&path, packed)?;
        gzip = format!("Some(include_bytes!({:?}))", path);
    }
    let tag = format!("{:?}", format!("\"{tag}\""));
    writeln!(
        code,
        "    File {{ path: {name:?}, bytes: include_bytes!({path:?}), gzip: {gzip}, tag: {tag} }},"
    )
    .map_err(io::Error::other)
}
