//! A `nats-server` for one test, where one is installed.
#![allow(dead_code, reason = "each test file uses a part")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The server, on a port that it keeps over restarts, and its folder.
pub struct Nats {
    port: u16,
    folder: PathBuf,
    configuration: Option<PathBuf>,
    child: Child,
}

impl Nats {
    /// Starts one; none where it is not installed, which is said.
    pub fn start(name: &str) -> Option<Self> {
        Self::launch(name, None)
    }

    /// The same as a file of its configuration says, but for address and port.
    pub fn configured(name: &str, configuration: &Path) -> Option<Self> {
        Self::launch(name, Some(configuration.into()))
    }

    fn launch(name: &str, configuration: Option<PathBuf>) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("blindsight-nats-{name}-{}", std::process::id()));
        let port = free_port();
        let Some(child) = launch(port, &folder, configuration.as_deref()) else {
            println!("SKIPPED: {name}: no nats-server here (Debian: apt-get install nats-server)");
            return None;
        };
        let mut nats = Self { port, folder, configuration, child };
        nats.wait();
        Some(nats)
    }

    pub fn url(&self) -> String {
        let scheme = if self.configuration.is_some() { "tls" } else { "nats" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Ends it without a chance to write anything down.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Removes the messages of a stream from the disk of a server that does not run, and with them how far it
    /// had counted: a server that is killed while a stream is empty sometimes does so itself.
    pub fn lose_count(&self, stream: &str) {
        let messages = self.folder.join("jetstream/$G/streams").join(stream).join("msgs");
        std::fs::remove_dir_all(&messages).expect("it has such a stream");
        std::fs::create_dir(&messages).expect("its folder is there");
    }

    /// Starts it again on the same folder.
    pub fn restart(&mut self) {
        self.child =
            launch(self.port, &self.folder, self.configuration.as_deref()).expect("it was there just now");
        self.wait();
    }

    fn wait(&mut self) {
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.child.try_wait().expect("a child").is_none(), "nats-server ended");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn launch(port: u16, folder: &Path, configuration: Option<&Path>) -> Option<Child> {
    ["nats-server", "/usr/sbin/nats-server", "/usr/local/bin/nats-server"].iter().find_map(|program| {
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
        match configuration {
            Some(file) => command.arg("-c").arg(file),
            None => command.args(["-js", "-sd"]).arg(folder),
        };
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    })
}
