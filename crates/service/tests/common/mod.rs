//! A service that runs for one test, a client without manners, and the OpenAPI document that every answer is
//! held against.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod attackers;
pub mod document;
pub mod raw;

use blindsight_client::Client;
use blindsight_data::open_image;
use blindsight_network::{Image, Model};
use blindsight_planner as planner;
use blindsight_planner::Plan;
use blindsight_planner::{Objective, Options};
use blindsight_protocol::Address;
use blindsight_service::{Catalogue, Extras, Identity, Limits, Listener, Service, Signer, Tokens, Transport};
use raw::{Answer, Request};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A folder for one test, removed when the test ends.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("blindsight-service-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A model by two plans: what belongs to one must be refused by the other.
pub struct Parties {
    pub model: Model,
    pub other: Model,
    pub plan: Plan,
    pub other_plan: Plan,
    pub client: Client,
    pub stranger: Client,
    pub keys: Vec<u8>,
    pub request: Vec<u8>,
    pub address: Address,
}

pub static PARTIES: LazyLock<Parties> = LazyLock::new(|| {
    let onnx = include_bytes!("../../../../models/cryptonets-mnist.onnx");
    let [model, other] =
        ["mnist", "other"].map(|name| Model::from_bytes(name, onnx).expect("the shipped model"));
    let options = Options { objective: Objective::Operations, ..Options::default() };
    let plan = planner::plan(&model, &Options::default()).expect("a plan");
    let other_plan = planner::plan(&other, &options).expect("a plan");
    let [client, stranger] =
        [0, 1].map(|_| Client::generate(plan.public.clone(), plan.digest()).expect("a client"));
    let keys = client.evaluation_keys(|_, _| {}).expect("keys");
    let request = client.encrypt(&digit(4, &model)).expect("a request");
    let address = Address::of(&keys);
    Parties { model, other, plan, other_plan, client, stranger, keys, request, address }
});

/// What the service serves: the model by both plans.
pub fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    catalogue.add(&PARTIES.model, &PARTIES.plan).expect("served");
    catalogue.add(&PARTIES.other, &PARTIES.other_plan).expect("served");
    catalogue
}

/// A digit drawn for the project.
pub fn digit(n: usize, model: &Model) -> Image {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../samples/digit-{n}.png"));
    open_image(&path, model.graph.input).expect("a drawn digit").0
}

/// A service on a port of its own, in a thread of its own.
pub struct Running {
    pub address: SocketAddr,
    pub metrics: SocketAddr,
    pub fingerprint: Option<String>,
    pub tokens: Tokens,
    pub alice: String,
    pub bob: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// In the clear, where what goes over the wire can be written by hand.
    pub fn plain(folder: &Path, limits: Limits) -> Self {
        Self::start(folder, limits, Transport::Plain, None, Extras::default())
    }

    pub fn tls(folder: &Path, limits: Limits) -> Self {
        let identity = Identity::self_signed(folder, &[]).expect("a certificate");
        let fingerprint = Some(identity.fingerprint());
        Self::start(folder, limits, Transport::Tls(identity), fingerprint, Extras::default())
    }

    /// In the clear, with statements signed.
    pub fn signing(folder: &Path, signer: Signer) -> Self {
        let mut extras = Extras::default();
        extras.signer = Some(Arc::new(signer));
        Self::start(folder, Limits::default(), Transport::Plain, None, extras)
    }

    fn start(
        folder: &Path,
        limits: Limits,
        transport: Transport,
        fingerprint: Option<String>,
        extras: Extras,
    ) -> Self {
        let service = Service::open_with(folder, catalogue(), limits, extras).expect("the folder is free");
        let tokens = Tokens::open(folder).expect("readable");
        let token = |name: &str| {
            let name = name.parse().expect("a name");
            tokens.create(&name, None, true).expect("writable").reveal().to_string()
        };
        let (alice, bob) = (token("alice"), token("bob"));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let listener = Listener::bind(any, Some(any), transport).await.expect("a port");
                let metrics = listener.metrics_address().expect("bound").expect("asked for");
                tell.send((listener.address().expect("bound"), metrics)).expect("the test listens");
                listener.serve(service, async { drop(stopped.await) }).await;
            });
        });
        let (address, metrics) = told.recv().expect("it stands");
        let (stop, thread) = (Some(stop), Some(thread));
        Self { address, metrics, fingerprint, tokens, alice, bob, stop, thread }
    }

    /// Sends a request of alice's and holds the answer against the document.
    pub fn ask(&self, request: Request) -> Answer {
        self.ask_as(&self.alice, request)
    }

    pub fn ask_as(&self, token: &str, request: Request) -> Answer {
        let request = request.header("authorization", &format!("Bearer {token}"));
        self.ask_anybody(request)
    }

    pub fn ask_anybody(&self, request: Request) -> Answer {
        let answer = request.send(self.address);
        document::check(&request, &answer);
        answer
    }

    pub fn put_keys(&self, token: &str, frame: &[u8]) -> Answer {
        self.ask_as(token, Request::new("PUT", &format!("/v1/keys/{}", Address::of(frame))).body(frame))
    }

    pub fn infer(&self, token: &str, keys: Address, request: &[u8]) -> Answer {
        let keys = keys.to_string();
        self.ask_as(
            token,
            Request::new("POST", "/v1/models/mnist/infer").header("blindsight-keys", &keys).body(request),
        )
    }

    /// Asserts that alice, whose keys are registered, gets the right answer.
    pub fn serves_on(&self) {
        let parties = &*PARTIES;
        let answer = self.infer(&self.alice, parties.address, &parties.request);
        assert_eq!(answer.status, 200, "{answer:?}");
        let read = parties.client.decrypt(&answer.body[..]).expect("a reply");
        assert_eq!(read.label, "4");
    }

    /// Asks the service to end.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ended in peace");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}
