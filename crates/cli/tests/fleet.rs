//! `serve --fleet`, `worker` and `fleet status`: what an operator does, and what machines do to them.

mod common;
#[path = "../../fleet/tests/common/nats.rs"]
mod nats;
#[path = "common/party.rs"]
mod party;

use blindsight_client::remote::{Error, Server};
use blindsight_fleet::bus::job_subject;
use blindsight_fleet::{Access, Bus, BusCounts};
use blindsight_protocol::Code;
use blindsight_service::{Counts, Identity};
use common::serving::Serving;
use common::{Folder, digit};
use nats::Nats;
use party::{MODEL, Party};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

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
    let front = &status["fronts"][0];
    assert_eq!((&front["pid"], &front["models"]), (&serving.pid().into(), &serde_json::json!([MODEL])));
    assert_eq!((&front["sent"], &front["waiting"]), (&0.into(), &0.into()));
    let said = folder.says(&ask);
    assert!(said.contains("2, 2 inferences at once"), "{said}");
    assert!(said.contains(front["front"].as_str().expect("a name")), "{said}");
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

/// Keys begun at a front that ends are completed at another one; what the first one has of them is then no
/// upload any more.
#[test]
fn an_upload_goes_on_at_another_front() {
    let (folder, other) = (Folder::new("begun"), Folder::new("begun-other"));
    let Some(nats) = Nats::start("begun") else { return };
    let flags = meeting(&nats, &folder);
    let mut first = Serving::start(&folder, &flags);
    let second = Serving::start(&other, &flags);
    let _workers = Workers::start(&folder, &flags, 1);
    let token = first.token("alice");
    let (alice, also_alice) = (first.connect(&token), second.connect(&token));
    let party = Party::new(&alice);
    let mut begun = 0;
    let broken = alice.with_retry_budget(Duration::ZERO).register_keys(&party.keys, |arrived, _| {
        if arrived > 0 {
            begun = arrived;
            first.kill();
        }
    });
    assert!(matches!(broken, Err(Error::Connection { .. })), "{broken:?}");
    let mut stood = vec![];
    also_alice.register_keys(&party.keys, |arrived, _| stood.push(arrived)).expect("registered");
    assert_eq!(stood, [0, begun], "it goes on where the first front stood");
    party.is_served(&also_alice).expect("served");
    first.restart();
    let alice = first.connect(&token);
    party.is_served(&alice).expect("served by the front where it began");
    assert_eq!(alice.keys().expect("a list").used_bytes, party.keys.len() as u64, "counted once");
}

/// NATS as `deploy/fleet/nats.conf` sets it up, with nkeys in place of passwords, as it says.
struct Guarded<'a> {
    folder: &'a Folder,
    nats: Nats,
}

impl<'a> Guarded<'a> {
    fn start(folder: &'a Folder) -> Option<Self> {
        Identity::self_signed(&folder.path(""), &[]).expect("a certificate");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/fleet/nats.conf");
        let mut text = std::fs::read_to_string(path).expect("it is there");
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "no {from} in {text}");
            text = text.replace(from, to);
        };
        replace("/etc/nats/server.pem", &folder.path("certificate.pem").display().to_string());
        replace("/etc/nats/server.key", &folder.path("private-key.pem").display().to_string());
        replace("/var/lib/nats", &folder.path("nats").display().to_string());
        replace("http: 127.0.0.1:8222", "http: 127.0.0.1:-1");
        for role in ["front", "worker", "operator"] {
            let pair = nkeys::KeyPair::new_user();
            let password = format!("user: {role}, password: ${}_PASSWORD", role.to_uppercase());
            replace(&password, &format!("nkey: {}", pair.public_key()));
            folder.file(&format!("{role}.seed"), pair.seed().expect("it is a pair").as_bytes());
        }
        let nats = Nats::configured("guarded", &folder.file("nats.conf", text.as_bytes()))?;
        Some(Self { folder, nats })
    }

    fn access(&self, role: &str) -> Access {
        Access {
            url: self.nats.url(),
            nkey: Some(self.folder.path(&format!("{role}.seed"))),
            ca: Some(self.folder.path("certificate.pem")),
            ..Access::default()
        }
    }

    /// The flags for a role.
    fn flags(&self, role: &str) -> String {
        let url = self.nats.url();
        format!("--fleet {url} --fleet-ca {{certificate.pem}} --fleet-nkey {{{role}.seed}}")
    }

    fn meeting(&self, role: &str) -> String {
        format!("{} --store file://{}", self.flags(role), self.folder.path("store").display())
    }

    /// The uses of tokens, as who has this role sees them.
    async fn counts(&self, role: &str) -> std::io::Result<BusCounts> {
        let bus = Bus::connect(&self.access(role), "test").await.expect("all may connect");
        if role == "front" {
            bus.prepare_counts().await.expect("fronts make them");
        }
        BusCounts::open(&bus).await.map_err(std::io::Error::other)
    }

    /// Whether JetStream takes a job of who has this role.
    async fn takes_job(&self, role: &str) -> bool {
        let bus = Bus::connect(&self.access(role), "test").await.expect("all may connect");
        let subject = job_subject(&[0; 32], 0);
        bus.jetstream.publish(subject, vec![7].into()).await.expect("sent").await.is_ok()
    }
}

/// With TLS, a user each and the permissions that we say: all do their part, and no other.
#[test]
fn a_guarded_bus_lets_each_do_its_part_alone() {
    let folder = Folder::new("guarded");
    let Some(guarded) = Guarded::start(&folder) else { return };
    let serving = Serving::start(&folder, &guarded.meeting("front"));
    let mut workers = Workers::start(&folder, &guarded.meeting("worker"), 1);
    let client = serving.client("alice");
    let party = Party::new(&client);
    party.register(&client);
    party.is_served(&client).expect("served");
    let status = folder.json(&format!("fleet status {}", guarded.flags("operator")));
    let count = |what: &str| status[what].as_array().expect("a list").len();
    assert_eq!((count("fronts"), count("workers"), &status["jobs"]["messages"]), (1, 1, &0.into()));
    assert!(workers.terminate(0), "it drains");

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let may = ["front", "worker", "operator"].map(|role| runtime.block_on(guarded.takes_job(role)));
    assert_eq!(may, [true, false, false], "fronts alone publish jobs");

    // Uses of tokens: fronts count, operators look, and workers see nothing of it.
    let adds = |role: &str| {
        let counts = runtime.block_on(guarded.counts(role))?;
        let mut one = serde_json::from_str(r#"{"ab":{"used":1,"set_aside":1}}"#).expect("a count");
        counts.add(&mut one)?;
        counts.retain(&["ab".to_string()].into())?;
        counts.all()
    };
    assert_eq!(adds("front").expect("it may").len(), 1);
    assert!(adds("operator").is_err() && adds("worker").is_err());
    let seen = runtime.block_on(guarded.counts("operator")).and_then(|counts| counts.all());
    assert_eq!(seen.expect("it may look").len(), 1);

    let url = guarded.nats.url();
    let said = folder.fails(1, &format!("fleet status --fleet {url} --fleet-nkey {{operator.seed}}"));
    assert!(said.contains("--fleet-ca"), "{said}");
    let said = folder.fails(1, &format!("fleet status --fleet {url} --fleet-ca {{certificate.pem}}"));
    assert!(said.contains("--fleet-nkey"), "{said}");
}

/// A file system of its own for a store, which can be full.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount one, which is said.
    fn mount(folder: PathBuf, mib: usize) -> Option<Self> {
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: this user may not mount a file system: the store is never full");
        None
    }

    /// Has no room while something is done: what others remove is taken at once.
    fn full_while(&self, act: impl FnOnce()) {
        let path = self.0.join("ballast");
        let mut ballast = File::create(&path).expect("a file");
        let (done, is_done) = channel::<()>();
        thread::scope(|scope| {
            while ballast.write_all(&[0; 4096]).is_ok() {}
            scope.spawn(move || {
                while is_done.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                    while ballast.write_all(&[0; 4096]).is_ok() {}
                }
            });
            act();
            drop(done);
        });
        std::fs::remove_file(path).expect("it is there");
    }
}

impl Drop for SmallDisk {
    /// Whoever still has a file open there keeps it until it ends.
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Whatever ends, and where the store is full, every request is answered, and rightly, as clients try again
/// for a while.
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
    // Room for all keys, and for requests that fronts leave behind which are killed.
    let disk = SmallDisk::mount(folder.path("store"), 128 + 8 * (clients + 1));
    let flags = meeting(&nats, &folder);
    let mut serving = Serving::start(&folder, &flags);
    let mut workers = Workers::start(&folder, &flags, 2);
    let late = serving.token("late");
    let (impatient, late) =
        (serving.connect(&late).with_retry_budget(Duration::ZERO), serving.connect(&late));
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
        let (mut round, mut full) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            thread::sleep(pause);
            workers.replace(round % 2);
            match round % 4 {
                0 => disk.iter().for_each(|disk| {
                    disk.full_while(|| {
                        if full == 0 {
                            refuse_keys(&party, &impatient);
                            scope.spawn(|| party.register(&late));
                            serving.restart();
                        }
                        thread::sleep(pause);
                    });
                    full += 1;
                }),
                1 => serving.restart(),
                3 => {
                    nats.kill();
                    thread::sleep(Duration::from_millis(300));
                    nats.restart();
                }
                _ => {}
            }
            round += 1;
        }
        let answered = answered.load(Ordering::Relaxed);
        println!("{answered} answers, {round} times something was killed, {full} times the store was full");
    });
    for client in clients.iter().chain(disk.is_some().then_some(&late)) {
        party.is_served(client).expect("its keys are still registered");
    }
}

/// Asserts that a store without room refuses keys, and says so.
fn refuse_keys(party: &Party, client: &Server) {
    match client.register_keys(&party.keys, |_, _| {}) {
        Err(Error::Refused(problem)) => {
            assert_eq!(problem.code, Code::StorageFull);
            assert!(problem.detail.contains("store is full"), "{}", problem.detail);
        }
        other => panic!("keys in a store without room: {other:?}"),
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
