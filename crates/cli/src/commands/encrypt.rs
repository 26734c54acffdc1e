//! `encrypt`: an image into a request.

use crate::arguments::ImageArgument;
use crate::failure::Outcome;
use crate::files;
use crate::passphrase::PassphraseFlags;
use crate::report::{Facts, bytes, emit, milliseconds};
use crate::session::{load_client, timed};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Client: encrypts an image for the server
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  blindsight encrypt --plan net.plan --secret my.secret --in digit.png --out digit.enc"
)]
pub struct Encrypt {
    /// The plan, or its public part
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// The secret key
    #[arg(long, value_name = "S")]
    secret: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFlags,
    /// The image: a PNG, or DIR:N for test image N of the data set in DIR
    #[arg(long = "in", value_name = "IMAGE")]
    image: ImageArgument,
    /// Where the ciphertexts go
    #[arg(long, value_name = "C")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    out: PathBuf,
    upload_bytes: u64,
    encrypt_ms: f64,
}

impl Encrypt {
    pub fn run(&self, json: bool) -> Outcome {
        let client = load_client(&self.plan, &self.secret, &self.passphrase)?;
        let image = self.image.load(client.plan().input.shape())?;
        let (request, encrypt_ms) = timed(|| client.encrypt(&image));
        let request = request?;
        files::write(&self.out, &request)?;
        let upload_bytes = request.len() as u64;
        emit(&Report { out: self.out.clone(), upload_bytes, encrypt_ms }, json)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = Facts::default()
            .fact(
                "request",
                format!("{}, {}: send it to the server", self.out.display(), bytes(self.upload_bytes)),
            )
            .fact("time", milliseconds(self.encrypt_ms));
        write!(f, "{facts}")
    }
}
