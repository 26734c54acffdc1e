//! `keys`: the secret keys that this user keeps for servers.

use crate::configuration;
use crate::failure::{During, Failure, Outcome};
use crate::figures::count;
use crate::page::{Page, Shown};
use crate::passphrase::PassphraseFlags;
use crate::remote::{self, ServerFlags};
use crate::report::{Output, emit};
use crate::table::Table;
use blindsight_client::remote::{StoredKey, stored_keys};
use blindsight_client::{REPLIES_OF_A_KEY, is_sealed, seal_file, unseal_file};
use serde::Serialize;
use std::path::PathBuf;

/// The secret keys that this user keeps, one for each plan of each server
///
/// A server that sees results of many replies learns the secret key bit by bit: rotate it where results get
/// there. `rotate` has the server delete the evaluation keys, deletes the secret key, and makes and registers
/// new ones. `delete` stops before that. `seal` encrypts a key that is there with a passphrase, `unseal`
/// takes that off; both also take the file of a key that `keygen` made.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight keys list
  blindsight keys rotate 127.0.0.1_8443
  blindsight keys seal my.secret")]
pub struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists them, with the replies that were decrypted under each
    #[command(after_help = "Examples:\n  blindsight keys list")]
    List,
    /// Makes a new key in place of one
    #[command(after_help = "Examples:\n  blindsight keys rotate 127.0.0.1_8443")]
    Rotate(Named),
    /// Deletes one, here and at its server
    #[command(after_help = "Examples:\n  blindsight keys delete 127.0.0.1_8443")]
    Delete {
        #[command(flatten)]
        named: Named,
        /// Delete it here also where its server cannot be reached
        #[arg(long)]
        force: bool,
    },
    /// Seals a secret key that is there with a passphrase
    #[command(after_help = "Examples:\n  blindsight keys seal my.secret")]
    Seal(OneKey),
    /// Takes the seal off a secret key
    #[command(after_help = "Examples:\n  blindsight keys unseal my.secret --passphrase-file passphrase")]
    Unseal(OneKey),
}

#[derive(Debug, clap::Args)]
struct OneKey {
    /// The beginning of its name, as `keys list` shows it, or a secret key's file
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    passphrase: PassphraseFlags,
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The beginning of its name, as `keys list` shows it
    #[arg(value_name = "NAME")]
    name: String,
    /// The most bytes that new evaluation keys may take
    #[arg(long, value_name = "BYTES")]
    max_key_bytes: Option<u64>,
    #[command(flatten)]
    passphrase: PassphraseFlags,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    server: String,
    model: String,
    plan: String,
    created: u64,
    replies: u64,
    sealed: bool,
    registered: bool,
}

/// What became of one file.
#[derive(Debug, Serialize)]
struct Sealing {
    secret: PathBuf,
    sealed: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    keys: Vec<Entry>,
}

impl Keys {
    pub fn run(&self, output: Output) -> Outcome {
        match &self.action {
            Action::List => {}
            Action::Rotate(named) => {
                let key = named.find()?;
                // A sealed key is not replaced by one that is not.
                let passphrase = named.passphrase.choose(key.sealed)?;
                forget(&key)?;
                key.delete()?;
                let (server, model) = (&key.about.server, Some(key.about.model.as_str()));
                let flags = ServerFlags::known(server);
                remote::open_with(&flags, server, model, named.max_key_bytes, passphrase)?.client()?;
            }
            Action::Delete { named, force } => {
                let key = named.find()?;
                match forget(&key) {
                    Err(failure) if !force => return Err(failure),
                    _ => key.delete()?,
                }
            }
            Action::Seal(key) => return emit(&key.seal()?, output),
            Action::Unseal(key) => return emit(&key.unseal()?, output),
        }
        emit(&Report { keys: all()?.iter().map(Entry::new).collect() }, output)
    }
}

fn all() -> Outcome<Vec<StoredKey>> {
    Ok(stored_keys(&configuration::secrets_folder()?)?)
}

/// Has the key's server delete its evaluation keys.
fn forget(key: &StoredKey) -> Outcome {
    let Some(address) = key.registered else { return Ok(()) };
    let server = remote::connect(&ServerFlags::known(&key.about.server), &key.about.server)?;
    server.delete_keys(address).during(|| format!("evaluation keys at {}", key.about.server))
}

/// The one kept key whose name begins so.
fn find(name: &str) -> Outcome<StoredKey> {
    let mut found = all()?;
    found.retain(|key| key.name.starts_with(name));
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        count => Err(Failure::new(format!("{count} keys have names that begin with {name}: name one"))),
    }
}

impl Named {
    fn find(&self) -> Outcome<StoredKey> {
        find(&self.name)
    }
}

impl OneKey {
    fn path(&self) -> Outcome<PathBuf> {
        let path = PathBuf::from(&self.name);
        if path.is_file() { Ok(path) } else { Ok(find(&self.name)?.path()) }
    }

    fn seal(&self) -> Outcome<Sealing> {
        let secret = self.path()?;
        if is_sealed(&secret)? {
            return Err(Failure::new(format!(
                "{} is sealed already: `blindsight keys unseal` it first to give it another passphrase",
                secret.display()
            )));
        }
        let passphrase = self.passphrase.choose(true)?.expect("one is asked for where none is given");
        seal_file(&secret, &passphrase)?;
        Ok(Sealing { secret, sealed: true })
    }

    fn unseal(&self) -> Outcome<Sealing> {
        let secret = self.path()?;
        if !is_sealed(&secret)? {
            return Err(Failure::new(format!("{} is not sealed: there is nothing to do", secret.display())));
        }
        unseal_file(&secret, &self.passphrase.ask(&secret.display().to_string())?)?;
        Ok(Sealing { secret, sealed: false })
    }
}

impl Shown for Sealing {
    fn show(&self, page: &mut Page) {
        let secret = self.secret.display();
        page.say(match self.sealed {
            true => format!(
                "{secret} is sealed. What it held before was unlinked, not overwritten: the disk, its snapshots and \
                 backups may still have it"
            ),
            false => format!("{secret} is not sealed any more: whoever reads the file has the key"),
        });
    }
}

impl Entry {
    fn new(key: &StoredKey) -> Self {
        let about = key.about.clone();
        Self {
            name: key.name.clone(),
            server: about.server,
            model: about.model,
            plan: about.plan,
            created: about.created,
            replies: key.replies,
            sealed: key.sealed,
            registered: key.registered.is_some(),
        }
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        if self.keys.is_empty() {
            return page.say("no keys");
        }
        let mut table = Table::new(["name", "server", "model", "advice", "sealed", "replies"]).texts(4);
        for key in &self.keys {
            let advice = if key.replies > REPLIES_OF_A_KEY { "rotate it if others see results" } else { "" };
            let sealed = if key.sealed { "yes" } else { "no" };
            let replies = count(key.replies);
            table.row([&*key.name, &key.server, &key.model, advice, sealed, &replies]);
        }
        page.table(&table);
    }
}
