//! Many clients at once over TLS, each body encrypted beforehand: nothing lost, nothing wrong, and what it
//! costs beside the same work without a service.
//!
//! `cargo test --release -p blindsight-cli --test load -- --ignored --nocapture` prints the tables of
//! `docs/server.md`.

mod common;

use blindsight_client::Client;
use blindsight_client::remote::{Reply, Server};
use blindsight_data::open_image;
use blindsight_network::Model;
use blindsight_planner::Plan;
use blindsight_protocol::Address;
use blindsight_server::{ClientKeys, PreparedModel};
use common::serving::Serving;
use common::{Folder, digit};
use std::fs::File;
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

/// The shipped model.
fn model() -> Model {
    let onnx = include_bytes!("../../../models/cryptonets-mnist.onnx");
    Model::from_bytes(MODEL, onnx).expect("the shipped model")
}

impl Load {
    fn new(server: &Server) -> Self {
        let model = model();
        let (plan, digest) = server.plan(MODEL).expect("a plan");
        let labels = plan.labels.clone();
        let client = Client::generate(plan, digest).expect("a client");
        let keys = client.evaluation_keys(|_, _| {}).expect("keys");
        let request = |n| {
            let (image, _) = open_image(Path::new(&digit(n)), model.graph.input).expect("a drawn digit");
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

/// What the server does for a request, in this process: what a request would cost without a service around
/// it.
struct Library {
    prepared: PreparedModel,
    /// As many as clients: those of one lie in the last cache, those of many do not.
    keys: Vec<ClientKeys>,
}

impl Library {
    /// By the plan that the server has pinned.
    fn new(folder: &Folder, load: &Load, clients: usize) -> Self {
        let path = folder.path("server").join(format!("plans/{MODEL}.plan"));
        let plan = Plan::read(File::open(path).expect("a pinned plan")).expect("a sound plan");
        let prepared = PreparedModel::new(&model(), &plan).expect("its own model");
        let keys = (0..clients).map(|_| prepared.read_keys(&load.keys[..]).expect("sound keys")).collect();
        Self { keys, prepared }
    }

    /// Milliseconds of expanding request `n` of a client and of computing on it.
    fn serve(&self, load: &Load, client: usize, n: usize) -> [f64; 2] {
        let keys = &self.keys[client];
        let (body, _) = &load.requests[n % load.requests.len()];
        let start = Instant::now();
        let request = self.prepared.read_request(keys, &body[..]).expect("a sound request");
        let expanded = Instant::now();
        let answer = self.prepared.compute(keys, request).expect("an answer");
        self.prepared.write_reply(&answer);
        [expanded - start, expanded.elapsed()].map(|time| time.as_secs_f64() * 1e3)
    }

    /// So many requests, of so many clients in turn, with all threads at work.
    fn serve_all(&self, load: &Load, clients: usize, requests: usize, threads: usize) {
        let next = AtomicUsize::new(0);
        let numbers = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < requests);
        let work = || {
            std::iter::from_fn(numbers).for_each(|n| {
                self.serve(load, n % clients, n);
            })
        };
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }
}

/// The seconds that a process has run on processors so far; zero where the system does not tell.
fn processor_seconds(pid: u32) -> f64 {
    #[cfg(unix)]
    {
        let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(pid as i32));
        let ran = clock.and_then(nix::time::ClockId::now).expect("the clock of a process that runs");
        std::time::Duration::from(ran).as_secs_f64()
    }
    #[cfg(not(unix))]
    0.0
}

/// What work took on the clock and of processors, in seconds.
struct Taken {
    clock: f64,
    here: f64,
    server: f64,
}

impl Taken {
    fn by<T>(serving: &Serving<'_>, work: impl FnOnce() -> T) -> (T, Self) {
        let processors = || [std::process::id(), serving.pid()].map(processor_seconds);
        let (start, before) = (Instant::now(), processors());
        let done = work();
        let (clock, after) = (start.elapsed().as_secs_f64(), processors());
        (done, Self { clock, here: after[0] - before[0], server: after[1] - before[1] })
    }
}

/// A figure of the server's memory from the system, in MiB (Linux): `VmHWM` is the most that it ever held,
/// `VmRSS` what it holds.
fn memory(serving: &Serving<'_>, figure: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? >> 10)
}

const STEPS: [&str; 5] = ["read", "queue", "keys", "expand", "compute"];

/// One client, one request after the other: where the time goes, and what the service adds to the library's
/// work.
fn one_client(load: &Load, library: &Library, server: &Server, requests: usize) {
    // In turn, so that what disturbs one disturbs the other.
    let in_turn = |n| (load.ask(server, n), library.serve(load, 0, n));
    let (asked, alone): (Vec<(Reply, f64)>, Vec<[f64; 2]>) = (0..requests).map(in_turn).unzip();
    let step = |name| median(asked.iter().filter_map(|(reply, _)| reply.timing.step(name)).collect());
    let total = median(asked.iter().map(|(_, time)| *time).collect());
    let all_steps = |reply: &Reply| STEPS.iter().filter_map(|name| reply.timing.step(name)).sum::<f64>();
    let rest = median(asked.iter().map(|(reply, time)| time - all_steps(reply)).collect());
    println!("\none client, {requests} requests, medians:\n\n| part | ms | share |\n| --- | --- | --- |");
    let row = |name: &str, time: f64| println!("| {name} | {time:.2} | {:.0} % |", 100.0 * time / total);
    STEPS.iter().for_each(|name| row(&format!("`{name}`"), step(name)));
    row("rest", rest);
    row("whole request", total);
    let [expand, compute] = [0, 1].map(|i| median(alone.iter().map(|times| times[i]).collect()));
    row("the library alone: expand", expand);
    row("the library alone: compute", compute);
    overhead(total - expand - compute, expand + compute, load.requests[0].0.len());
}

/// The service's overhead, beside what it is allowed: 15 % of the work and 1 ms for each MiB of the request.
fn overhead(overhead: f64, work: f64, bytes: usize) {
    let size = bytes as f64 / f64::from(1 << 20);
    println!(
        "\noverhead {overhead:.2} ms: {:.0} % of the library's {work:.2} ms, or {:.2} ms for each of {size:.2} MiB; allowed {:.2} ms",
        100.0 * overhead / work,
        overhead / size,
        0.15 * work + size
    );
}

/// Many clients: answers in a second beside the library's, how busy the server's threads were, and what of
/// the cores the clients took.
fn many_clients(load: &Load, library: &Library, serving: &Serving<'_>, servers: &[Server], requests: usize) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (_, one) = Taken::by(serving, || library.serve_all(load, 1, requests, threads));
    let (_, alone) = Taken::by(serving, || library.serve_all(load, servers.len(), requests, threads));
    let (work, taken) = Taken::by(serving, || ask_from_all(load, servers, requests));
    assert_eq!(work.len(), requests, "nothing was lost");
    let (rate, able) = (requests as f64 / taken.clock, requests as f64 / alone.clock);
    let busy = work.iter().sum::<f64>() / 1e3 / taken.clock / threads as f64;
    let each = |seconds: f64| 1e3 * seconds / requests as f64;
    let (clients, left) = (taken.here / taken.clock, threads as f64 - taken.here / taken.clock);
    println!("\n| {} clients, {requests} requests | |\n| --- | --- |", servers.len());
    println!("| answers in a second | {rate:.1} |");
    println!(
        "| the library alone on {threads} threads, keys of one client | {:.1} |",
        requests as f64 / one.clock
    );
    println!("| the same, keys of all clients | {able:.1}, so {:.0} % of it |", 100.0 * rate / able);
    println!(
        "| processor time for an answer: server, clients; the library alone | {:.2} ms, {:.2} ms; {:.2} ms |",
        each(taken.server),
        each(taken.here),
        each(alone.here)
    );
    println!(
        "| of what the library could do on the cores that the clients left | {:.0} % of {:.1}, on {left:.2} cores ({clients:.2} taken) |",
        100.0 * rate * threads as f64 / (able * left),
        able * left / threads as f64
    );
    println!("| computing threads busy | {:.0} % |", 100.0 * busy);
    println!("| median work for a request | {:.2} ms |", median(work));
}

/// Each client asks until so many requests are asked: the milliseconds that a computing thread of the server
/// spent on each.
fn ask_from_all(load: &Load, servers: &[Server], requests: usize) -> Vec<f64> {
    let next = &AtomicUsize::new(0);
    let work = |reply: Reply| ["keys", "expand", "compute"].iter().filter_map(|s| reply.timing.step(s)).sum();
    let client = |server| {
        let numbers = std::iter::repeat_with(move || next.fetch_add(1, Ordering::Relaxed));
        numbers.take_while(|n| *n < requests).map(|n| work(load.ask(server, n).0)).collect::<Vec<f64>>()
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = servers.iter().map(|server| scope.spawn(move || client(server))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("every answer was right")).collect()
    })
}

/// A first request after a restart: its keys are read from the disk and expanded.
fn cold(load: &Load, serving: &mut Serving<'_>, server: &Server) {
    serving.restart();
    let (reply, _) = load.ask(server, 0);
    println!(
        "| a first request's keys, read and expanded | {:.2} ms |",
        reply.timing.step("keys").expect("a time")
    );
}

fn run(name: &str, clients: usize, requests: usize) {
    let folder = Folder::new(name);
    let mut serving = Serving::start(&folder, "");
    let servers: Vec<Server> = (0..clients).map(|n| serving.client(&format!("client-{n}"))).collect();
    let load = Load::new(&servers[0]);
    let library = Library::new(&folder, &load, clients);
    servers.iter().for_each(|server| load.register(server));
    one_client(&load, &library, &servers[0], requests / 10);
    let before = memory(&serving, "VmRSS");
    many_clients(&load, &library, &serving, &servers, requests);
    if let Some((before, peak)) = before.zip(memory(&serving, "VmHWM")) {
        println!("| server's memory with one client's keys, and at its peak | {before} MiB, {peak} MiB |");
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
