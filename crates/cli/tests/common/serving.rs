//! A server process, started as a user would.

use super::{Folder, text};
use blindsight_client::remote::{Server, Trust};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::time::Duration;

/// A server on a folder and a port that it keeps over restarts.
pub struct Serving<'a> {
    pub folder: &'a Folder,
    pub report: Value,
    flags: String,
    child: Child,
}

impl<'a> Serving<'a> {
    /// Starts a server with everything that lasts in `{server}`, and waits until it stands.
    pub fn start(folder: &'a Folder, flags: &str) -> Self {
        let address = "--address 127.0.0.1:0";
        let (child, report) = launch(folder, &format!("{address} {flags}"));
        Self { folder, report, flags: flags.into(), child }
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        self.report["address"].as_str().expect("an address")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process as a power failure would, as far as a process can tell.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again on the same folder and port.
    pub fn restart(&mut self) {
        // It may still run, or may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let port = self.url().rsplit_once(':').expect("a port").1.to_string();
        let flags = format!("--address 127.0.0.1:{port} {}", self.flags);
        (self.child, self.report) = launch(self.folder, &flags);
    }

    /// The same with other flags.
    pub fn restart_with(&mut self, flags: &str) {
        self.flags = flags.into();
        self.restart();
    }

    /// Asks it to end, and waits: whether it ended in peace.
    pub fn terminate(&mut self) -> bool {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        self.child.wait().expect("it ends").success()
    }

    /// A client of the server with a token of its own.
    pub fn client(&self, name: &str) -> Server {
        self.connect(&self.token(name))
    }

    /// A token for a client, in place of the one that it has.
    pub fn token(&self, name: &str) -> String {
        let tokens = self.report["tokens"].as_str().expect("a folder");
        let created = self.folder.json(&format!("token create {name} --replace --folder {tokens}"));
        created["token"].as_str().expect("a token").into()
    }

    /// The server, for whom this token is.
    pub fn connect(&self, token: &str) -> Server {
        let pin = self.report["fingerprint"].as_str().expect("TLS").parse().expect("a fingerprint");
        let server = Server::connect(self.url(), token, &Trust::Pinned(pin)).expect("an address");
        server.with_retry_budget(Duration::from_secs(120))
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &Folder, flags: &str) -> (Child, Value) {
    let command = format!("serve --model cryptonets-mnist --folder {{server}} --log off --json {flags}");
    let mut child = folder.start(&command);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut document = String::new();
    while let Some(Ok(line)) = lines.next() {
        document.push_str(&line);
        if line == "}" {
            break;
        }
    }
    match serde_json::from_str(&document) {
        Ok(report) => (child, report),
        Err(_) => panic!("{command}: {}", text(&child.wait_with_output().expect("it ends").stderr)),
    }
}
