//! Fronts and workers over a real `nats-server`. Workers are processes, so that they can be killed.

#[path = "common/nats.rs"]
mod nats;

use blindsight_client::Client;
use blindsight_data::open_image;
use blindsight_fleet::status::{Status, status};
use blindsight_fleet::{Access, Bus, BusCounts, Depot, Fleet, Options, Worker, models};
use blindsight_network::{Model, Shape};
use blindsight_protocol::{Address, Code};
use blindsight_service::Served;
use blindsight_service::{Catalogue, ClientName, Compute, Computed, Counts, Inference, Outcome, Record};
use nats::Nats;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MODEL: &str = "cryptonets-mnist";
const WAIT: Duration = Duration::from_secs(60);

/// A store, a front without HTTP, and a client whose keys are registered.
struct Setting {
    nats: Nats,
    store: PathBuf,
    bus: Bus,
    fleet: Fleet,
    served: Arc<Served>,
    client: Client,
    keys: Address,
    request: Arc<Vec<u8>>,
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Setting {
    /// None where there is no `nats-server`.
    async fn new(name: &str) -> Option<Self> {
        let nats = Nats::start(name)?;
        let store = std::env::temp_dir().join(format!("blindsight-fleet-{name}-{}", std::process::id()));
        let depot = depot(&store);
        let shared = depot.agree(4).await.expect("agreed");
        let bus = bus(&nats.url()).await;
        let fleet = Fleet::join(bus.clone(), depot.clone(), shared, WAIT).await.expect("joined");
        let served = publish(&depot, &fleet).await;
        let (client, request) = party(&served);
        let frame = client.evaluation_keys(|_, _| {}).expect("keys");
        let keys = Address::of(&frame);
        let setting = Self { nats, store, bus, fleet, served, client, keys, request: Arc::new(request) };
        setting.register("alice", frame.clone()).await;
        setting.register("poison", frame).await;
        Some(setting)
    }

    /// Another front in place of the one there was.
    async fn join_anew(&mut self) {
        let depot = depot(&self.store);
        let shared = depot.agree(4).await.expect("agreed");
        let bus = bus(&self.nats.url()).await;
        self.fleet = Fleet::join(bus, depot.clone(), shared, WAIT).await.expect("joined");
        self.fleet.offer(MODEL, &self.served.digest()).await.expect("offered");
    }

    async fn register(&self, client: &str, frame: Vec<u8>) {
        let (registry, file) = (self.fleet.registry(), self.store.join(format!("{client}.upload")));
        let id = (name(client), self.keys);
        let record =
            Record { plan: self.served.digest(), bytes: frame.len() as u64, created: 1, expires: None };
        let register = move || {
            std::fs::write(&file, frame).expect("written");
            registry.keep(&id, &record, &file).expect("kept");
            assert_eq!(registry.look_up(&id).expect("read"), Some(record));
            assert!(!file.exists());
        };
        tokio::task::spawn_blocking(register).await.expect("no panic");
    }

    async fn ask(&self, client: &str) -> (u64, Outcome<Outcome<Computed>>) {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let inference = Inference {
            served: self.served.clone(),
            client: name(client),
            keys: self.keys,
            request: self.request.clone(),
            id: format!("{number:016x}"),
        };
        (number, self.fleet.infer(inference).await)
    }

    /// Asserts that an answer comes, and the right one.
    async fn assert_served(&self, client: &str) {
        let computed = self.ask(client).await.1.expect("computed").expect("an answer");
        assert_eq!(self.client.decrypt(&computed.reply[..]).expect("a reply").label, "6");
    }

    async fn status(&self) -> Status {
        status(&self.bus).await.expect("the bus answers")
    }

    /// A worker in a process of its own, which ends when it sees a job of the client `poison`.
    fn worker(&self) -> Process {
        let this = std::env::current_exe().expect("this test");
        let mut command = Command::new(this);
        command.args(["--exact", "worker_process", "--ignored", "--nocapture"]);
        command.env("FLEET_TEST_URL", self.nats.url()).env("FLEET_TEST_STORE", &self.store);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Process(command.spawn().expect("this test runs"))
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.store);
    }
}

struct Process(Child);

impl Process {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn name(name: &str) -> ClientName {
    name.parse().expect("a name")
}

fn depot(folder: &Path) -> Depot {
    Depot::open(&format!("file://{}", folder.display())).expect("a folder")
}

async fn bus(url: &str) -> Bus {
    Bus::connect(&Access { url: url.into(), ..Access::default() }, "test").await.expect("it runs")
}

async fn publish(depot: &Depot, fleet: &Fleet) -> Arc<Served> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../models/{MODEL}.onnx"));
    let file = std::fs::read(path).expect("a shipped model");
    let model = Model::from_bytes(MODEL, &file).expect("a model");
    let plan = blindsight_planner::plan(&model, &blindsight_planner::Options::default()).expect("a plan");
    let plan = models::publish(depot, &model, file, plan).await.expect("published");
    fleet.offer(MODEL, &plan.digest()).await.expect("offered");
    let mut catalogue = Catalogue::default();
    catalogue.add(&model, &plan).expect("served");
    catalogue.get(MODEL).expect("it was added").clone()
}

fn party(served: &Served) -> (Client, Vec<u8>) {
    let client = Client::generate(served.prepared.plan().clone(), served.digest()).expect("a client");
    let digit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/digit-6.png");
    let shape = Shape { channels: 1, height: 28, width: 28 };
    let (image, _) = open_image(&digit, shape).expect("a drawn digit");
    let request = client.encrypt(&image).expect("a request");
    (client, request)
}

/// Not a test: the process of a worker, which the tests start.
#[test]
#[ignore = "the process of a worker, which other tests start"]
fn worker_process() {
    let Ok(url) = std::env::var("FLEET_TEST_URL") else { return };
    let store = PathBuf::from(std::env::var_os("FLEET_TEST_STORE").expect("set with the other"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let depot = depot(&store);
        let shared = depot.agree(4).await.expect("agreed");
        let observer = |job: &blindsight_fleet::job::Job| {
            if job.client.as_str() == "poison" {
                std::process::abort();
            }
        };
        let options = Options {
            models: vec![MODEL.into()],
            threads: 1,
            key_memory: 1 << 30,
            observer: Some(Arc::new(observer)),
        };
        let worker = Worker::new(bus(&url).await, depot, shared, options).expect("a worker");
        worker.run(std::future::pending()).await.expect("it runs");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_answers_and_its_keys_stay_in_memory() {
    let Some(setting) = Setting::new("answers").await else { return };
    let _worker = setting.worker();
    for _ in 0..5 {
        setting.assert_served("alice").await;
    }
    let status = setting.status().await;
    let [front] = &status.fronts[..] else { panic!("one front: {:?}", status.fronts) };
    assert_eq!((front.pid, &front.models[..]), (std::process::id(), &[MODEL.to_string()][..]));
    assert_eq!((front.sent, front.waiting), (0, 0), "nobody asks now");
    assert_eq!(status.workers.len(), 1);
    let worker = &status.workers[0];
    assert_eq!((worker.computed, worker.key_hits, worker.key_misses), (5, 4, 1));
    assert_eq!((worker.models.as_slice(), worker.redelivered), (&[MODEL.to_string()][..], 0));
    assert_eq!(status.jobs.messages, 0, "what is done is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_s_job_goes_to_another_and_a_restarted_bus_loses_none() {
    let Some(mut setting) = Setting::new("killed").await else { return };
    let mut first = setting.worker();
    setting.assert_served("alice").await;
    for round in 0..3 {
        let asked = async { (0..20).map(|_| setting.assert_served("alice")).collect::<Vec<_>>() };
        let asked = futures_util::future::join_all(asked.await);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(50 + 30 * round)).await;
            first.kill();
            first = setting.worker();
        };
        tokio::join!(asked, kill);
    }
    setting.nats.kill();
    setting.nats.restart();
    setting.assert_served("alice").await;
}

/// Consumers remember what number they delivered last, and would not look at lower ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_counts_anew_delivers_all_the_same() {
    let Some(mut setting) = Setting::new("anew").await else { return };
    let _worker = setting.worker();
    // After a single job its number is the one that comes next, too.
    for jobs in [5, 1, 1] {
        for _ in 0..jobs {
            setting.assert_served("alice").await;
        }
        // What a consumer has delivered is on the disk a little later.
        tokio::time::sleep(Duration::from_millis(500)).await;
        setting.nats.kill();
        setting.nats.lose_count("blindsight-jobs");
        setting.nats.restart();
    }
    let start = std::time::Instant::now();
    setting.assert_served("alice").await;
    assert!(start.elapsed() < WAIT, "and not after all patience");
    // A front that knows of no count finds it when it comes.
    setting.nats.kill();
    setting.nats.lose_count("blindsight-jobs");
    setting.nats.restart();
    setting.join_anew().await;
    setting.assert_served("alice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_ends_its_workers_is_laid_aside_and_others_are_served() {
    let Some(setting) = Setting::new("poison").await else { return };
    let mut workers = vec![setting.worker(), setting.worker()];
    setting.assert_served("alice").await;
    let poison = async {
        let (number, answer) = setting.ask("poison").await;
        let refused = answer.expect("it was tried").expect_err("nobody computes it");
        assert_eq!(refused.code, Code::Internal);
        assert!(refused.detail().contains(&format!("{number:016x}")), "{}", refused.detail());
    };
    let mut poison = std::pin::pin!(poison);
    let mut ended = 0;
    loop {
        tokio::select! {
            () = &mut poison => break,
            () = setting.assert_served("alice") => {}
        }
        for worker in &mut workers {
            if worker.has_ended() {
                ended += 1;
                *worker = setting.worker();
            }
        }
    }
    ended += workers.iter_mut().map(|worker| usize::from(worker.has_ended())).sum::<usize>();
    assert_eq!(ended, 3, "it was tried three times");
    let status = setting.status().await;
    assert_eq!((status.dead.messages, status.jobs.messages), (1, 0));
    setting.assert_served("alice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_nobody_waits_for_is_taken_from_the_queue() {
    let Some(setting) = Setting::new("gone").await else { return };
    let waits = tokio::time::timeout(Duration::from_millis(300), setting.ask("alice")).await;
    assert!(waits.is_err(), "there is no worker");
    while setting.status().await.jobs.messages > 0 {}
    assert!(std::fs::read_dir(setting.store.join("requests")).map_or(0, Iterator::count) == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_front_sealed_is_not_computed() {
    let Some(setting) = Setting::new("forged").await else { return };
    let _worker = setting.worker();
    setting.assert_served("alice").await;
    for shard in 0..4 {
        let subject = blindsight_fleet::bus::job_subject(&setting.served.digest(), shard);
        let sent = setting.bus.jetstream.publish(subject, vec![7; 500].into()).await;
        sent.expect("sent").await.expect("stored");
    }
    while setting.status().await.jobs.messages > 0 {}
    assert_eq!(setting.status().await.workers[0].computed, 1);
    setting.assert_served("alice").await;
}

/// Not a test: what is done in a store on a file system of a MiB.
#[tokio::test]
#[ignore = "runs in a namespace that another test makes"]
async fn full_store_process() {
    let Some(folder) = std::env::var_os("FLEET_TEST_STORE") else { return };
    let depot = depot(Path::new(&folder));
    depot.put("keys/small", vec![1; 1000]).await.expect("there is room");
    let error = depot.put("keys/large", vec![1; 2 << 20]).await.expect_err("there is none");
    assert!(error.is_full(), "{error}");
    let file = Path::new(&folder).join("upload");
    std::fs::write(&file, vec![1; 600_000]).expect("there is room");
    let error = depot.put_file("keys/file", &file).await.expect_err("there is none for two");
    assert!(error.is_full(), "{error}");
    assert!(depot.get("keys/file", 1 << 20).await.expect("nothing").is_none());
    std::fs::remove_file(&file).expect("there");
    depot.put("keys/large", vec![1; 600_000]).await.expect("there is room again");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_store_is_said_and_takes_again_what_fits() {
    let folder = std::env::temp_dir().join(format!("blindsight-full-store-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("writable");
    let unshare = |then: &str| {
        let script = format!("mount -t tmpfs -o size=1m tmpfs {} && {then}", folder.display());
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        command.env("FLEET_TEST_STORE", &folder).output()
    };
    if unshare("true").is_ok_and(|output| output.status.success()) {
        let this = std::env::current_exe().expect("this test");
        let then = format!("exec {} --exact full_store_process --ignored", this.display());
        let output = unshare(&then).expect("unshare runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    } else {
        println!("skipped: this user may not mount a file system of its own");
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// Three fronts that count one token at once lose no use; what is no token any more is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn uses_that_several_fronts_count_add_up() {
    let Some(nats) = Nats::start("counts") else { return };
    bus(&nats.url()).await.prepare_counts().await.expect("made");
    let tokens = ["a", "b"].map(|text| text.repeat(64));
    let mut fronts = vec![];
    for _ in 0..3 {
        let counts = BusCounts::open(&bus(&nats.url()).await).await.expect("there");
        let tokens = tokens.clone();
        fronts.push(tokio::task::spawn_blocking(move || {
            for token in tokens.iter().cycle().take(60) {
                let text = format!(r#"{{"{token}":{{"used":2,"set_aside":2}}}}"#);
                let mut uses = serde_json::from_str(&text).expect("counts");
                counts.add(&mut uses).expect("added");
                assert!(uses.is_empty(), "what is added is not added again");
            }
            counts
        }));
    }
    let mut counts = vec![];
    for front in fronts {
        counts.push(front.await.expect("no panic"));
    }
    tokio::task::block_in_place(|| {
        let expected = r#"{"used":180,"set_aside":180}"#;
        let all = || serde_json::to_value(counts[0].all().expect("read")).expect("JSON");
        let count: serde_json::Value = serde_json::from_str(expected).expect("JSON");
        let both = serde_json::json!({ &tokens[0]: &count, &tokens[1]: &count });
        assert_eq!(all(), both);
        let others = [tokens[1].clone()].into();
        counts[1].retain(&others).expect("looked for");
        assert_eq!(
            all(),
            both,
            "they were used just now: another front may know of a token that this one does not"
        );
        let forget = counts[1].forget(&others, Duration::ZERO);
        tokio::runtime::Handle::current().block_on(forget).expect("forgotten");
        assert_eq!(all(), serde_json::json!({ &tokens[1]: &count }));
    });
}
