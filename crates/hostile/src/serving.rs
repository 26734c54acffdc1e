//! What the service reads: connections, and the files in its folder.

use crate::{EXCHANGE, MODEL, ONNX, edited};
use blindsight_network::Model;
use blindsight_protocol::Address;
use blindsight_service::{
    Audit, Catalogue, ClientName, Extras, Limits, OPENAPI, Rate, Scope, Service, Signer, Tokens, Used,
    serve_stream,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// A service with a client that has registered keys.
struct Serving {
    folder: PathBuf,
    service: Arc<Service>,
    audit: Arc<Audit>,
    token: String,
    keys: Address,
    /// Only one at a time: the audit log is the same for all.
    turn: Mutex<()>,
    runtime: Runtime,
}

/// Made once in a process.
static SERVING: LazyLock<Serving> = LazyLock::new(|| {
    let folder = own_folder("service");
    let mut catalogue = Catalogue::default();
    let model = Model::from_bytes(MODEL, ONNX).expect("the shipped model");
    catalogue.add(&model, &EXCHANGE.plan).expect("its own plan");
    let audit = Arc::new(Audit::open(&folder.join("audit.jsonl")).expect("writable"));
    let mut extras = Extras::default();
    extras.audit = Some(audit.clone());
    let limits = Limits { threads: 1, quota: 64 << 20, stall: Duration::from_secs(1), ..Limits::default() };
    let service = Service::open_with(&folder, catalogue, limits, extras).expect("a folder of its own");
    let name: ClientName = "fuzzed".parse().expect("a name");
    let token = Tokens::open(&folder).expect("readable").create(&name, None, true).expect("writable");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (token, keys) = (token.reveal().to_string(), Address::of(&EXCHANGE.key_frame));
    let runtime = runtime.expect("a runtime");
    let serving = Serving { folder, service, audit, token, keys, turn: Mutex::default(), runtime };
    serving.register();
    serving
});

/// A folder for this process; those of processes that are gone are removed.
pub(crate) fn own_folder(name: &str) -> PathBuf {
    let all = std::env::temp_dir().join("blindsight-hostile");
    if Path::new("/proc/self").exists() {
        let folders = fs::read_dir(&all).into_iter().flatten().flatten();
        for folder in folders.filter(|folder| !Path::new("/proc").join(folder.file_name()).exists()) {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
    let folder = all.join(std::process::id().to_string()).join(name);
    fs::create_dir_all(&folder).expect("the temporary folder can be written");
    folder
}

impl Serving {
    fn register(&self) {
        let length = EXCHANGE.key_frame.len();
        let head = format!(
            "PUT /v1/keys/{} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n",
            self.keys, self.token
        );
        assert_eq!(self.ask(&[head.as_bytes(), &EXCHANGE.key_frame].concat()), [201]);
    }

    /// What the service answers to requests of which the last one says that it is.
    fn ask(&self, requests: &[u8]) -> Vec<u16> {
        statuses(&self.converse(requests, usize::MAX, Duration::from_secs(30)))
    }

    /// What the service answers to a connection's bytes, which come in pieces of so many; the connection is
    /// ended when it says nothing for so long.
    fn converse(&self, bytes: &[u8], piece: usize, pause: Duration) -> Vec<u8> {
        let (near, far) = duplex(64 << 10);
        let conversation = async {
            let serving = tokio::spawn(serve_stream(self.service.clone(), far));
            let answers = speak(near, bytes, piece, pause).await;
            serving.await.expect("no panic");
            answers
        };
        let ended = self.runtime.block_on(async { timeout(Duration::from_secs(60), conversation).await });
        ended.expect("a connection whose client has said all ends soon")
    }

    /// A connection's bytes, where `@T` stands for the token and `@K` for the address of the keys.
    fn filled(&self, input: &[u8]) -> Vec<u8> {
        let mut bytes = vec![];
        let mut rest = input;
        while let Some((&first, others)) = rest.split_first() {
            match rest {
                [b'@', b'T', after @ ..] => (rest, _) = (after, bytes.extend(self.token.as_bytes())),
                [b'@', b'K', after @ ..] => (rest, _) = (after, bytes.extend(self.keys.to_string().bytes())),
                _ => (rest, _) = (others, bytes.push(first)),
            }
        }
        bytes
    }
}

/// Writes all that the service takes and reads all that it says. Its end is heard only when it has said
/// nothing for a while: a client that ends is gone, and what it asked for is not done.
async fn speak(near: DuplexStream, bytes: &[u8], piece: usize, pause: Duration) -> Vec<u8> {
    let (mut from, mut to) = split(near);
    let (mut answers, written) = (vec![], AtomicBool::new(false));
    let write = async {
        for piece in bytes.chunks(piece) {
            // It may have closed by then.
            if to.write_all(piece).await.is_err() {
                break;
            }
        }
        written.store(true, Ordering::Relaxed);
        to
    };
    let read = async {
        loop {
            match timeout(pause, from.read_buf(&mut answers)).await {
                Ok(read) => {
                    if read.expect("a pipe") == 0 {
                        return true;
                    }
                }
                Err(_) if written.load(Ordering::Relaxed) => return false,
                Err(_) => {}
            }
        }
    };
    let (mut to, ended) = tokio::join!(write, read);
    if !ended {
        let _ = to.shutdown().await;
        from.read_to_end(&mut answers).await.expect("a pipe");
    }
    answers
}

/// How long a service that says nothing has nothing to say, mostly.
const PAUSE: Duration = Duration::from_millis(20);

/// The statuses of answers, each of which is one.
fn statuses(mut answers: &[u8]) -> Vec<u16> {
    let mut statuses = vec![];
    while !answers.is_empty() {
        let end = answers.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a whole head") + 4;
        let head = str::from_utf8(&answers[..end]).expect("text").to_lowercase();
        let status = head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        statuses.push(status.unwrap_or_else(|| panic!("no status line: {head:?}")));
        answers = &answers[end..];
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        // An answer to HEAD says how long it would be, and is followed by nothing or the next one.
        if !answers.starts_with(b"HTTP/1.") {
            answers = &answers[answers.len().min(length.unwrap_or(0))..];
        }
    }
    statuses
}

/// A connection's bytes, in pieces whose size the first byte gives: each request is answered, with no failure
/// of the server's own, and the service answers the next connection.
pub fn http(input: &[u8]) {
    let Some((&piece, rest)) = input.split_first() else { return };
    let serving = &*SERVING;
    let _turn = serving.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let piece = if piece == 0 { usize::MAX } else { usize::from(piece) };
    for status in statuses(&serving.converse(&serving.filled(rest), piece, PAUSE)) {
        assert!((200..500).contains(&status) || [100, 507].contains(&status), "answered with {status}");
    }
    assert_eq!(serving.ask(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"), [200]);
}

/// Requests with texts of a stranger's while the audit log is moved away and its path blocked: each request
/// has one line, which is whole, and holds nothing of theirs.
pub fn audit(input: &[u8]) {
    let serving = &*SERVING;
    let _turn = serving.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let path = serving.folder.join("audit.jsonl");
    let mut logs = vec![path.clone()];
    let mut expected = 0;
    fs::write(&path, b"").expect("writable");
    for operation in input.chunks(12).take(16) {
        match operation[0] % 8 {
            0 => {
                let away = serving.folder.join(format!("audit.{}.jsonl", logs.len()));
                fs::rename(&path, &away).expect("it is there");
                serving.audit.reopen().expect("it can be made anew");
                logs.push(away);
            }
            // Rotated by a tool that leaves something in the way: lines go on where they went.
            1 => {
                let away = serving.folder.join(format!("audit.{}.jsonl", logs.len()));
                fs::rename(&path, &away).expect("it is there");
                fs::create_dir(&path).expect("nothing is there");
                serving.audit.reopen().expect_err("a folder cannot be written to");
                expected += request(serving, operation);
                fs::remove_dir(&path).expect("it is empty");
                serving.audit.reopen().expect("the way is free");
                logs.push(away);
            }
            _ => expected += request(serving, operation),
        }
    }
    let lines = logs.iter().map(|log| fs::read_to_string(log).expect("text")).collect::<String>();
    assert_eq!(lines.lines().count(), expected, "{lines}");
    lines.lines().for_each(check_line);
    logs[1..].iter().for_each(|log| fs::remove_file(log).expect("it is there"));
}

/// Sends one request below `/v1` with a stranger's text in it; how many lines the log should have for it.
fn request(serving: &Serving, operation: &[u8]) -> usize {
    let visible = |byte: &u8| char::from(b'!' + byte % 94);
    // One part of a path, whatever it is.
    let text: String = operation[1..].iter().map(visible).filter(|c| !"/?#%".contains(*c)).collect();
    let [token, path] = match operation[0] & 8 {
        0 => [serving.token.as_str(), &format!("/v1/models/_{text}")],
        _ => [text.as_str(), "/v1/models"],
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    let answered = serving.ask(request.as_bytes());
    // What is no HTTP is refused by the library, before anybody could write it down.
    usize::from(answered != [400])
}

/// Every path and method that a line may name.
static ASKED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let methods = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods").keys();
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
});

fn check_line(line: &str) {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    let asked = line["asked"].as_str().expect("text");
    assert!(ASKED.contains(asked), "{line}");
    assert!(line["token"].is_null() || line["token"] == "fuzzed", "{line}");
    assert!(line["model"].is_null() || line["model"] == MODEL, "{line}");
}

/// Files in the server's folder, and texts of the command line that end up there: refused, or understood the
/// same when they are read again.
pub fn server_files(input: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| own_folder("files"));
    let Some((&kind, bytes)) = input.split_first() else { return };
    static TURN: Mutex<()> = Mutex::new(());
    let (folder, _turn) = (&*FOLDER, TURN.lock().unwrap_or_else(PoisonError::into_inner));
    let file = |name: &str| folder.join(name);
    match kind % 4 {
        0 => {
            fs::write(file("tokens.json"), bytes).expect("writable");
            read_tokens(folder);
        }
        1 => {
            fs::write(file("usage.json"), bytes).expect("writable");
            let _ = Used::read(folder);
        }
        2 => {
            for bytes in [bytes, &edited(SIGNING_KEY, bytes)] {
                fs::write(file("server.sign"), bytes).expect("writable");
                if let Ok(signer) = Signer::read(&file("server.sign")) {
                    assert_eq!(signer.public().len(), 64);
                }
            }
        }
        _ => {
            let Ok(text) = str::from_utf8(bytes) else { return };
            if let Ok(rate) = text.parse::<Rate>() {
                assert_eq!(rate.to_string().parse::<Rate>().expect("a rate"), rate);
            }
            if let Ok(name) = text.parse::<ClientName>() {
                assert!(Path::new(name.as_str()).components().count() == 1 && name.as_str() != "..");
            }
        }
    }
}

const SIGNING_KEY: &[u8] =
    b"blindsight signing key 1\n0707070707070707070707070707070707070707070707070707070707070707\n";

/// Reads a file of tokens as a server does; one that is understood is still so after a change.
fn read_tokens(folder: &Path) {
    let Ok(tokens) = Tokens::open(folder) else { return };
    let before = tokens.list().expect("it was read just now");
    assert!(!tokens.accepts("bst_nobody's").expect("readable"));
    let name: ClientName = "new-one".parse().expect("a name");
    let scope = Scope { budget: Some(3), ..Scope::default() };
    let made = tokens.create_scoped(&name, None, scope, true).expect("writable");
    assert!(tokens.accepts(made.reveal()).expect("readable"));
    let mut after = Tokens::open(folder).expect("what was written is read").list().expect("read");
    let mut before = before;
    assert!(after.remove(&name).is_some());
    before.remove(&name);
    assert_eq!(before, after);
}
