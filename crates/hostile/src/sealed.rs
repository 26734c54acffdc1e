//! Sealed secret keys.

use crate::serving::own_folder;
use crate::{EXCHANGE, altered};
use blindsight_client::{Passphrase, is_sealed, seal_file, unseal_file};
use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

/// A sealed key with its passphrase, and a folder to put others in.
struct Sealed {
    folder: PathBuf,
    passphrase: Passphrase,
    secret: Vec<u8>,
    sealed: Vec<u8>,
    /// Only one at a time: the file has one name.
    turn: Mutex<()>,
}

/// Made once in a process.
static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let folder = own_folder("sealed");
    let passphrase = Passphrase::new("correct horse").expect("not empty");
    let path = folder.join("sound.secret");
    let secret = EXCHANGE.client.secret_key().to_vec();
    fs::write(&path, &secret).expect("writable");
    seal_file(&path, &passphrase).expect("a secret key");
    let sealed = fs::read(&path).expect("readable");
    Sealed { folder, passphrase, secret, sealed, turn: Mutex::default() }
});

/// Sealed secret keys, and plain ones to be sealed: only what was sealed is opened, and a file that is
/// refused stays as it is. Where the first byte is odd, the file asks for the least memory and passes, so
/// that a wrong one is refused soon.
pub fn sealed(input: &[u8]) {
    let Some((&flags, edits)) = input.split_first() else { return };
    let (known, path) = (&*SEALED, SEALED.folder.join("edited.secret"));
    let _turn = known.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let mut base = known.sealed.clone();
    if flags & 1 == 1 {
        base[10..14].copy_from_slice(&(8u32 << 10).to_le_bytes());
        base[14..18].copy_from_slice(&1u32.to_le_bytes());
    }
    let files = if flags & 2 == 2 { vec![edits.to_vec()] } else { vec![altered(&base, edits)] };
    for bytes in files {
        fs::write(&path, &bytes).expect("writable");
        let opened = unseal_file(&path, &known.passphrase);
        let after = fs::read(&path).expect("readable");
        assert_eq!(opened.is_ok(), bytes == known.sealed);
        assert!(after == if opened.is_ok() { &known.secret } else { &bytes }[..]);
    }
    // Sealing refuses all but secret keys; a sound one would take its time, and unit tests have it.
    let plain = altered(&known.secret, edits);
    if plain != known.secret {
        fs::write(&path, &plain).expect("writable");
        assert!(
            seal_file(&path, &known.passphrase).is_err()
                && !is_sealed(&path).is_ok_and(|s| s && plain[0] != b'B')
        );
        assert!(fs::read(&path).expect("readable") == plain);
    }
}
