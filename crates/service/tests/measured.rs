//! What three attacks do to honest clients, and what taking turns costs: a table of figures, and what they
//! have to be.
//!
//! `cargo test --release -p blindsight-service --test measured -- --ignored --nocapture` on a machine that
//! does nothing else. Attackers, honest clients and server share its cores.

mod common;

use blindsight_client::Client;
use blindsight_protocol::Address;
use blindsight_service::Limits;
use common::attackers::{bearer, flood, idler, keep_open, slow_upload};
use common::raw::{self, Answer, Request};
use common::{Folder, PARTIES, Running, digit};
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A client with a key of its own, that waits for each answer, and comes again where it is told to.
struct Honest {
    token: String,
    client: Client,
    keys: Vec<u8>,
    address: Address,
    request: Vec<u8>,
}

/// What honest clients met.
#[derive(Default)]
struct Met {
    /// From a request's first byte to its answer, over all refusals between.
    latencies: Vec<Duration>,
    registered: usize,
    refused: usize,
    wrong: usize,
    lost: usize,
}

impl Honest {
    fn new(service: &Running, n: usize) -> Self {
        let name = format!("honest-{n}").parse().expect("a name");
        let token = service.tokens.create(&name, None, true).expect("writable").reveal().to_string();
        let parties = &*PARTIES;
        let client = Client::generate(parties.plan.public.clone(), parties.plan.digest()).expect("a client");
        let keys = client.evaluation_keys(|_, _| {}).expect("keys");
        let request = client.encrypt(&digit(4, &parties.model)).expect("a request");
        Self { token, address: Address::of(&keys), client, keys, request }
    }

    fn path(&self) -> String {
        format!("/v1/keys/{}", self.address)
    }

    /// Deletes its keys, registers them, and asks so many times.
    fn be_honest(&self, service: &Running, requests: usize) -> Met {
        let (mut met, mut line) = (Met::default(), Line::new(service));
        line.ask(&self.request("DELETE", &self.path()), &mut met);
        let put = line.ask(&self.request("PUT", &self.path()).body(&self.keys), &mut met);
        met.lost += usize::from(put.status != 201);
        met.registered += 1;
        let infer = self.inference();
        for _ in 0..requests {
            let start = Instant::now();
            let answer = line.ask(&infer, &mut met);
            met.latencies.push(start.elapsed());
            let read = self.client.decrypt(&answer.body[..]).map(|read| read.label);
            met.wrong += usize::from(read.ok().as_deref() != Some("4"));
        }
        met.lost += usize::from(!self.is_registered(service));
        met
    }

    /// The head and body of a request of its own.
    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, path).header("authorization", &bearer(&self.token))
    }

    fn inference(&self) -> Request {
        let request = self.request("POST", "/v1/models/mnist/infer");
        request.header("blindsight-keys", &self.address.to_string()).body(&self.request)
    }

    /// Whether the server still has what it acknowledged.
    fn is_registered(&self, service: &Running) -> bool {
        let head = self.request("HEAD", &self.path()).send(service.address);
        head.headers.get("upload-complete").is_some_and(|whole| whole == "?1")
    }
}

/// A connection that is used again.
struct Line<'a> {
    service: &'a Running,
    stream: BufReader<TcpStream>,
}

impl<'a> Line<'a> {
    fn new(service: &'a Running) -> Self {
        Self { service, stream: BufReader::new(raw::connect(service.address)) }
    }

    /// Sends a request until it is answered with something else than "not now".
    fn ask(&mut self, request: &Request, met: &mut Met) -> Answer {
        loop {
            let sent = request.write(self.stream.get_mut());
            match sent.ok().and_then(|()| Answer::read(&mut self.stream, false)) {
                Some(answer) if ![429, 503].contains(&answer.status) => return answer,
                Some(_) => thread::sleep(Duration::from_millis(100)),
                // A connection may be closed between requests, for one.
                None => self.stream = BufReader::new(raw::connect(self.service.address)),
            }
            met.refused += 1;
        }
    }
}

impl Met {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.registered += other.registered;
        self.refused += other.refused;
        self.wrong += other.wrong;
        self.lost += other.lost;
    }

    fn requests(&self) -> usize {
        self.latencies.len() + self.registered
    }

    /// The latency that so large a part of the requests stays below, in milliseconds.
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted[((sorted.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Attack {
    Uploads,
    Idlers,
    Flood,
    All,
}

impl Attack {
    fn name(self) -> &'static str {
        match self {
            Self::Uploads => "sixteen slow uploads by one token",
            Self::Idlers => "512 silent or slow connections without a token",
            Self::Flood => "one token with 48 requests at any time",
            Self::All => "all three",
        }
    }

    fn includes(self, other: Self) -> bool {
        self == other || self == Self::All
    }

    /// Does something while it is under way.
    fn during<T>(self, service: &Running, work: impl FnOnce() -> T) -> T {
        let over = &AtomicBool::new(false);
        thread::scope(|scope| {
            if self.includes(Self::Uploads) {
                scope.spawn(|| keep_open::<16>(over, |n| slow_upload(service, &service.bob, n as u8)));
            }
            if self.includes(Self::Idlers) {
                // From as many addresses as they need.
                scope.spawn(|| keep_open::<512>(over, |n| idler(service, 10 + (n % 5) as u8, n / 5)));
            }
            if self.includes(Self::Flood) {
                (0..48).for_each(|_| drop(scope.spawn(|| flood(service, &service.alice, over))));
            }
            thread::sleep(Duration::from_secs(1));
            let done = work();
            over.store(true, Ordering::Relaxed);
            done
        })
    }
}

/// All of these clients at once.
fn all_honest(service: &Running, clients: &[Honest], requests: usize) -> Met {
    let met = Mutex::new(Met::default());
    let add = |more| met.lock().unwrap_or_else(PoisonError::into_inner).add(more);
    thread::scope(|scope| {
        clients.iter().for_each(|c| drop(scope.spawn(|| add(c.be_honest(service, requests)))));
    });
    met.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Measures the same load without and with an attack, in turn, so that what else the machine does meets both;
/// prints the row, and gives what is not as it has to be.
fn row(service: &Running, attack: Attack, clients: &[Honest], requests: usize, rounds: usize) -> Vec<String> {
    let [mut without, mut with] = [(); 2].map(|()| Met::default());
    for _ in 0..rounds {
        without.add(all_honest(service, clients, requests));
        with.add(attack.during(service, || all_honest(service, clients, requests)));
    }
    let [median, late] = [0.5, 0.95].map(|part| [&without, &with].map(|met| met.quantile(part)));
    let pair = |[without, with]: [f64; 2]| format!("{without:.1} -> {with:.1}");
    let (name, count, all) = (attack.name(), clients.len(), with.requests());
    let Met { refused, wrong, lost, .. } = with;
    println!(
        "| {name} | {count} | {} | {} | {refused} of {all} | {wrong} | {lost} |",
        pair(median),
        pair(late)
    );
    let mut broken = vec![];
    let mut hold = |holds: bool, what: &str| {
        if !holds {
            broken.push(format!("{name}, {count} clients: {what}"));
        }
    };
    hold(wrong + lost == 0, "an answer was wrong or something acknowledged lost");
    hold(20 * refused <= all, "more than 5 % refused for the moment");
    hold(median[1] <= 2.0 * median[0], "more than twice the median latency");
    hold(late[1] <= 2.0 * late[0], "more than twice the latency of the slowest 5 %");
    broken
}

/// So many inferences with each of these tokens and keys, each on two connections at once: how many a second.
fn throughput(service: &Running, work: &[(&str, &Honest)], requests: usize) -> f64 {
    let start = Instant::now();
    thread::scope(|scope| {
        for (token, honest) in work.iter().chain(work) {
            let infer =
                Request::new("POST", "/v1/models/mnist/infer").header("authorization", &bearer(token));
            let infer = infer.header("blindsight-keys", &honest.address.to_string()).body(&honest.request);
            scope.spawn(move || {
                let (mut line, mut met) = (Line::new(service), Met::default());
                (0..requests).for_each(|_| assert_eq!(line.ask(&infer, &mut met).status, 200));
            });
        }
    });
    (2 * work.len() * requests) as f64 / start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What turns cost: 16 clients with a key each, and the same requests under the same keys by one client,
/// whose requests are computed first come, first served.
fn fairness(service: &Running, clients: &[Honest], rounds: usize) -> f64 {
    for honest in clients {
        for token in [&honest.token, &service.bob] {
            let status = service.put_keys(token, &honest.keys).status;
            assert!([200, 201].contains(&status), "{status}");
        }
    }
    let turns: Vec<(&str, &Honest)> = clients.iter().map(|c| (c.token.as_str(), c)).collect();
    let line: Vec<(&str, &Honest)> = clients.iter().map(|c| (service.bob.as_str(), c)).collect();
    // Expands all keys.
    for work in [&turns, &line] {
        throughput(service, work, 1);
    }
    let ratio = |round: usize| {
        // What is measured second finds another machine than what is measured first.
        let (first, second) = if round.is_multiple_of(2) { (&turns, &line) } else { (&line, &turns) };
        let [first, second] = [first, second].map(|work| throughput(service, work, 8));
        if round.is_multiple_of(2) { first / second } else { second / first }
    };
    median((0..rounds).map(ratio).collect())
}

#[test]
#[ignore = "takes some minutes of a machine that does nothing else"]
fn honest_clients_during_three_attacks() {
    let folder = Folder::new("measured");
    let limits = Limits { cache: 2 << 30, ..Limits::default() };
    let mut service = Running::plain(folder.path(), limits.clone());
    assert_eq!(service.put_keys(&service.alice, &PARTIES.keys).status, 201);
    let clients: Vec<Honest> = (0..32).map(|n| Honest::new(&service, n)).collect();
    println!("| attack | honest clients | median, ms | slowest 5 %, ms | refused for now | wrong | lost |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut broken = vec![];
    for attack in [Attack::Uploads, Attack::Idlers, Attack::Flood] {
        broken.extend(row(&service, attack, &clients[..1], 100, 3));
        broken.extend(row(&service, attack, &clients[..4], 60, 3));
    }
    broken.extend(row(&service, Attack::All, &clients, 62, 1));
    let fair = fairness(&service, &clients[..16], 25);
    println!("16 clients in turn: {fair:.3} of the throughput of the same requests in one line");
    if fair < 0.98 {
        broken.push(format!("turns cost {:.1} % of throughput", 1e2 * (1.0 - fair)));
    }
    service.stop();
    service.join();
    let service = Running::plain(folder.path(), limits);
    let kept = clients.iter().filter(|honest| honest.is_registered(&service)).count();
    println!("{kept} of 32 acknowledged keys are there after a restart");
    assert_eq!(kept, 32);
    assert!(broken.is_empty(), "{broken:#?}");
}
