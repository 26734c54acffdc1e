//! A server that speaks S3 for one test: moto, where it is installed (`pip install "moto[server]"`).

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Moto(Child);

impl Moto {
    fn start(port: u16) -> Option<Self> {
        let program = std::env::var_os("MOTO_SERVER").unwrap_or_else(|| "moto_server".into());
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let Ok(mut child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            println!("SKIPPED: stores in S3: no moto_server here (pip install \"moto[server]\")");
            return None;
        };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().expect("a child").is_none(), "moto_server ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self(child))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs an ignored test of this file in a process of its own, whose environment names a new S3 server with
/// the bucket `fleet`: access to S3 is set by the environment, which a process with other tests must not
/// change.
pub fn with_bucket(test: &str) {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let Some(_moto) = Moto::start(port) else { return };
    let endpoint = format!("http://127.0.0.1:{port}");
    let bucket = format!("{endpoint}/fleet");
    let made = Command::new("curl").args(["-sf", "-o", "/dev/null", "-X", "PUT", &bucket]).status();
    assert!(made.expect("curl runs").success(), "a bucket");
    let mut this = Command::new(std::env::current_exe().expect("this test"));
    this.args(["--exact", test, "--ignored", "--nocapture"]);
    this.env("AWS_ENDPOINT", &endpoint).env("AWS_ALLOW_HTTP", "true");
    this.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_REGION", "us-east-1");
    let output = this.env("FLEET_TEST_S3", "yes").output().expect("it runs");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Whether this process is one that [`with_bucket`] started.
pub fn is_here() -> bool {
    std::env::var_os("FLEET_TEST_S3").is_some()
}
