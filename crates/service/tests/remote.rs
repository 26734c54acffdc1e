//! The Rust client over HTTPS.

mod common;

use blindsight_client::remote::{Error, RemoteClient, Server, Trust};
use blindsight_protocol::Code;
use blindsight_service::Limits;
use common::raw::Request;
use common::{Folder, PARTIES, Running, digit};
use std::time::Duration;

fn server(service: &Running) -> Server {
    let pin = service.fingerprint.as_ref().expect("TLS").parse().expect("a fingerprint");
    let url = format!("https://{}", service.address);
    Server::connect(&url, &service.alice, &Trust::Pinned(pin)).expect("an address")
}

#[test]
fn keys_are_made_once_and_digits_are_recognised() {
    let (folder, secrets) = (Folder::new("remote"), Folder::new("remote-secrets"));
    let service = Running::tls(folder.path(), Limits::default());
    let mut parts = vec![];
    let open = |parts: &mut Vec<(u64, u64)>| {
        let progress = |sent, all| parts.push((sent, all));
        RemoteClient::open(server(&service), Some("mnist"), secrets.path(), |_| true, progress)
            .expect("registered")
    };
    let mut client = open(&mut parts);
    assert_eq!(parts[0].0, 0);
    assert!(parts.len() > 1 && parts.is_sorted(), "{parts:?}");
    for n in [0, 7] {
        let answer = client.classify(&digit(n, &PARTIES.model)).expect("classified");
        assert_eq!(answer.classification.label, n.to_string());
        assert!(answer.timing.step("compute").expect("a time") > 0.0);
    }
    let mut again = vec![];
    let mut client = open(&mut again);
    assert_eq!(again, []);
    assert_eq!(client.classify(&digit(3, &PARTIES.model)).expect("classified").classification.label, "3");
    // The server forgets the keys: the client registers new ones by itself.
    let first = client.keys();
    client.server().delete_keys(first).expect("deleted");
    assert_eq!(client.classify(&digit(3, &PARTIES.model)).expect("classified").classification.label, "3");
    assert_ne!(client.keys(), first);
    client.forget().expect("deleted");
    assert_eq!(server(&service).keys().expect("a list").keys, []);
}

#[test]
fn another_certificate_or_token_is_refused() {
    let folder = Folder::new("trust");
    let service = Running::tls(folder.path(), Limits::default());
    let url = format!("https://{}", service.address);
    let models = |token: &str, trust: Trust| {
        let server =
            Server::connect(&url, token, &trust).expect("an address").with_retry_budget(Duration::ZERO);
        server.models()
    };
    let pem = std::fs::read(folder.path().join("certificate.pem")).expect("there");
    assert_eq!(models(&service.alice, Trust::Authorities(pem)).expect("trusted").len(), 2);
    let other = Trust::Pinned("00".repeat(32).parse().expect("a fingerprint"));
    assert!(matches!(models(&service.alice, other), Err(Error::Connection { .. })));
    let own = || Trust::Pinned(service.fingerprint.as_ref().expect("TLS").parse().expect("a fingerprint"));
    assert_eq!(models("bst_wrong", own()).expect_err("refused").code(), Some(Code::Unauthorized));
    assert!(matches!(server(&service).model(None), Err(Error::Choose(names)) if names == ["mnist", "other"]));
}

/// As a server leaves them behind that ended, or had no room, between the last byte and the index.
#[test]
fn keys_that_arrived_whole_are_registered_by_a_part_of_no_bytes() {
    let (folder, parties) = (Folder::new("whole"), &*PARTIES);
    let uploads = folder.path().join("uploads/alice");
    std::fs::create_dir_all(&uploads).expect("writable");
    std::fs::write(uploads.join(parties.address.to_string()), &parties.keys).expect("written");
    let service = Running::plain(folder.path(), Limits::default());
    let url = format!("http://{}", service.address);
    let server = Server::connect(&url, &service.alice, &Trust::System).expect("an address");
    let mut offsets = vec![];
    let address = server.register_keys(&parties.keys, |sent, _| offsets.push(sent)).expect("registered");
    assert_eq!(address, parties.address);
    assert_eq!(offsets, [0, parties.keys.len() as u64]);
    service.serves_on();
}

#[test]
fn an_upload_goes_on_where_somebody_left_it() {
    let (folder, parties) = (Folder::new("left"), &*PARTIES);
    let mut service = Running::plain(folder.path(), Limits::default());
    let path = format!("/v1/keys/{}", parties.address);
    assert_eq!(service.ask(Request::new("PUT", &path).body(&parties.keys[..200_000])).status, 202);
    let url = format!("http://{}", service.address);
    let server = Server::connect(&url, &service.alice, &Trust::System).expect("an address");
    let mut offsets = vec![];
    let address = server.register_keys(&parties.keys, |sent, _| offsets.push(sent)).expect("registered");
    assert_eq!(address, parties.address);
    assert_eq!(offsets[..2], [0, 200_000]);
    service.serves_on();
    // The connection that it holds ends with the server, and nobody listens: that is said, in bounded time.
    service.stop();
    service.join();
    let impatient = server.with_retry_budget(Duration::from_millis(300));
    let gone = impatient.infer("mnist", address, parties.request.clone());
    assert!(matches!(gone, Err(Error::Connection { .. })), "{gone:?}");
}
