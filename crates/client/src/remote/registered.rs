//! A client whose secret key lies in a folder, and whose evaluation keys are registered at a server.

use super::{Error, Server, Timing};
use crate::{Classification, Client};
use blindsight_ckks::wire::hex;
use blindsight_network::Image;
use blindsight_protocol::{Address, Code, Model};
use std::fs;
use std::path::{Path, PathBuf};

/// A client of a model on a server.
pub struct RemoteClient {
    server: Server,
    model: Model,
    client: Client,
    keys: Address,
    note: PathBuf,
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
    /// The client of `model` (or of the only one) whose secret key lies in `folder`. At the first time the key is made and stored
    /// (mode 0600), evaluation keys are registered, and `progress` is told how many of how many of their bytes have arrived.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses, and where the folder cannot be read or written.
    pub fn open(
        server: Server,
        model: Option<&str>,
        folder: &Path,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self, Error> {
        let model = server.model(model)?;
        let (plan, digest) = server.plan(&model.id)?;
        fs::create_dir_all(folder).map_err(|source| crate::Error::file("write", folder, source))?;
        let name = hex(&digest[..8]);
        let secret = folder.join(format!("{name}.secret"));
        let client = if secret.exists() {
            Client::load(plan, digest, &secret)?
        } else {
            let client = Client::generate(plan, digest)?;
            client.save(&secret)?;
            client
        };
        let note = folder.join(format!("{name}.{}.keys", file_name(server.address())));
        let noted = fs::read_to_string(&note).ok().and_then(|text| text.trim().parse().ok());
        let keys = match noted {
            Some(address) => address,
            None => register(&server, &client, &note, progress)?,
        };
        Ok(Self { server, model, client, keys, note })
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

    /// Classifies an image: encrypted here, classified there, decrypted here. Keys that the server has forgotten are registered anew.
    ///
    /// # Errors
    /// As [`Client::encrypt`], [`Server::infer`] and [`Client::decrypt`].
    pub fn classify(&mut self, image: &Image) -> Result<Answer, Error> {
        let request = self.client.encrypt(image)?;
        let upload_bytes = request.len() as u64;
        let reply = match self.server.infer(&self.model.id, self.keys, request.clone()) {
            Err(error) if error.code() == Some(Code::UnknownKeys) => {
                self.keys = register(&self.server, &self.client, &self.note, |_, _| {})?;
                self.server.infer(&self.model.id, self.keys, request)?
            }
            other => other?,
        };
        let classification = self.client.decrypt(&reply.frame[..])?;
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

/// An address as a part of a file's name.
fn file_name(address: &str) -> String {
    let (_, host) = address.split_once("://").unwrap_or(("", address));
    host.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect()
}
