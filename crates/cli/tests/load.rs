//! Many clients at once over TLS, each body encrypted beforehand: nothing lost, nothing wrong, and what it costs.
//!
//! `cargo test --release -p blindsight-cli --test load -- --ignored --nocapture` prints the figures of `docs/server.md`.

mod common;

use client::Client;
use client::remote::{Reply, Server};
use common::serving::Serving;
use common::{Folder, digit};
use network::{Image, Model};
use protocol::Address;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const MODEL: &str = "cryptonets-mnist";

struct Load {
    client: Client,
    keys: Vec<u8>,
    address: Address,
    /// Requests, with the label that plain inference gives.
    requests: Vec<(Vec<u8>, String)>,
}

impl Load {
    fn new(server: &Server) -> Self {
        let onnx = include_bytes!("../../../models/cryptonets-mnist.onnx");
        let model = Model::from_bytes(MODEL, onnx).expect("the shipped model");
        let (plan, digest) = server.plan(MODEL).expect("a plan");
        let labels = plan.labels.clone();
        let client = Client::generate(plan, digest).expect("a client");
        let keys = client.evaluation_keys(|_, _| {}).expect("keys");
        let request = |n| {
            let image = Image::open(Path::new(&digit(n)), model.graph.input).expect("a drawn digit");
            let scores = model.scores(&image).expect("scores");
            (client.encrypt(&image).expect("a request"), labels[Model::class_of(&scores)].clone())
        };
        let requests = (0..10).map(request).collect();
        Self { address: Address::of(&keys), client, keys, requests }
    }

    fn register(&self, server: &Server) {
        server.register_keys(&self.keys, |_, _| {}).expect("registered");
    }

    /// Sends request `n` and checks the label: the reply, and the milliseconds until it was there.
    fn ask(&self, server: &Server, n: usize) -> (Reply, f64) {
        let (request, label) = &self.requests[n % self.requests.len()];
        let body = request.clone();
        let start = Instant::now();
        let reply = server.infer(MODEL, self.address, body).expect("an answer");
        let time = start.elapsed().as_secs_f64() * 1e3;
        let read = self.client.decrypt(&reply.frame[..]).expect("a sound reply");
        assert_eq!(&read.label, label);
        (reply, time)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The most memory that the server ever held, in MiB (Linux).
fn peak_memory(serving: &Serving<'_>) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? >> 10)
}

/// One client, one request after the other: where the time goes.
fn one_client(load: &Load, server: &Server, requests: usize) {
    let asked: Vec<(Reply, f64)> = (0..requests).map(|n| load.ask(server, n)).collect();
    let step = |name| median(asked.iter().filter_map(|(reply, _)| reply.timing.step(name)).collect());
    let total = median(asked.iter().map(|(_, time)| *time).collect());
    let steps = ["read", "queue", "keys", "expand", "compute"];
    println!("one client, {requests} requests, medians in ms: total {total:.2}");
    steps.iter().for_each(|name| println!("  {name:<8} {:.2}", step(name)));
    let rest: Vec<f64> = asked
        .iter()
        .map(|(reply, time)| time - steps.iter().filter_map(|name| reply.timing.step(name)).sum::<f64>())
        .collect();
    println!("  {:<8} {:.2}", "rest", median(rest));
}

/// Many clients: answers in a second, and how busy the server's threads were.
fn many_clients(load: &Load, servers: &[Server], requests: usize, threads: usize) {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let (next_ref, load_ref) = (&next, load);
    let work: Vec<f64> = std::thread::scope(|scope| {
        let client = |server| {
            scope.spawn(move || {
                let mut work = vec![];
                loop {
                    let n = next_ref.fetch_add(1, Ordering::Relaxed);
                    if n >= requests {
                        return work;
                    }
                    let timing = load_ref.ask(server, n).0.timing;
                    work.push(
                        ["keys", "expand", "compute"].iter().filter_map(|s| timing.step(s)).sum::<f64>(),
                    );
                }
            })
        };
        let clients: Vec<_> = servers.iter().map(client).collect();
        clients.into_iter().flat_map(|client| client.join().expect("every answer was right")).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(work.len(), requests, "nothing was lost");
    let busy = work.iter().sum::<f64>() / 1e3 / seconds / threads as f64;
    println!(
        "{} clients, {requests} requests: {:.1} answers in a second, {threads} computing threads {:.0} % busy, {:.2} ms of work for each",
        servers.len(),
        requests as f64 / seconds,
        100.0 * busy,
        median(work)
    );
}

/// A first request after a restart: its keys are read from the disk and expanded.
fn cold(load: &Load, serving: &mut Serving<'_>, server: &Server) {
    serving.restart();
    let (reply, _) = load.ask(server, 0);
    println!("keys read and expanded in {:.2} ms", reply.timing.step("keys").expect("a time"));
}

fn run(name: &str, clients: usize, requests: usize) {
    let folder = Folder::new(name);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut serving = Serving::start(&folder, "");
    let servers: Vec<Server> = (0..clients).map(|n| serving.client(&format!("client-{n}"))).collect();
    let load = Load::new(&servers[0]);
    servers.iter().for_each(|server| load.register(server));
    one_client(&load, &servers[0], requests / clients);
    many_clients(&load, &servers, requests, threads);
    if let Some(peak) = peak_memory(&serving) {
        println!("server's peak memory: {peak} MiB");
        // Models, expanded keys up to their bound, a request and its expansion for each place.
        assert!(peak < 512 + 64 * 24 + 256, "{peak} MiB");
    }
    cold(&load, &mut serving, &servers[0]);
}

#[test]
fn a_few_clients_at_once_get_every_answer_right() {
    run("load-few", 6, 60);
}

#[test]
#[ignore = "takes minutes; prints the figures of docs/server.md"]
fn thirty_two_clients_get_two_thousand_answers_right() {
    run("load-many", 32, 2000);
}
