//! Clients that want everything for themselves, each from an address of its own on loopback, and honest ones
//! beside them.

mod common;

use blindsight_service::Limits;
use common::attackers::{answer, bearer, connect_from, flood, idler, slow_upload};
use common::raw::{self, Answer, Request};
use common::{Folder, PARTIES, Running};
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Uploads of keys that nobody has, each at its beginning.
fn slow_uploads(service: &Running, token: &str, count: u8) -> Vec<TcpStream> {
    (0..count).map(|n| slow_upload(service, token, n)).collect()
}

/// Connections that say nothing, or half a request's head.
fn idlers(service: &Running, last: u8, count: usize) -> Vec<TcpStream> {
    (0..count).map(|n| idler(service, last, n)).collect()
}

fn infer(service: &Running, token: &str) -> Answer {
    service.infer(token, PARTIES.address, &PARTIES.request)
}

fn token(service: &Running, name: &str) -> String {
    let name = name.parse().expect("a name");
    service.tokens.create(&name, None, true).expect("writable").reveal().to_string()
}

#[test]
fn slow_uploads_of_one_client_keep_nobody_else_from_registering() {
    let folder = Folder::new("uploads");
    let service = Running::plain(folder.path(), Limits::default());
    let held = slow_uploads(&service, &service.alice, 16);
    for n in 0..14 {
        let token = token(&service, &format!("honest-{n}"));
        assert_eq!(service.put_keys(&token, &PARTIES.keys).status, 201);
    }
    // Four of hers are let in, and given up when they stall.
    let refused = held.into_iter().map(answer).filter(|answer| answer.status == 429).count();
    assert_eq!(refused, 12);
}

#[test]
fn idle_connections_displace_each_other_and_nobody_else() {
    let folder = Folder::new("idlers");
    let limits = Limits { connections: 60, connections_per_address: 40, ..Limits::default() };
    let service = Running::plain(folder.path(), limits);
    assert_eq!(service.put_keys(&service.bob, &PARTIES.keys).status, 201);
    let held = [2, 3].map(|last| idlers(&service, last, 100));
    for _ in 0..20 {
        assert_eq!(infer(&service, &service.bob).status, 200);
    }
    // From the attackers' own address, as behind one router.
    let mut stream = connect_from(3, service.address);
    let request = Request::new("GET", "/v1/models").header("authorization", &bearer(&service.bob));
    stream.write_all(&request.head_bytes()).expect("it listens");
    assert_eq!(answer(stream).status, 200);
    drop(held);
}

/// First come, first served, bob would wait for all of alice's each time.
#[test]
fn a_client_with_many_requests_delays_others_by_one_of_them() {
    let folder = Folder::new("turns");
    let service = Running::plain(folder.path(), Limits { threads: 1, ..Limits::default() });
    for token in [&service.alice, &service.bob] {
        assert_eq!(service.put_keys(token, &PARTIES.keys).status, 201);
    }
    let (done, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let meanwhile = thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    done.fetch_add(
                        usize::from(infer(&service, &service.alice).status == 200),
                        Ordering::Relaxed,
                    );
                }
            });
        }
        while done.load(Ordering::Relaxed) < 24 {
            thread::sleep(Duration::from_millis(5));
        }
        let mut meanwhile = vec![];
        for _ in 0..9 {
            let before = done.load(Ordering::Relaxed);
            assert_eq!(infer(&service, &service.bob).status, 200);
            meanwhile.push(done.load(Ordering::Relaxed) - before);
        }
        over.store(true, Ordering::Relaxed);
        meanwhile
    });
    let mut sorted = meanwhile.clone();
    sorted.sort_unstable();
    assert!(sorted[4] <= 8, "of alice's requests, so many were answered during each of bob's: {meanwhile:?}");
}

/// A bare line feed ends no line: a proxy in front that thinks so, too, sees the same requests as we do.
#[test]
fn bare_line_feeds_are_refused() {
    let folder = Folder::new("line-feeds");
    let service = Running::plain(folder.path(), Limits::default());
    let status = |bytes: &[u8]| {
        let mut stream = raw::connect(service.address);
        stream.write_all(bytes).expect("it listens");
        answer(stream).status
    };
    assert_eq!(status(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"), 200);
    assert_eq!(status(b"GET /healthz HTTP/1.1\nhost: a\n\n"), 400);
    assert_eq!(status(b"GET /healthz HTTP/1.1\r\nhost: a\nx: y\r\n\r\n"), 400);
}

/// What became of honest clients' requests.
#[derive(Default)]
struct Tally {
    refused: AtomicUsize,
    wrong: AtomicUsize,
}

/// Registers keys, then asks so many times.
fn be_honest(service: &Running, token: &str, requests: usize, tally: &Tally) {
    while service.put_keys(token, &PARTIES.keys).status != 201 {
        tally.refused.fetch_add(1, Ordering::Relaxed);
    }
    for _ in 0..requests {
        let answer = infer(service, token);
        if [429, 503].contains(&answer.status) {
            tally.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let read = PARTIES.client.decrypt(&answer.body[..]).map(|read| read.label);
        tally.wrong.fetch_add(usize::from(read.ok().as_deref() != Some("4")), Ordering::Relaxed);
    }
}

/// All three attacks at once, and so many honest clients with so many requests each, all beside one another.
fn everything_at_once(name: &str, clients: usize, requests: usize) {
    let folder = Folder::new(name);
    let limits = Limits { connections: 200, connections_per_address: 100, ..Limits::default() };
    let service = Running::plain(folder.path(), limits);
    assert_eq!(service.put_keys(&service.alice, &PARTIES.keys).status, 201);
    let tokens: Vec<String> = (0..clients).map(|n| token(&service, &format!("honest-{n}"))).collect();
    let (over, tally, start) = (AtomicBool::new(false), Tally::default(), Instant::now());
    let _uploads = slow_uploads(&service, &service.alice, 16);
    let _idlers = [2, 3].map(|last| idlers(&service, last, 150));
    thread::scope(|scope| {
        (0..40).for_each(|_| drop(scope.spawn(|| flood(&service, &service.alice, &over))));
        let (service, tally) = (&service, &tally);
        let honest =
            tokens.iter().map(|token| scope.spawn(move || be_honest(service, token, requests, tally)));
        let honest: Vec<_> = honest.collect();
        honest.into_iter().for_each(|client| client.join().expect("no panic"));
        over.store(true, Ordering::Relaxed);
    });
    let (refused, wrong, all) =
        (tally.refused.into_inner(), tally.wrong.into_inner(), clients * (requests + 1));
    println!("{all} requests in {:.1?}: {refused} refused for the moment, {wrong} wrong", start.elapsed());
    assert_eq!(wrong, 0);
    assert!(20 * refused <= all, "{refused} of {all} were refused for the moment");
}

#[test]
fn honest_clients_are_served_during_all_attacks() {
    everything_at_once("all", 6, 6);
}

#[test]
#[ignore = "takes a minute or two"]
fn two_thousand_requests_of_32_clients_are_served_during_all_attacks() {
    everything_at_once("all-2000", 32, 63);
}
