//! The audit log: who had what done, a line of JSON for each request.
//!
//! A line holds names, sizes, times and outcomes, and nothing of what was sent or computed: no token, no key,
//! no ciphertext, no address. It is handed to the system before the answer leaves, one line after the other,
//! at the end of the file. Where it cannot be written the service goes on: that is said in the server's log
//! and its figures, and the first line that can be written again says how many are missing.

use crate::ClientName;
use crate::lock::lock;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A file that lines are added to.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("blindsight-audit-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let file = folder.join("audit.jsonl");
/// let audit = blindsight_service::Audit::open(&file)?;
/// std::fs::rename(&file, folder.join("audit.1.jsonl"))?;
/// audit.reopen()?; // as `blindsight serve` does at SIGHUP
/// assert!(file.exists());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    file: File,
    /// Lines that could not be written since the last that could.
    lost: u64,
    /// Whether the file ends within a line.
    torn: bool,
}

/// What one line says.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    /// The name that the token was made for; none where there was no valid one.
    token: Option<&'a str>,
    model: Option<&'a str>,
    what: &'a str,
    /// Method and path, as they stand in the OpenAPI document.
    asked: &'a str,
    /// `ok`, the code of a refusal, or `broken_off` where the connection ended before the answer.
    outcome: &'a str,
    status: Option<u16>,
    request_bytes: u64,
    reply_bytes: u64,
    milliseconds: f64,
}

/// What stands in place of lines that were lost.
#[derive(Debug, Serialize)]
struct Lost {
    time: String,
    what: &'static str,
    lines: u64,
}

impl Audit {
    /// Opens a file to add lines to; one that is made is this user's alone.
    ///
    /// # Errors
    /// Where the file cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        let log = Log { file: append(path)?, lost: 0, torn: false };
        Ok(Self { path: path.into(), log: Mutex::new(log) })
    }

    /// Opens the path anew, after the file was moved away.
    ///
    /// # Errors
    /// Where it cannot be opened; lines go on where they went then.
    pub fn reopen(&self) -> io::Result<()> {
        let file = append(&self.path)?;
        let mut log = lock(&self.log);
        (log.file, log.torn) = (file, false);
        Ok(())
    }

    /// Adds a line: whether it could be written.
    fn add(&self, line: &Line<'_>) -> bool {
        let mut log = lock(&self.log);
        let written = log.catch_up().and_then(|()| log.line(line));
        if let Err(error) = written {
            if log.lost == 0 {
                tracing::error!(%error, "the audit log cannot be written; the service goes on without");
            }
            log.lost += 1;
            return false;
        }
        true
    }
}

impl Log {
    /// Says what is missing, where anything is.
    fn catch_up(&mut self) -> io::Result<()> {
        if self.lost > 0 {
            self.line(&Lost { time: now(), what: "lost", lines: self.lost })?;
            tracing::warn!(lines = self.lost, "the audit log can be written again; lines are missing");
            self.lost = 0;
        }
        Ok(())
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = if self.torn { b"\n".to_vec() } else { vec![] };
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.torn = !rest.is_empty();
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// A request under way; its line is written when the last of those who know of it are done.
pub(crate) struct Witness {
    audit: Option<Arc<Audit>>,
    on_loss: Box<dyn Fn() + Send + Sync>,
    start: Instant,
    id: String,
    asked: String,
    request_bytes: u64,
    client: OnceLock<ClientName>,
    model: OnceLock<String>,
    registered: OnceLock<()>,
    answer: OnceLock<(u16, String, u64)>,
}

impl Witness {
    /// Of a request that begins now. Without an audit log nothing is written.
    pub fn new(
        audit: Option<Arc<Audit>>,
        asked: String,
        request_bytes: u64,
        on_loss: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            audit: audit.filter(|_| asked.contains(" /v1/")),
            on_loss,
            start: Instant::now(),
            id: request_id(),
            asked,
            request_bytes,
            client: OnceLock::new(),
            model: OnceLock::new(),
            registered: OnceLock::new(),
            answer: OnceLock::new(),
        }
    }

    /// What tells the request from others.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose it is.
    pub fn client(&self, name: &ClientName) {
        let _ = self.client.set(name.clone());
    }

    /// Which of the served models it is about.
    pub fn model(&self, id: &str) {
        let _ = self.model.set(id.into());
    }

    /// Keys were registered.
    pub fn registered(&self) {
        let _ = self.registered.set(());
    }

    /// How it was answered.
    pub fn answered(&self, status: u16, outcome: String, reply_bytes: u64) {
        let _ = self.answer.set((status, outcome, reply_bytes));
    }

    fn what(&self) -> &'static str {
        let refused = self.answer.get().is_some_and(|(status, ..)| *status >= 400);
        match self.asked.as_str() {
            _ if self.registered.get().is_some() => "keys registered",
            _ if refused => "refused",
            "POST /v1/models/{id}/infer" => "inference",
            "PUT /v1/keys/{digest}" => "keys sent",
            "DELETE /v1/keys/{digest}" => "keys deleted",
            "GET /v1/keys" | "HEAD /v1/keys/{digest}" => "keys listed",
            "GET /v1/models" => "models listed",
            "GET /v1/models/{id}" => "plan sent",
            "GET /v1/models/{id}/signature" => "signature sent",
            _ => "other",
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let Some(audit) = &self.audit else { return };
        let answer = self.answer.get();
        let line = Line {
            time: now(),
            request_id: &self.id,
            token: self.client.get().map(ClientName::as_str),
            model: self.model.get().map(String::as_str),
            what: self.what(),
            asked: &self.asked,
            outcome: answer.map_or("broken_off", |(_, outcome, _)| outcome),
            status: answer.map(|(status, ..)| *status),
            request_bytes: self.request_bytes,
            reply_bytes: answer.map_or(0, |(.., bytes)| *bytes),
            milliseconds: self.start.elapsed().as_secs_f64() * 1e3,
        };
        if !audit.add(&line) {
            (self.on_loss)();
        }
    }
}

/// 64 random bits: enough to find a line again.
fn request_id() -> String {
    let mut bits = [0; 8];
    // Without randomness requests are still served; they only cannot be told apart here.
    let _ = getrandom::fill(&mut bits);
    format!("{:016x}", u64::from_be_bytes(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(audit: &Arc<Audit>) {
        let witness = Witness::new(Some(audit.clone()), "GET /v1/models".into(), 0, Box::new(|| {}));
        witness.answered(200, "ok".into(), 10);
    }

    /// A disk that is full: `/dev/full`. Then it is moved away, as by `logrotate`, and lines go on.
    #[cfg(target_os = "linux")]
    #[test]
    fn lines_that_a_full_disk_lost_are_counted_in_the_next_one() {
        let path = std::env::temp_dir().join(format!("blindsight-audit-full-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink("/dev/full", &path).expect("writable");
        let audit = Arc::new(Audit::open(&path).expect("opens"));
        (0..3).for_each(|_| witness(&audit));
        std::fs::remove_file(&path).expect("there");
        audit.reopen().expect("opens");
        (0..2).for_each(|_| witness(&audit));
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!((&lines[0]["what"], &lines[0]["lines"]), (&"lost".into(), &3.into()));
        assert_eq!(lines.iter().skip(1).map(|line| &line["what"]).collect::<Vec<_>>(), ["models listed"; 2]);
        std::fs::remove_file(&path).expect("there");
    }
}
