//! A client whose secret key lies in a folder, and whose evaluation keys are registered at a server.

use super::{About, Error, Server, Timing};
use crate::{Classification, Client, Cost, Passphrase, ReplyCount, is_sealed};
use blindsight_ckks::wire::{PlanDigest, hex};
use blindsight_layout::PublicPlan;
use blindsight_network::Image;
use blindsight_protocol::{Address, Code, Model};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// A client of a model on a server.
pub struct RemoteClient {
    server: Server,
    model: Model,
    client: Client,
    keys: Address,
    note: PathBuf,
    replies: ReplyCount,
}

/// Where a client's secret keys lie, and what they are sealed with.
///
/// ```
/// use blindsight_client::{Passphrase, remote::Secrets};
/// use std::path::Path;
///
/// let secrets = Secrets::from(Path::new("keys")).sealed_with(Passphrase::new("correct horse"));
/// # let _ = secrets;
/// ```
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: PathBuf,
    passphrase: Option<Passphrase>,
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Secrets {
    fn from(folder: &P) -> Self {
        Self { folder: folder.as_ref().into(), passphrase: None }
    }
}

impl Secrets {
    /// The same with a passphrase: keys that are made are sealed with it, and sealed ones opened.
    pub fn sealed_with(self, passphrase: Option<Passphrase>) -> Self {
        Self { passphrase, ..self }
    }

    fn load(&self, plan: PublicPlan, digest: PlanDigest, path: &Path) -> Result<Client, crate::Error> {
        match (is_sealed(path)?, &self.passphrase) {
            (false, _) => Client::load(plan, digest, path),
            (true, Some(passphrase)) => Client::load_sealed(plan, digest, path, passphrase),
            (true, None) => Err(crate::Error::PassphraseNeeded(path.into())),
        }
    }

    fn save(&self, client: &Client, path: &Path) -> Result<(), crate::Error> {
        match &self.passphrase {
            Some(passphrase) => client.save_sealed(path, passphrase),
            None => client.save(path),
        }
    }
}

/// A classification, and what it took.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the reply says.
    pub classification: Classification,
    /// The server's own times.
    pub timing: Timing,
    /// Bytes of the request.
    pub upload_bytes: u64,
    /// Bytes of the reply.
    pub download_bytes: u64,
}

impl RemoteClient {
    /// The client of `model` (or of the only one) whose secret key is one of `secrets`. A secret key belongs
    /// to one plan of one server: it is filed under the server's identity (its pinned certificate, or else
    /// its address) and the plan's digest, which commits to all of the public plan. At the first time `agree`
    /// is shown what the plan costs; where it agrees, the key is made and stored (mode 0600, sealed where
    /// there is a passphrase), evaluation keys are registered, and `progress` is told how many of how many of
    /// their bytes have arrived.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses, where `agree` does not ([`Error::Declined`]), where the
    /// key is sealed and there is no passphrase, and where the folder cannot be read or written.
    pub fn open(
        server: Server,
        model: Option<&str>,
        secrets: impl Into<Secrets>,
        agree: impl FnOnce(&Cost) -> bool,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self, Error> {
        let model = server.model(model)?;
        let (plan, digest) = server.plan(&model.id)?;
        let secrets = secrets.into();
        let folder = secrets.folder.as_path();
        fs::create_dir_all(folder).map_err(|source| crate::Error::file("write", folder, source))?;
        let name = file_name(&server, &digest);
        let [secret, note] = ["secret", "keys"].map(|what| folder.join(format!("{name}.{what}")));
        let (client, is_new) = match secret.exists() {
            true => (secrets.load(plan, digest, &secret)?, false),
            false => (Client::generate(plan, digest)?, true),
        };
        let noted = fs::read_to_string(&note).ok().and_then(|text| text.trim().parse().ok());
        let noted: Option<Address> = noted.filter(|_| !is_new);
        let cost = client.cost();
        if noted.is_none() && !agree(&cost) {
            return Err(Error::Declined(cost));
        }
        if is_new {
            About::new(server.address(), &model.id, hex(&digest)).write(folder, &name)?;
            secrets.save(&client, &secret)?;
        }
        let keys = match noted {
            Some(address) => address,
            None => register(&server, &client, &note, progress)?,
        };
        Ok(Self { server, model, client, keys, note, replies: ReplyCount::of(&secret) })
    }

    /// The model, as the server describes it.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where the evaluation keys are registered.
    pub fn keys(&self) -> Address {
        self.keys
    }

    /// Classifies an image: encrypted here, classified there, decrypted here; scores are rounded to the
    /// predicted error. Keys that the server has forgotten are registered anew. What the server sees does not
    /// depend on the image, nor on what its reply decrypts to.
    ///
    /// # Errors
    /// As [`Client::encrypt`], [`Server::infer`] and [`Client::decrypt`].
    pub fn classify(&mut self, image: &Image) -> Result<Answer, Error> {
        let answer = self.classify_exactly(image)?;
        Ok(self.rounded(answer))
    }

    /// As [`RemoteClient::classify`], for the network's input: normalised values in the order channel, row,
    /// column. Values outside of the plan's range are clamped, with a [warning](crate::Warning::Clamped)
    /// here; the server sees no difference.
    ///
    /// # Errors
    /// As [`Client::encrypt_input`], [`Server::infer`] and [`Client::decrypt`].
    pub fn classify_input(&mut self, input: &[f64]) -> Result<Answer, Error> {
        let answer = self.classify_input_exactly(input)?;
        Ok(self.rounded(answer))
    }

    /// As [`RemoteClient::classify_input`], with [exact scores](Client::exact_scores): for nobody but the
    /// holder of the key.
    ///
    /// # Errors
    /// As [`RemoteClient::classify_input`].
    pub fn classify_input_exactly(&mut self, input: &[f64]) -> Result<Answer, Error> {
        let mut answer = self.ask(self.client.encrypt_input(input)?)?;
        answer.classification.warnings.extend(self.client.check_input(input));
        Ok(answer)
    }

    /// As [`RemoteClient::classify`], with [exact scores](Client::exact_scores): for nobody but the holder of
    /// the key.
    ///
    /// # Errors
    /// As [`RemoteClient::classify`].
    pub fn classify_exactly(&mut self, image: &Image) -> Result<Answer, Error> {
        self.ask(self.client.encrypt(image)?)
    }

    fn rounded(&self, answer: Answer) -> Answer {
        Answer { classification: self.client.rounded(answer.classification), ..answer }
    }

    /// Sends a request, and decrypts the reply.
    fn ask(&mut self, request: Vec<u8>) -> Result<Answer, Error> {
        let upload_bytes = request.len() as u64;
        let reply = match self.server.infer(&self.model.id, self.keys, request.clone()) {
            Err(error) if error.code() == Some(Code::UnknownKeys) => {
                self.keys = register(&self.server, &self.client, &self.note, |_, _| {})?;
                self.server.infer(&self.model.id, self.keys, request)?
            }
            other => other?,
        };
        let many = self.replies.count()?;
        let mut classification = self.client.exact_scores(&reply.frame[..], 1)?.swap_remove(0);
        classification.warnings.extend(many);
        let download_bytes = reply.frame.len() as u64;
        Ok(Answer { classification, timing: reply.timing, upload_bytes, download_bytes })
    }

    /// Has the server delete the evaluation keys. The secret key stays in its folder.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub fn forget(self) -> Result<(), Error> {
        self.server.delete_keys(self.keys)?;
        let removed = fs::remove_file(&self.note);
        removed.map_err(|source| crate::Error::file("write", &self.note, source).into())
    }
}

/// Makes evaluation keys, registers them, and notes where.
fn register(
    server: &Server,
    client: &Client,
    note: &Path,
    progress: impl FnMut(u64, u64),
) -> Result<Address, Error> {
    let frame = client.evaluation_keys(|_, _| {})?;
    let address = server.register_keys(&frame, progress)?;
    fs::write(note, format!("{address}\n")).map_err(|source| crate::Error::file("write", note, source))?;
    Ok(address)
}

/// The name of the files of one plan of one server: the address for people, a digest of identity and plan to
/// tell apart.
fn file_name(server: &Server, plan: &PlanDigest) -> String {
    let identity = server.identity();
    let hasher = Sha256::new().chain_update(b"blindsight secret 1").chain_update(Sha256::digest(identity));
    let digest = hex(&hasher.chain_update(plan).finalize()[..16]);
    let (_, host) = server.address().split_once("://").unwrap_or(("", server.address()));
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    format!("{}.{digest}", host.chars().map(plain).collect::<String>())
}
