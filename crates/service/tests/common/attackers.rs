//! Clients that want everything for themselves, each from an address of its own on loopback.

use super::raw::{Answer, Request};
use super::{PARTIES, Running};
use blindsight_protocol::Address;
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A connection from another address of this machine.
pub fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let connect = async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).expect("loopback has many addresses");
        socket.connect(to).await.expect("the server listens").into_std().expect("a socket")
    };
    let stream = runtime.block_on(connect);
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

pub fn answer(stream: TcpStream) -> Answer {
    Answer::read(&mut BufReader::new(stream), false).expect("an answer")
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// An upload of keys that nobody has, at its beginning.
pub fn slow_upload(service: &Running, token: &str, n: u8) -> TcpStream {
    let path = format!("/v1/keys/{}", Address([n; 32]));
    let length = PARTIES.keys.len().to_string();
    let put = Request::new("PUT", &path).header("content-length", &length);
    let mut stream = connect_from(2, service.address);
    stream.write_all(&put.header("authorization", &bearer(token)).head_bytes()).expect("it listens");
    // It may have been refused by then.
    let _ = stream.write_all(&PARTIES.keys[..1000]);
    stream
}

/// A connection without a token that says nothing, or half a request's head.
pub fn idler(service: &Running, last: u8, n: usize) -> TcpStream {
    let mut stream = connect_from(last, service.address);
    // It may be displaced by then.
    let _ =
        stream.write_all(&b"GET /healthz HTTP/1.1\r\nhost: loc"[..if n.is_multiple_of(2) { 0 } else { 32 }]);
    stream
}

/// Keeps so many connections open until it is over: those that were closed are opened again, the others get
/// another byte now and then.
pub fn keep_open<const N: usize>(over: &AtomicBool, open: impl Fn(usize) -> TcpStream) {
    let mut held: Vec<TcpStream> = (0..N).map(&open).collect();
    while !over.load(Ordering::Relaxed) {
        for (n, stream) in held.iter_mut().enumerate() {
            if !is_open(stream) {
                *stream = open(n);
            }
            let _ = stream.write_all(b"x");
        }
        thread::sleep(Duration::from_millis(250));
    }
}

/// Whether the other side has neither answered nor closed.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Asks, and asks again as soon as there is an answer, whatever it says, until it is over.
pub fn flood(service: &Running, token: &str, over: &AtomicBool) {
    let keys = PARTIES.address.to_string();
    let request = Request::new("POST", "/v1/models/mnist/infer").header("blindsight-keys", &keys);
    let request = request.header("authorization", &bearer(token)).body(&PARTIES.request);
    while !over.load(Ordering::Relaxed) {
        drop(request.send(service.address));
    }
}
