//! Clients that are slow, rude, too many, or gone; and a server that is told to go.

mod common;

use blindsight_protocol::Address;
use blindsight_service::Limits;
use common::raw::{self, Answer, Request};
use common::{Folder, PARTIES, Running};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn impatient() -> Limits {
    let short = Duration::from_millis(300);
    Limits { stall: short, head: short, ..Limits::default() }
}

fn authorized(service: &Running, request: Request) -> Request {
    request.header("authorization", &format!("Bearer {}", service.alice))
}

fn infer(service: &Running) -> Request {
    let keys = PARTIES.address.to_string();
    authorized(service, Request::new("POST", "/v1/models/mnist/infer").header("blindsight-keys", &keys))
}

/// Sends a request's head and the beginning of its body.
fn begin(service: &Running, request: &Request, length: usize, begun: &[u8]) -> TcpStream {
    let mut stream = raw::connect(service.address);
    let request = request.clone().header("content-length", &length.to_string());
    stream.write_all(&request.head_bytes()).expect("the server listens");
    stream.write_all(begun).expect("the server listens");
    stream
}

/// Takes so many places of alice's, one after the other: a body that does not go on.
fn hold(service: &Running, count: usize) -> Vec<TcpStream> {
    let take = |n: usize| {
        let stream = begin(service, &infer(service), PARTIES.request.len(), &[0]);
        wait_for_places(service, n + 1);
        stream
    };
    (0..count).map(take).collect()
}

fn wait_for_places(service: &Running, taken: usize) {
    let expected = format!("blindsight_queue_places {taken}\n");
    loop {
        let text = Request::new("GET", "/metrics").send(service.metrics).body;
        if String::from_utf8(text).expect("text").contains(&expected) {
            return;
        }
    }
}

fn answer(stream: TcpStream) -> Answer {
    Answer::read(&mut BufReader::new(stream), false).expect("an answer")
}

/// Whether something has come back by now.
fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    peeked.is_ok()
}

/// Waits until the other side has closed.
fn closed(mut stream: TcpStream) -> bool {
    let mut rest = vec![];
    !matches!(stream.read_to_end(&mut rest), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn a_body_that_stalls_is_given_up_and_what_arrived_of_keys_is_kept() {
    let (folder, parties) = (Folder::new("stall"), &*PARTIES);
    let service = Running::plain(folder.path(), impatient());
    let path = format!("/v1/keys/{}", parties.address);
    let put = authorized(&service, Request::new("PUT", &path));
    let stalled = begin(&service, &put, parties.keys.len(), &parties.keys[..100_000]);
    assert_eq!(answer(stalled).code(), "timeout");
    let head = service.ask(Request::new("HEAD", &path));
    assert_eq!(head.headers["upload-offset"], "100000");
    let rest = Request::new("PUT", &path).header("upload-offset", "100000").body(&parties.keys[100_000..]);
    assert_eq!(service.ask(rest).status, 201);

    let stalled = begin(&service, &infer(&service), parties.request.len(), &parties.request[..100_000]);
    assert_eq!(answer(stalled).code(), "timeout");
    service.serves_on();
}

#[test]
fn a_body_that_drips_is_given_up_in_the_end() {
    let (folder, parties) = (Folder::new("drip"), &*PARTIES);
    let limits = Limits { body: Duration::from_millis(500), ..Limits::default() };
    let service = Running::plain(folder.path(), limits);
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    let mut stream = begin(&service, &infer(&service), parties.request.len(), &[]);
    let mut sent = 0;
    while stream.write_all(&parties.request[sent..=sent]).is_ok() && sent < 20 {
        sent += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(answer(stream).code(), "timeout");
    service.serves_on();
}

#[test]
fn silent_connections_are_closed() {
    let folder = Folder::new("silent");
    let service = Running::plain(folder.path(), impatient());
    assert!(closed(raw::connect(service.address)), "one that says nothing");
    let mut stream = raw::connect(service.address);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").expect("the server listens");
    assert!(closed(stream), "one that says half a head");
    let mut stream = raw::connect(service.address);
    stream.write_all(&Request::new("GET", "/healthz").head_bytes()).expect("the server listens");
    assert!(closed(stream), "one that says nothing more");
    let secure = Running::tls(Folder::new("silent-tls").path(), impatient());
    assert!(closed(raw::connect(secure.address)), "one that does not shake hands");
    let mut stream = raw::connect(secure.address);
    stream.write_all(&Request::new("GET", "/healthz").head_bytes()).expect("the server listens");
    assert!(closed(stream), "one that speaks in the clear");
}

#[test]
fn clients_that_hang_up_leave_nothing_behind() {
    let (folder, parties) = (Folder::new("gone"), &*PARTIES);
    // One place: were it not given back, nobody could enter again.
    let limits = Limits { queue: 0, reserve: 0, threads: 1, places_per_client: 1, ..Limits::default() };
    let service = Running::plain(folder.path(), limits);
    let path = format!("/v1/keys/{}", parties.address);
    let put = authorized(&service, Request::new("PUT", &path));
    drop(begin(&service, &put, parties.keys.len(), &parties.keys[..70_000]));
    let offset = || service.ask(Request::new("HEAD", &path)).headers["upload-offset"].clone();
    while offset() != "70000" {
        std::thread::sleep(Duration::from_millis(5));
    }
    let rest = Request::new("PUT", &path).header("upload-offset", "70000").body(&parties.keys[70_000..]);
    while service.ask(rest.clone()).status == 409 {
        std::thread::sleep(Duration::from_millis(5));
    }
    for sent in [0, 1000, parties.request.len()] {
        drop(begin(&service, &infer(&service), parties.request.len(), &parties.request[..sent]));
    }
    while service.infer(&service.alice, parties.address, &parties.request).status == 429 {
        std::thread::sleep(Duration::from_millis(5));
    }
    service.serves_on();
}

/// A service with one thread, a short queue and two places for each client, whose bodies may stall. Both
/// clients have registered keys.
fn with_few_places(folder: &Folder, queue: usize) -> Running {
    let stall = Duration::from_secs(600);
    let limits = Limits {
        queue,
        threads: 1,
        places_per_client: 2,
        reserve: 0,
        stall,
        body: stall,
        ..Limits::default()
    };
    let service = Running::plain(folder.path(), limits);
    for token in [&service.alice, &service.bob] {
        assert_eq!(service.put_keys(token, &PARTIES.keys).status, 201);
    }
    service
}

#[test]
fn beyond_the_queue_clients_are_told_to_come_again() {
    let (folder, parties) = (Folder::new("queue"), &*PARTIES);
    let service = with_few_places(&folder, 1);
    let held = hold(&service, 2);
    // The whole body is sent at once, and the refusal is read all the same.
    let refused = service.infer(&service.bob, parties.address, &parties.request);
    assert_eq!((refused.code().as_str(), refused.headers["retry-after"].as_str()), ("busy", "1"));
    drop(held);
    wait_for_places(&service, 0);
    service.serves_on();
}

#[test]
fn one_client_leaves_places_to_others() {
    let (folder, parties) = (Folder::new("fair"), &*PARTIES);
    let service = with_few_places(&folder, 3);
    let held = hold(&service, 2);
    assert_eq!(service.infer(&service.alice, parties.address, &parties.request).status, 429);
    assert_eq!(service.infer(&service.bob, parties.address, &parties.request).status, 200);
    drop(held);
}

#[test]
fn a_request_may_be_replayed() {
    let (folder, parties) = (Folder::new("replay"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    let replies = [0, 1].map(|_| service.infer(&service.alice, parties.address, &parties.request).body);
    assert_eq!(replies[0], replies[1]);
}

#[test]
fn two_uploads_of_the_same_keys_do_not_mix() {
    let (folder, parties) = (Folder::new("same"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    let path = format!("/v1/keys/{}", parties.address);
    let put = authorized(&service, Request::new("PUT", &path));
    let mut first = begin(&service, &put, parties.keys.len(), &parties.keys[..100]);
    let other = Request::new("PUT", &path);
    let refused = loop {
        let answer = service.ask(other.clone().body(&[]));
        if answer.code() != "bad_request" {
            break answer;
        }
        // This one came first, and brought nothing; if it was in the way of what should be the first, that
        // begins again.
        std::thread::sleep(Duration::from_millis(20));
        if is_answered(&first) {
            first = begin(&service, &put, parties.keys.len(), &parties.keys[..100]);
        }
    };
    assert_eq!(refused.code(), "upload_in_progress");
    let deleted = service.ask(Request::new("DELETE", &path));
    assert_eq!(deleted.code(), "upload_in_progress");
    first.write_all(&parties.keys[100..]).expect("the server listens");
    assert_eq!(answer(first).status, 201);
    service.serves_on();
}

#[test]
fn keys_expire_when_their_client_said_so() {
    let (folder, parties) = (Folder::new("expiry"), &*PARTIES);
    let mut service = Running::plain(folder.path(), Limits::default());
    let path = format!("/v1/keys/{}?expires_in=60", parties.address);
    assert_eq!(service.ask(Request::new("PUT", &path).body(&parties.keys)).status, 201);
    let keys = service.ask(Request::new("GET", "/v1/keys")).json();
    let [created, expires] =
        ["created", "expires"].map(|time| keys["keys"][0][time].as_u64().expect("a time"));
    assert!((59..=61).contains(&(expires - created)), "{keys}");
    service.stop();
    service.join();
}

#[test]
fn the_server_finishes_what_runs_before_it_goes() {
    let (folder, parties) = (Folder::new("farewell"), &*PARTIES);
    let mut service = Running::plain(folder.path(), Limits::default());
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    let idle = raw::connect(service.address);
    let (first, rest) = parties.request.split_at(1000);
    let mut running = begin(&service, &infer(&service), parties.request.len(), first);
    // The server has read the head when a place is taken.
    wait_for_places(&service, 1);
    service.stop();
    assert!(closed(idle), "connections without a request are closed");
    running.write_all(rest).expect("the server listens");
    let last = answer(running);
    assert_eq!(last.status, 200, "{last:?}");
    service.join();
    assert!(TcpStream::connect(service.address).is_err(), "nobody listens any more");
}

#[test]
fn acknowledged_keys_and_whole_uploads_survive_a_restart() {
    let (folder, parties) = (Folder::new("restart"), &*PARTIES);
    let mut service = Running::plain(folder.path(), Limits::default());
    let more = parties.stranger.evaluation_keys(|_, _| {}).expect("keys");
    let path = format!("/v1/keys/{}", Address::of(&more));
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    assert_eq!(service.ask(Request::new("PUT", &path).body(&more[..more.len() - 1])).status, 202);
    service.stop();
    service.join();
    // As after a crash between the last byte and the index: the file is whole, and nobody was told.
    let file = folder.path().join("uploads/alice").join(Address::of(&more).to_string());
    let known = folder.path().join("keys/alice").join(Address::of(&more).to_string());
    std::fs::write(&file, &more).expect("writable");
    std::fs::rename(&file, &known).expect("writable");
    let service = Running::plain(folder.path(), Limits::default());
    service.serves_on();
    let head = service.ask(Request::new("HEAD", &path));
    assert_eq!(
        (head.headers["upload-complete"].as_str(), head.headers["upload-offset"].clone()),
        ("?0", more.len().to_string())
    );
    let rest = Request::new("PUT", &path).header("upload-offset", &more.len().to_string()).body(&[]);
    assert_eq!(service.ask(rest).status, 201);
}

#[test]
fn one_server_at_a_time_has_a_folder() {
    let folder = Folder::new("lock");
    let _service = Running::plain(folder.path(), Limits::default());
    let second = blindsight_service::Service::open(
        folder.path(),
        blindsight_service::Catalogue::default(),
        Limits::default(),
    );
    assert!(second.is_err());
}
