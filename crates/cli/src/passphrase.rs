//! Where passphrases come from: a file, the environment, the terminal.

use crate::failure::{During, Failure, Outcome};
use blindsight_client::Passphrase;
use std::io::IsTerminal;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The variable that holds a passphrase.
const VARIABLE: &str = "BLINDSIGHT_PASSPHRASE";

/// How the passphrase of a secret key is told.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PassphraseFlags {
    /// The first line of this file is the secret key's passphrase (else BLINDSIGHT_PASSPHRASE is, or it is
    /// asked for)
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseFlags {
    /// The passphrase that is there without asking; none where there is none.
    pub fn given(&self) -> Outcome<Option<Passphrase>> {
        let text = match &self.passphrase_file {
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).during(|| format!("passphrase in {}", path.display()))?;
                let text = Zeroizing::new(text);
                Zeroizing::new(text.lines().next().unwrap_or_default().to_string())
            }
            None => Zeroizing::new(std::env::var(VARIABLE).unwrap_or_default()),
        };
        match Passphrase::new(text.as_str()) {
            None if self.passphrase_file.is_some() => {
                Err(Failure::new("the passphrase's file begins with an empty line: expected the passphrase"))
            }
            given => Ok(given),
        }
    }

    /// The passphrase of a key that is there.
    pub fn ask(&self, what: &str) -> Outcome<Passphrase> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None => prompted(&format!("passphrase of {what}: ")),
        }
    }

    /// A passphrase for a key that is made, where it is to be sealed.
    pub fn choose(&self, seal: bool) -> Outcome<Option<Passphrase>> {
        let given = self.given()?;
        if given.is_some() || !seal {
            return Ok(given);
        }
        let first = prompted("a passphrase for the secret key: ")?;
        let second = prompted("the same again: ")?;
        if first != second {
            return Err(Failure::new("the passphrases differ: nothing was made"));
        }
        Ok(Some(first))
    }
}

/// Asks at the terminal, without echo.
fn prompted(question: &str) -> Outcome<Passphrase> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(format!(
            "{question}there is no terminal to ask at: set {VARIABLE}, or give --passphrase-file"
        )));
    }
    let text = Zeroizing::new(rpassword::prompt_password(question)?);
    Passphrase::new(text.as_str()).ok_or_else(|| Failure::new("the passphrase is empty: nothing was done"))
}
