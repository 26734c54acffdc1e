//! Puts the built page into the binary: each file of `web/page`, its gzip form where that is smaller, its
//! digest as a tag.

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo says where")).join("../../web/page");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo says where"));
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = vec![];
    list(&root, &root, &mut files)?;
    files.sort();
    let mut code = String::from("static FILES: &[File] = &[\n");
    for (number, name) in files.iter().enumerate() {
        entry(&root, &out, number, name, &mut code)?;
    }
    code.push_str("];\n");
    fs::write(out.join("page.rs"), code)
}

/// All files below a folder, as paths from `root` with slashes.
fn list(root: &Path, folder: &Path, files: &mut Vec<String>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else {
            let name = path.strip_prefix(root).expect("below the root");
            files.push(name.to_str().expect("a name in Unicode").replace('\\', "/"));
        }
    }
    Ok(())
}

fn entry(root: &Path, out: &Path, number: usize, name: &str, code: &mut String) -> io::Result<()> {
    let path = root.join(name).canonicalize()?;
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
