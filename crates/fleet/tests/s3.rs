//! The store in a server that speaks S3: moto, where it is installed (`pip install "moto[server]"`).
#![cfg(feature = "s3")]

use blindsight_fleet::Depot;
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

#[test]
fn what_is_put_into_s3_is_there() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let Some(_moto) = Moto::start(port) else { return };
    let mut this = Command::new(std::env::current_exe().expect("this test"));
    this.args(["--exact", "s3_process", "--ignored", "--nocapture"]);
    this.env("AWS_ENDPOINT", format!("http://127.0.0.1:{port}")).env("AWS_ALLOW_HTTP", "true");
    this.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_REGION", "us-east-1");
    let output = this.env("FLEET_TEST_S3", port.to_string()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Not a test: what the test does, with the environment that it sets.
#[tokio::test]
#[ignore = "runs in an environment that another test makes"]
async fn s3_process() {
    let Ok(port) = std::env::var("FLEET_TEST_S3") else { return };
    let bucket = format!("http://127.0.0.1:{port}/fleet");
    let made = Command::new("curl").args(["-sf", "-X", "PUT", &bucket]).status();
    assert!(made.expect("curl runs").success(), "a bucket");
    let depot = Depot::open("s3://fleet/some/prefix").expect("an address");
    let (first, second) = (depot.agree(5).await.expect("agreed"), depot.agree(9).await.expect("agreed"));
    assert_eq!((first.shards, second.shards), (5, 5));
    depot.put("keys/a/b", vec![7; 1000]).await.expect("put");
    let file = std::env::temp_dir().join(format!("blindsight-s3-{}", std::process::id()));
    std::fs::write(&file, vec![8; 20 << 20]).expect("written");
    depot.put_file("keys/a/c", &file).await.expect("put in parts");
    std::fs::remove_file(&file).expect("there");
    assert_eq!(depot.get("keys/a/c", 1 << 30).await.expect("read").map(|bytes| bytes.len()), Some(20 << 20));
    let mut paths: Vec<String> =
        depot.list("keys").await.expect("two").into_iter().map(|(path, _)| path).collect();
    paths.sort();
    assert_eq!(paths, ["keys/a/b", "keys/a/c"]);
    depot.remove("keys/a/b").await.expect("removed");
    depot.remove("keys/a/b").await.expect("nothing to do");
    assert!(depot.get("keys/a/b", 1000).await.expect("nothing").is_none());
}
