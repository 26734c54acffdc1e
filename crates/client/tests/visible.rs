//! What others can see of a client: held against many inputs and many replies, on a server that writes
//! everything down.
//!
//! The visible acts of a [`RemoteClient`] are its connections, and on each the requests in their order:
//! method, path, headers, the length of the body and the header of its frame. Nothing else leaves the client.
//! All of them must be the same whatever the images show and whatever the replies decrypt to. Contents of
//! ciphertexts and keys are encryption's to hide and are left out here.

use blindsight_ckks::wire::{self, Header, Kind};
use blindsight_client::remote::{RemoteClient, Server, Trust, stored_keys};
use blindsight_layout::PublicPlan;
use blindsight_network::{Image, Model, Shape};
use blindsight_planner as planner;
use blindsight_planner::Options;
use blindsight_planner::Plan;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let onnx = include_bytes!("../../../models/cryptonets-mnist.onnx");
    let model = Model::from_bytes("cryptonets-mnist", onnx).expect("the shipped model");
    planner::plan(&model, &Options::default()).expect("it has a plan")
});

/// One request, as somebody on the way or the server sees it.
#[derive(Debug, Clone, PartialEq)]
struct Act {
    connection: usize,
    line: String,
    headers: Vec<String>,
    body_bytes: usize,
    frame_header: Vec<u8>,
}

/// A server that answers inference with what it is told to, and writes down all that reaches it.
struct Recorder {
    address: String,
    seen: Arc<Mutex<Vec<Act>>>,
    reply: Arc<Mutex<Forgery>>,
}

/// Makes the answer to a request of the key with this identity.
type Forgery = Box<dyn Fn(wire::KeyId) -> Vec<u8> + Send>;

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let seen: Arc<Mutex<Vec<Act>>> = Arc::default();
        let reply: Arc<Mutex<Forgery>> = Arc::new(Mutex::new(Box::new(|_| vec![])));
        let recorder = Self { address, seen: seen.clone(), reply: reply.clone() };
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (seen, reply) = (seen.clone(), reply.clone());
                thread::spawn(move || converse(connection, stream.expect("a connection"), &seen, &reply));
            }
        });
        recorder
    }

    /// What was seen since the last call, connections counted from its first.
    fn take(&self) -> Vec<Act> {
        let mut acts = std::mem::take(&mut *self.seen.lock().expect("not poisoned"));
        let first = acts.first().map_or(0, |act| act.connection);
        acts.iter_mut().for_each(|act| act.connection -= first);
        acts
    }
}

fn converse(connection: usize, stream: TcpStream, seen: &Mutex<Vec<Act>>, reply: &Mutex<Forgery>) {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some((act, body)) = read_request(connection, &mut reader) {
        let answer = answer(&act, &body, reply);
        seen.lock().expect("not poisoned").push(act);
        if writer.write_all(&answer).is_err() {
            return;
        }
    }
}

fn read_request(connection: usize, reader: &mut impl BufRead) -> Option<(Act, Vec<u8>)> {
    let mut lines = vec![];
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_string()),
        }
    }
    let length = |line: &String| line.strip_prefix("content-length: ")?.parse().ok();
    let mut body = vec![0; lines.iter().find_map(length).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let line = lines.remove(0);
    let (body_bytes, frame_header) = (body.len(), body[..body.len().min(wire::HEADER_BYTES)].to_vec());
    Some((Act { connection, line, headers: lines, body_bytes, frame_header }, body))
}

fn answer(act: &Act, body: &[u8], reply: &Mutex<Forgery>) -> Vec<u8> {
    let (status, extra, content) = match act.line.split(' ').collect::<Vec<_>>()[..] {
        ["GET", "/v1/models", _] => ("200 OK", "", models()),
        ["GET", _, _] => {
            ("200 OK", "", blindsight_protocol::write_plan(&PLAN.public, &PLAN.private_digest()))
        }
        ["PUT", ..] => ("201 Created", "upload-complete: ?1\r\n", vec![]),
        _ => {
            let key = body[44..60].try_into().expect("a frame's key");
            ("200 OK", "server-timing: compute;dur=1\r\n", reply.lock().expect("not poisoned")(key))
        }
    };
    let head = format!("HTTP/1.1 {status}\r\n{extra}content-length: {}\r\n\r\n", content.len());
    [head.as_bytes(), &content].concat()
}

fn models() -> Vec<u8> {
    let entry = serde_json::json!({
        "id": "m", "plan": "", "representation": "", "objective": "", "reply": "", "ring_degree": 0, "log_qp": 0.0,
        "security_bits": 128, "input": {"channels": 1, "height": 28, "width": 28}, "labels": [],
        "evaluation_key_bytes": 0, "request_bytes": 0, "reply_bytes": 0
    });
    serde_json::to_vec(&serde_json::json!({ "models": [entry] })).expect("JSON")
}

/// A folder for one test, removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("blindsight-visible-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(recorder: &Recorder, folder: &Folder) -> RemoteClient {
    let server = Server::connect(&recorder.address, "token", &Trust::System).expect("loopback");
    RemoteClient::open(server, None, &folder.0, |_| true, |_, _| {}).expect("it opens")
}

fn public() -> &'static PublicPlan {
    &PLAN.public
}

/// A framed reply whose message is these coefficients under every key: its second half is zero.
fn forged(key: wire::KeyId, coefficients: &[f64]) -> Vec<u8> {
    let q = public().parameters.moduli[0];
    let word = |c: &f64| (c * public().reply.scale.0).round().rem_euclid(f64::from(q)) as u32;
    framed(key, &vec![0; public().parameters.degree], &coefficients.iter().map(word).collect::<Vec<_>>())
}

/// Words packed as `docs/formats.md` says, framed as a reply.
fn framed(key: wire::KeyId, second: &[u32], first: &[u32]) -> Vec<u8> {
    let bits = (public().parameters.moduli[0] - 1).ilog2() as usize + 1;
    let packed = |words: &[u32]| {
        let mut bytes = vec![0u8; (words.len() * bits).div_ceil(8)];
        for (at, bit) in
            words.iter().enumerate().flat_map(|(i, w)| (0..bits).map(move |b| (i * bits + b, w >> b & 1)))
        {
            bytes[at / 8] |= (bit as u8) << (at % 8);
        }
        bytes
    };
    let header = Header { kind: Kind::Reply, plan: PLAN.digest(), key };
    wire::seal(&header, &[packed(second), packed(first)].concat())
}

/// Replies of every kind: sound ones with each class the largest, scores that wrapped around, zero checks
/// that are not zero, noise that depends on the secret key, and bytes that are no reply.
fn forgeries() -> Vec<Forgery> {
    let layout = &public().reply;
    let scores = layout.scores.len();
    let with = move |score: f64, class: usize, zero_check: f64, range_check: f64| -> Forgery {
        let mut values = vec![0.0; layout.indices().len()];
        values[class] = score;
        values[scores] = zero_check;
        values[scores + layout.zero_checks.len() + class] = range_check / layout.range_check_divisor;
        Box::new(move |key| forged(key, &values))
    };
    let capacity = layout.capacity;
    let mut all: Vec<Forgery> =
        (0..scores).map(|class| with(capacity / 4.0, class, 0.0, capacity / 4.0)).collect();
    all.push(with(0.99 * capacity, 3, 0.0, 0.99 * capacity));
    all.push(with(0.5 * capacity, 3, 0.0, 2.5 * capacity));
    all.push(with(0.5, 3, 0.9 * capacity, 0.5));
    for seed in 1..6_u32 {
        all.push(Box::new(move |key| {
            let mut state = seed;
            let mut word = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state % public().parameters.moduli[0]
            };
            let second: Vec<u32> = (0..public().parameters.degree).map(|_| word()).collect();
            framed(key, &second, &vec![0; public().reply.indices().len()])
        }));
    }
    all.push(Box::new(|_| vec![]));
    all.push(Box::new(|key| forged(key, &vec![0.0; public().reply.indices().len()]).split_off(1)));
    all.push(Box::new(|key| framed(key, &vec![u32::MAX >> 4; public().parameters.degree], &[0; 25])));
    all.push(Box::new(|_| forged([0; 16], &vec![0.0; public().reply.indices().len()])));
    all
}

fn images() -> Vec<Image> {
    let shape = Shape::new(1, 28, 28);
    let image = |pixel: &dyn Fn(usize) -> u8| {
        Image::new(shape, (0..shape.elements()).map(pixel).collect()).expect("as many pixels")
    };
    let single = [0, 27, 392, 783].map(|at| image(&move |i| if i == at { 255 } else { 0 }));
    let mut images =
        vec![image(&|_| 0), image(&|_| 255), image(&|i| (i * i % 251) as u8), image(&|i| (i % 2) as u8)];
    images.extend(single);
    images
}

/// Normalised values of every kind: in range, far outside of it, and what is no number.
fn inputs() -> Vec<Vec<f64>> {
    let (least, largest) = public().input_range;
    let mut inputs: Vec<Vec<f64>> =
        [least, largest, 1e300, f64::NEG_INFINITY, f64::NAN].map(|value| vec![value; 784]).into();
    inputs.push((0..784).map(|i| if i == 391 { -7.0 } else { largest * i as f64 / 784.0 }).collect());
    inputs
}

#[test]
fn what_is_sent_depends_neither_on_images_nor_on_replies() {
    let (recorder, folder) = (Recorder::start(), Folder::new("same"));
    drop(open(&recorder, &folder));
    let registration = recorder.take();
    let lines: Vec<&str> =
        registration.iter().map(|act| act.line.split(' ').next().expect("a method")).collect();
    assert!(lines.starts_with(&["GET", "GET", "PUT"]) && lines[2..].iter().all(|m| *m == "PUT"), "{lines:?}");
    let (images, inputs, forgeries) = (images(), inputs(), forgeries());
    let (mut expected, mut sound) = (None, 0);
    for (round, forgery) in forgeries.into_iter().enumerate() {
        *recorder.reply.lock().expect("not poisoned") = forgery;
        let mut client = open(&recorder, &folder);
        let (image, input) = (&images[round % images.len()], &inputs[(3 * round + 1) % inputs.len()]);
        // Whatever the first says, the second goes the same way, an image or other values.
        let read = [client.classify(image), client.classify_input(input)];
        sound += read.iter().filter(|read| read.is_ok()).count();
        drop(client);
        let acts = recorder.take();
        assert_eq!(acts.len(), 4, "{acts:?}");
        assert_eq!(*expected.get_or_insert_with(|| acts.clone()), acts, "round {round}");
    }
    assert!(sound >= 20, "{sound} replies were sound: the forgeries are meant to be of every kind");
}

/// As its images are, a client's first time is the same whatever the image: but for the keys, which are new.
#[test]
fn a_first_time_is_the_same_for_every_image() {
    let recorder = Recorder::start();
    let mut expected = None;
    for (round, image) in images().iter().take(3).enumerate() {
        let folder = Folder::new(&format!("first-{round}"));
        let _ = open(&recorder, &folder).classify(image);
        let mut acts = recorder.take();
        for act in &mut acts {
            act.frame_header.drain(44.min(act.frame_header.len())..60.min(act.frame_header.len()));
            act.line.retain(|c| !c.is_ascii_hexdigit());
            act.headers.iter_mut().filter(|h| h.starts_with("blindsight-keys")).for_each(|h| h.truncate(16));
        }
        assert_eq!(*expected.get_or_insert_with(|| acts.clone()), acts, "round {round}");
    }
}

#[test]
fn nothing_is_made_or_sent_where_the_cost_is_not_agreed_to() {
    let (recorder, folder) = (Recorder::start(), Folder::new("declined"));
    let server = Server::connect(&recorder.address, "token", &Trust::System).expect("loopback");
    let mut shown = None;
    let agree = |cost: &blindsight_client::Cost| {
        shown = Some(*cost);
        false
    };
    assert!(RemoteClient::open(server, None, &folder.0, agree, |_, _| {}).is_err());
    let shown = shown.expect("the cost is shown");
    assert_eq!(shown.keys, public().keys.iter().count());
    assert_eq!(std::fs::read_dir(&folder.0).expect("readable").count(), 0);
    assert!(recorder.take().iter().all(|act| act.line.starts_with("GET")));
}

/// Two servers that serve the same plan get different secrets, and so do two addresses of one.
#[test]
fn each_server_has_a_secret_of_its_own() {
    let (one, two, folder) = (Recorder::start(), Recorder::start(), Folder::new("servers"));
    let ids = [&one, &two, &one].map(|recorder| open(recorder, &folder).client().key_id());
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
    let keys = stored_keys(&folder.0).expect("readable");
    let servers: Vec<&str> = keys.iter().map(|key| key.about.server.as_str()).collect();
    assert!(keys.len() == 2 && [&one, &two].iter().all(|r| servers.contains(&r.address.as_str())));
    keys.iter().find(|key| key.about.server == one.address).expect("listed").delete().expect("deleted");
    assert_eq!(stored_keys(&folder.0).expect("readable").len(), 1);
    assert_ne!(open(&one, &folder).client().key_id(), ids[0]);
    assert_eq!(open(&two, &folder).client().key_id(), ids[1]);
}

#[test]
fn values_out_of_range_are_told_to_the_user_alone() {
    let (recorder, folder) = (Recorder::start(), Folder::new("clamped"));
    let values = vec![0.0; public().reply.indices().len()];
    *recorder.reply.lock().expect("not poisoned") = Box::new(move |key| forged(key, &values));
    let mut client = open(&recorder, &folder);
    let mut told = |input: &[f64]| {
        let answer = client.classify_input(input).expect("a sound reply");
        answer.classification.warnings.iter().any(|w| matches!(w, blindsight_client::Warning::Clamped { .. }))
    };
    let said: Vec<bool> = inputs().iter().map(|input| told(input)).collect();
    assert_eq!(said, [false, false, true, true, true, true]);
}

#[test]
fn replies_are_counted_and_many_are_told() {
    let (recorder, folder) = (Recorder::start(), Folder::new("count"));
    let values = vec![0.0; public().reply.indices().len()];
    *recorder.reply.lock().expect("not poisoned") = Box::new(move |key| forged(key, &values));
    let told = |client: &mut RemoteClient| {
        let answer = client.classify(&images()[0]).expect("a sound reply");
        answer.classification.warnings.iter().any(|w| w.to_string().contains("make new keys"))
    };
    let mut client = open(&recorder, &folder);
    for _ in 0..blindsight_client::REPLIES_OF_A_KEY / 2 {
        assert!(!told(&mut client));
    }
    let mut again = open(&recorder, &folder);
    for _ in 0..blindsight_client::REPLIES_OF_A_KEY / 2 {
        assert!(!told(&mut again));
    }
    assert!(told(&mut again));
}
