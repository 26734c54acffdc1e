//! `serve --fleet`, `worker` and `fleet status`: what an operator does, and what machines do to them.

mod common;
#[path = "../../fleet/tests/common/nats.rs"]
mod nats;

use blindsight_client::Client;
use blindsight_client::remote::{Error, Server};
use blindsight_data::open_image;
use blindsight_network::Shape;
use blindsight_protocol::Address;
use common::serving::Serving;
use common::{Folder, digit};
use nats::Nats;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MODEL: &str = "cryptonets-mnist";

/// Workers of a fleet, each a process.
struct Workers<'a> {
    folder: &'a Folder,
    arguments: String,
    children: Vec<Child>,
}

impl<'a> Workers<'a> {
    fn start(folder: &'a Folder, fleet: &str, count: usize) -> Self {
        Self::computing(MODEL, folder, fleet, count)
    }

    fn computing(model: &str, folder: &'a Folder, fleet: &str, count: usize) -> Self {
        let arguments = format!("worker --model {model} --threads 1 --log off --json {fleet}");
        let children = (0..count).map(|_| folder.start(&arguments)).collect();
        Self { folder, arguments, children }
    }

    /// Kills one, and starts another in its place.
    fn replace(&mut self, index: usize) {
        self.children[index].kill().expect("it runs");
        self.children[index].wait().expect("it ends");
        self.children[index] = self.folder.start(&self.arguments);
    }

    /// Asks one to end, and waits: whether it ended in peace.
    fn terminate(&mut self, index: usize) -> bool {
        let child = &mut self.children[index];
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        child.wait().expect("it ends").success()
    }
}

impl Drop for Workers<'_> {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What `serve` and `worker` need to meet.
fn meeting(nats: &Nats, folder: &Folder) -> String {
    format!("--fleet {} --store file://{}", nats.url(), folder.path("store").display())
}

/// What a client has: made once.
struct Party {
    model: &'static str,
    client: Client,
    keys: Vec<u8>,
    request: Vec<u8>,
    address: Address,
}

impl Party {
    fn new(server: &Server) -> Self {
        Self::of(MODEL, server)
    }

    fn of(model: &'static str, server: &Server) -> Self {
        let (plan, digest) = server.plan(model).expect("a plan");
        let client = Client::generate(plan, digest).expect("a client");
        let keys = client.evaluation_keys(|_, _| {}).expect("keys");
        let shape = Shape { channels: 1, height: 28, width: 28 };
        let (image, _) = open_image(Path::new(&digit(6)), shape).expect("a drawn digit");
        let request = client.encrypt(&image).expect("a request");
        Self { model, address: Address::of(&keys), client, keys, request }
    }

    fn register(&self, server: &Server) {
        server.register_keys(&self.keys, |_, _| {}).expect("registered");
    }

    /// Whether the server answers; the answer is right.
    fn is_served(&self, server: &Server) -> Result<(), Error> {
        let reply = server.infer(self.model, self.address, self.request.clone())?;
        assert_eq!(self.client.decrypt(&reply.frame[..]).expect("a reply").label, "6");
        Ok(())
    }
}

#[test]
fn an_operator_starts_a_fleet_and_looks_at_it() {
    let folder = Folder::new("fleet");
    let Some(nats) = Nats::start("fleet") else { return };
    let flags = meeting(&nats, &folder);
    let serving = Serving::start(&folder, &flags);
    let mut workers = Workers::start(&folder, &flags, 2);
    for n in [7, 3, 5] {
        let classify = format!("classify --server {} {}", serving.url(), digit(n));
        assert_eq!(folder.json(&classify)["label"], n.to_string());
    }
    let ask = format!("fleet status --fleet {}", nats.url());
    let mut status = folder.json(&ask);
    while status["workers"].as_array().expect("a list").len() < 2 {
        status = folder.json(&ask);
    }
    let computed = |status: &serde_json::Value| -> u64 {
        let workers = status["workers"].as_array().expect("a list");
        workers.iter().filter_map(|worker| worker["computed"].as_u64()).sum()
    };
    assert_eq!(
        (computed(&status), &status["jobs"]["messages"], &status["dead"]["messages"]),
        (3, &0.into(), &0.into())
    );
    assert!(folder.says(&ask).contains("2, 2 inferences at once"));
    assert!(workers.terminate(0) && workers.terminate(1), "they drain");
    let said = folder.fails(1, "fleet status --fleet nats://127.0.0.1:1");
    assert!(said.contains("nats-server"), "{said}");
    folder.fails(2, &format!("serve --model {MODEL} --fleet {}", nats.url()));
}

/// Two fronts of one store: tokens and keys of one are those of the other.
#[test]
fn fronts_share_keys() {
    let folder = Folder::new("fronts");
    let Some(nats) = Nats::start("fronts") else { return };
    let flags = meeting(&nats, &folder);
    let first = Serving::start(&folder, &flags);
    let other = Folder::new("fronts-other");
    let second = Serving::start(&other, &flags);
    let _workers = Workers::start(&folder, &flags, 1);
    let token = first.token("alice");
    let (alice, also_alice) = (first.connect(&token), second.connect(&token));
    let party = Party::new(&alice);
    party.register(&alice);
    party.is_served(&alice).expect("served");
    party.is_served(&also_alice).expect("served by the other front");
    also_alice.delete_keys(party.address).expect("deleted");
    assert!(party.is_served(&also_alice).is_err());
}

/// Whatever ends, every request is answered, and rightly, as clients try again for a while.
#[test]
fn nothing_is_lost_while_workers_front_and_bus_are_killed() {
    storm("storm", 4, 200, Duration::from_millis(700));
}

/// The same with more of all.
#[test]
#[ignore = "takes minutes"]
fn nothing_is_lost_in_a_longer_storm() {
    storm("longer-storm", 32, 2000, Duration::from_secs(3));
}

fn storm(name: &str, clients: usize, wanted: usize, pause: Duration) {
    let folder = Folder::new(name);
    let Some(mut nats) = Nats::start(name) else { return };
    let flags = meeting(&nats, &folder);
    let mut serving = Serving::start(&folder, &flags);
    let mut workers = Workers::start(&folder, &flags, 2);
    let clients: Vec<Server> = (0..clients).map(|n| serving.client(&format!("client-{n}"))).collect();
    let party = Party::new(&clients[0]);
    clients.iter().for_each(|client| party.register(client));
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| {
                while answered.load(Ordering::Relaxed) < wanted {
                    party.is_served(client).expect("answered, or refused for now and answered later");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                over.store(true, Ordering::Relaxed);
            });
        }
        let mut round = 0;
        while !over.load(Ordering::Relaxed) {
            thread::sleep(pause);
            workers.replace(round % 2);
            match round % 4 {
                1 => {
                    serving.kill();
                    serving.restart();
                }
                3 => {
                    nats.kill();
                    thread::sleep(Duration::from_millis(300));
                    nats.restart();
                }
                _ => {}
            }
            round += 1;
        }
        println!("{} answers, {round} times something was killed", answered.load(Ordering::Relaxed));
    });
    for client in &clients {
        party.is_served(client).expect("its keys are still registered");
    }
}

/// Clients of one server, each with its keys there.
struct Crowd {
    party: Party,
    clients: Vec<Server>,
}

impl Crowd {
    fn new(serving: &Serving<'_>, model: &'static str, count: usize) -> Self {
        let clients: Vec<Server> =
            (0..count).map(|n| serving.client(&format!("{model}-client-{n}"))).collect();
        let party = Party::of(model, &clients[0]);
        clients.iter().for_each(|client| party.register(client));
        Self { party, clients }
    }

    /// Answers in a second, where each asks so often, one after the other.
    fn throughput(&self, each: usize) -> f64 {
        let start = Instant::now();
        thread::scope(|scope| {
            for client in &self.clients {
                scope.spawn(|| (0..each).for_each(|_| self.party.is_served(client).expect("served")));
            }
        });
        (self.clients.len() * each) as f64 / start.elapsed().as_secs_f64()
    }

    /// Milliseconds of one client's requests, the median.
    fn latency(&self, count: usize) -> f64 {
        let time = |_| {
            let start = Instant::now();
            self.party.is_served(&self.clients[0]).expect("served");
            start.elapsed().as_secs_f64() * 1e3
        };
        median((0..count).map(time).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints the table of `docs/fleet.md`; machines that do other work give other figures, so it judges none.
/// One process and a fleet take turns of a few seconds: what else the machine does then meets both.
#[test]
#[ignore = "measures; prints a table"]
fn measured() {
    let large = "lenet-mnist";
    let models = format!("--model {large} --threads 2");
    let (alone, folder) = (Folder::new("alone"), Folder::new("measured"));
    let Some(nats) = Nats::start("measured") else { return };
    let flags = meeting(&nats, &folder);
    let local = Serving::start(&alone, &models);
    let fleet = Serving::start(&folder, &format!("{models} {flags}"));
    let workers = Workers::computing(&format!("{large} --model {MODEL}"), &folder, &flags, 2);
    in_turns(&local, &fleet, large, 4, "answers/s", |crowd| crowd.throughput(8));
    in_turns(&local, &fleet, MODEL, 1, "ms at the median", |crowd| crowd.latency(60));
    drop((local, workers));
    for _ in 0..3 {
        let client = fleet.client("joins");
        let party = Party::new(&client);
        party.register(&client);
        let start = Instant::now();
        let _joined = Workers::start(&folder, &flags, 1);
        party.is_served(&client).expect("served");
        println!("a worker joins: first answer after {:.2} s", start.elapsed().as_secs_f64());
    }
}

/// Measures both in turns, and prints the medians of each, of their ratio and of their difference.
fn in_turns(
    local: &Serving<'_>,
    fleet: &Serving<'_>,
    model: &'static str,
    clients: usize,
    unit: &str,
    measure: impl Fn(&Crowd) -> f64,
) {
    let (local, fleet) = (Crowd::new(local, model, clients), Crowd::new(fleet, model, clients));
    // Once for keys and threads to be warm.
    measure(&local);
    measure(&fleet);
    let pairs: Vec<(f64, f64)> = (0..9).map(|_| (measure(&local), measure(&fleet))).collect();
    let middle = |of: &dyn Fn(&(f64, f64)) -> f64| median(pairs.iter().map(of).collect());
    println!(
        "{model}: {:.2} {unit} in one process, {:.2} in a fleet: {:.3}, {:+.2}",
        middle(&|pair| pair.0),
        middle(&|pair| pair.1),
        middle(&|pair| pair.1 / pair.0),
        middle(&|pair| pair.1 - pair.0),
    );
}
