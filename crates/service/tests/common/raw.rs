//! HTTP/1.1 written by hand, so that it can be written wrongly.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: vec![], body: vec![] }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.headers.push(("content-length".into(), body.len().to_string()));
        self.body = body.to_vec();
        self
    }

    pub fn head_bytes(&self) -> Vec<u8> {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers: String = headers.collect();
        format!("{} {} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n", self.method, self.path).into_bytes()
    }

    /// Writes all of it.
    pub fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(&self.head_bytes())?;
        stream.write_all(&self.body)
    }

    /// Sends all of it on a connection of its own.
    pub fn send(&self, address: SocketAddr) -> Answer {
        let mut stream = connect(address);
        stream.write_all(&self.head_bytes()).expect("the server listens");
        // A server that refuses may not read on; its answer is there anyway.
        let _ = stream.write_all(&self.body);
        Answer::read(&mut BufReader::new(stream), self.method == "HEAD").expect("an answer")
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

impl Answer {
    /// Reads one answer; none where the connection ends before.
    pub fn read(source: &mut impl BufRead, headless: bool) -> Option<Self> {
        let mut line = String::new();
        source.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            source.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_string());
        }
        let length = if headless {
            0
        } else {
            headers.get("content-length").map_or(0, |n| n.parse().expect("a number"))
        };
        let mut body = vec![0; length];
        source.read_exact(&mut body).ok()?;
        Some(Self { status, headers, body })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_else(|| panic!("no code in {self:?}")).to_string()
    }
}
