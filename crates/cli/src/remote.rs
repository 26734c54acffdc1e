//! Servers that this user reaches over HTTPS.

use crate::configuration::{self, KnownServer};
use crate::failure::{During, Failure, Outcome};
use crate::figures::{bytes, milliseconds};
use crate::passphrase::PassphraseFlags;
use crate::progress;
use blindsight_client::remote::{Error, Fingerprint, RemoteClient, Secrets, Server, SigningKey, Trust};
use blindsight_client::{Cost, Error as ClientError, Passphrase};
use blindsight_layout::DEFAULT_AGREED_KEYS;
use std::path::PathBuf;

/// Which server, and how it is known to be the right one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ServerFlags {
    /// A server that `blindsight serve` runs: https://HOST:PORT
    #[arg(
        long = "server",
        value_name = "URL",
        conflicts_with_all = ["representation", "objective", "ring_degree", "reply", "kappa", "security", "memory"]
    )]
    pub url: Option<String>,
    /// SHA-256 of the server's certificate, as `serve` prints it: that one is trusted, no other. Remembered
    #[arg(long, value_name = "HEX", requires = "url")]
    pub fingerprint: Option<String>,
    /// Authorities (PEM) that must have signed the server's certificate, in place of those that this system
    /// trusts. Remembered
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with = "fingerprint")]
    pub ca: Option<PathBuf>,
    /// The key that must have signed the model, as `blindsight signing-key` shows it: else nothing is made or
    /// sent. Remembered
    #[arg(long, value_name = "HEX", requires = "url")]
    pub pin: Option<SigningKey>,
    /// Seal secret keys that are made for the server with a passphrase
    #[arg(long, requires = "url")]
    pub seal: bool,
    #[command(flatten)]
    pub passphrase: PassphraseFlags,
}

/// Says on stderr what a plan costs before anything is made for it; a failure where it is too much.
pub fn agree(cost: &Cost, most: u64) -> Outcome {
    let Cost { keys, key_bytes, key_time, request_bytes, .. } = *cost;
    eprintln!(
        "the plan asks for {keys} evaluation keys of {}, about {} to make; a request has {}",
        bytes(key_bytes),
        milliseconds(key_time.as_secs_f64() * 1e3),
        bytes(request_bytes)
    );
    if cost.key_bytes <= most {
        return Ok(());
    }
    let needed = cost.key_bytes;
    Err(Failure::new(format!(
        "that is more than {most} bytes of keys: allow it with --max-key-bytes {needed}"
    )))
}

/// The client of a model on a server, its keys registered; what was needed to get there is remembered.
pub fn open(
    flags: &ServerFlags,
    url: &str,
    model: Option<&str>,
    max_key_bytes: Option<u64>,
) -> Outcome<RemoteClient> {
    let passphrase = flags.passphrase.choose(flags.seal)?;
    match open_with(flags, url, model, max_key_bytes, passphrase)? {
        Opened::Client(client) => Ok(*client),
        Opened::Sealed(path) => {
            let passphrase = flags.passphrase.ask(&path.display().to_string())?;
            open_with(flags, url, model, max_key_bytes, Some(passphrase))?.client()
        }
    }
}

/// What came of opening a client.
pub enum Opened {
    Client(Box<RemoteClient>),
    /// Its key is sealed, and nobody said with what.
    Sealed(PathBuf),
}

impl Opened {
    /// The client; a failure where its key stays sealed.
    pub fn client(self) -> Outcome<RemoteClient> {
        match self {
            Self::Client(client) => Ok(*client),
            Self::Sealed(path) => Err(ClientError::PassphraseNeeded(path).into()),
        }
    }
}

/// As [`open`], with the passphrase of keys that are or become sealed.
pub fn open_with(
    flags: &ServerFlags,
    url: &str,
    model: Option<&str>,
    max_key_bytes: Option<u64>,
    passphrase: Option<Passphrase>,
) -> Outcome<Opened> {
    let url = url.trim_end_matches('/');
    let known = known(flags, url)?;
    let server = connect(flags, url)?;
    let secrets = Secrets::from(&configuration::secrets_folder()?).sealed_with(passphrase);
    let bar = progress::slow_bar("registering keys, bytes", 0);
    let mut agreed = Ok(());
    let agree = |cost: &Cost| {
        agreed = agree(cost, max_key_bytes.unwrap_or(DEFAULT_AGREED_KEYS));
        agreed.is_ok()
    };
    let client = RemoteClient::open(server, model, secrets, agree, |sent, all| {
        bar.set_length(all);
        bar.set_position(sent);
    });
    bar.finish_and_clear();
    agreed?;
    let client = match client {
        Err(Error::Client(ClientError::PassphraseNeeded(path))) => return Ok(Opened::Sealed(path)),
        other => other?,
    };
    configuration::remember_server(url, known)?;
    Ok(Opened::Client(Box::new(client)))
}

/// The server, by what is known of it.
pub fn connect(flags: &ServerFlags, url: &str) -> Outcome<Server> {
    let known = known(flags, url)?;
    let server = Server::connect(url, &known.token, &trust(&known)?)?;
    Ok(match &known.pin {
        Some(pin) => server.pinned_to(pin.parse()?),
        None => server,
    })
}

impl ServerFlags {
    /// A server that this user has been to.
    pub fn known(url: &str) -> Self {
        Self {
            url: Some(url.into()),
            fingerprint: None,
            ca: None,
            pin: None,
            seal: false,
            passphrase: PassphraseFlags::default(),
        }
    }
}

/// What is known of the server, from the arguments, the environment, and the last time.
fn known(flags: &ServerFlags, url: &str) -> Outcome<KnownServer> {
    let stored = configuration::servers()?.remove(url);
    let given = std::env::var("BLINDSIGHT_TOKEN").ok().filter(|token| !token.is_empty());
    let Some(token) = given.or_else(|| stored.as_ref().map(|known| known.token.clone())) else {
        return Err(Failure::new(format!(
            "no token for {url}: set BLINDSIGHT_TOKEN to one that `blindsight token create` made there"
        )));
    };
    let pin = flags.pin.map(|key| key.to_string());
    let pin = pin.or_else(|| stored.as_ref().and_then(|known| known.pin.clone()));
    let stored = stored.map(|known| (known.fingerprint, known.ca));
    let (fingerprint, ca) = match (&flags.fingerprint, &flags.ca) {
        (None, None) => stored.unwrap_or_default(),
        (fingerprint, ca) => (fingerprint.clone(), ca.clone()),
    };
    Ok(KnownServer { token, fingerprint, ca, pin })
}

fn trust(known: &KnownServer) -> Outcome<Trust> {
    match (&known.fingerprint, &known.ca) {
        (Some(fingerprint), _) => Ok(Trust::Pinned(fingerprint.parse::<Fingerprint>()?)),
        (None, Some(ca)) => {
            Ok(Trust::Authorities(std::fs::read(ca).during(|| format!("cannot read {}", ca.display()))?))
        }
        (None, None) => Ok(Trust::System),
    }
}
