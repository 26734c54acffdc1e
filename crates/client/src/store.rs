//! Secret keys in files: private, whole, never overwritten by another key.

use crate::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a secret to a new file that only its owner can read. Either the whole file is there afterwards or
/// none; an existing file stays as it is. `unique` tells drafts of different processes apart.
pub(crate) fn write_secret(path: &Path, bytes: &[u8], unique: &str) -> Result<(), Error> {
    let draft = draft_of(path, unique);
    let written = write_draft(&draft, bytes).and_then(|()| publish(&draft, path));
    // Whether it was published or not, the draft's own name is of no more use.
    let _ = fs::remove_file(&draft);
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::SecretExists(path.to_path_buf()),
        _ => Error::file("write", path, source),
    })
}

/// Puts a secret in place of another one, privately and at once: after a crash there is the old file or the
/// new one.
#[cfg(feature = "seal")]
pub(crate) fn replace_secret(path: &Path, bytes: &[u8], unique: &str) -> Result<(), Error> {
    let draft = draft_of(path, unique);
    let replaced = write_draft(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    replaced
        .inspect_err(|_| drop(fs::remove_file(&draft)))
        .map_err(|source| Error::file("write", path, source))
}

fn draft_of(path: &Path, unique: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{unique}.part"));
    path.with_file_name(name)
}

fn write_draft(draft: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_private(draft)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Gives the draft its name: a second link, which unlike a rename fails where the name is taken.
fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        // A file system without links.
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists && !path.exists() => fs::rename(draft, path),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for one test, removed when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("blindsight-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("the temporary folder can be written");
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_secret_is_written_once_privately_and_leaves_no_draft() {
        let folder = Folder::new("secret");
        let path = folder.0.join("secret.key");
        write_secret(&path, b"first", "a").expect("a new file");
        let again = write_secret(&path, b"second", "b").expect_err("the file is there");
        assert!(matches!(again, Error::SecretExists(_)), "{again}");
        assert_eq!(fs::read(&path).expect("readable"), b"first");
        assert_eq!(fs::read_dir(&folder.0).expect("readable").count(), 1, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
