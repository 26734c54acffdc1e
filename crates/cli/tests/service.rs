//! `serve`, `token` and `classify --server`: what a user does, and what a machine does to them.

mod common;
#[path = "common/party.rs"]
mod party;

use blindsight_client::remote::{Error, Server};
use blindsight_protocol::Code;
use common::serving::Serving;
use common::{Folder, digit};
use party::{MODEL, Party};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn two_commands_classify_over_https() {
    let folder = Folder::new("serve");
    let mut serving = Serving::start(&folder, "");
    let classify = format!("classify --server {} {}", serving.url(), digit(7));
    let document = folder.json(&classify);
    assert_eq!(document["label"], "7");
    let fields = ["scores", "latency_ms", "upload_bytes", "download_bytes", "evaluation_key_bytes"];
    common::assert_fields(&document, &fields);
    assert_eq!(document["connection"], "TLSv1_3, X25519MLKEM768");
    assert!(folder.says(&classify).contains("label: 7"));
    let named = format!("classify --server {} {MODEL} {}", serving.url(), digit(2));
    assert_eq!(folder.json(&named)["label"], "2");
    let keys = |command: &str| folder.json(&format!("keys {command}"))["keys"].clone();
    let before = keys("list")[0].clone();
    let name = before["name"].as_str().expect("a name");
    assert_eq!((before["replies"].as_u64(), &before["model"]), (Some(3), &MODEL.into()));
    assert_eq!(keys(&format!("rotate {name}"))[0]["replies"], 0);
    assert_eq!(folder.json(&named)["label"], "2");
    assert_eq!(keys(&format!("delete {name}")), serde_json::json!([]));
    // The page's address carries the token where browsers do not send it.
    let page = serving.report["page"].as_str().expect("a page");
    assert!(page.starts_with(&format!("{}/#token=bst_", serving.url())), "{page}");
    assert!(serving.terminate(), "it ends in peace");
    let said = folder.fails(1, &format!("classify --server http://127.0.0.1:1 {}", digit(2)));
    assert!(said.contains("BLINDSIGHT_TOKEN"), "{said}");
}

/// A plan without evaluation keys: what a client registers is its name, in a file of no key.
#[test]
fn a_plan_without_keys_is_served_over_https() {
    let folder = Folder::new("keyless");
    let mut serving = Serving::start(&folder, "--model lola-small-mnist");
    let classify =
        |n| folder.json(&format!("classify --server {} lola-small-mnist {}", serving.url(), digit(n)));
    for n in [7, 2] {
        let document = classify(n);
        assert_eq!(
            (&document["label"], &document["evaluation_key_bytes"]),
            (&n.to_string().into(), &100.into())
        );
    }
    let kept = folder.json("keys list")["keys"].clone();
    let ours = kept.as_array().expect("a list").iter().find(|key| key["model"] == "lola-small-mnist");
    assert_eq!(ours.expect("one key")["replies"], 2);
    serving.restart();
    let again = folder.json(&format!("classify --server {} lola-small-mnist {}", serving.url(), digit(5)));
    assert_eq!(again["label"], "5");
}

#[test]
fn keys_tokens_and_plans_survive_a_restart() {
    let folder = Folder::new("survive");
    let mut serving = Serving::start(&folder, "");
    let classify = format!("classify --server {} {}", serving.url(), digit(5));
    assert_eq!(folder.json(&classify)["label"], "5");
    let before = serving.report.clone();
    assert!(serving.terminate());
    serving.restart();
    assert_eq!(serving.report, before);
    assert_eq!(folder.json(&classify)["label"], "5");
    let keys = std::fs::read_dir(folder.path("server/keys/local")).expect("a folder").count();
    assert_eq!(keys, 1, "the second run used the first one's keys");
}

#[test]
fn tokens_are_made_listed_and_revoked_while_the_server_runs() {
    let folder = Folder::new("token");
    let serving = Serving::start(&folder, "");
    let alice = serving.client("alice");
    assert_eq!(alice.models().expect("served").len(), 1);
    folder.json("token create carol --days 30 --folder {server}");
    assert!(folder.fails(1, "token create carol --folder {server}").contains("has a token already"));
    folder.json("token revoke alice --folder {server}");
    assert_eq!(alice.models().expect_err("refused").code(), Some(Code::Unauthorized));
    let listed = folder.json("token list --folder {server}");
    let states: Vec<_> = listed["tokens"].as_array().expect("tokens").iter().collect();
    let state = |client| states.iter().find(|row| row["client"] == client).map(|row| row["state"].clone());
    assert_eq!((state("alice"), state("carol")), (Some("revoked".into()), Some("valid".into())));
    assert!(folder.says("token list --folder {server}").contains("30"));
    assert!(folder.fails(1, "token revoke nobody --folder {server}").contains("nobody"));
    folder.fails(2, "token create ../etc --folder {server}");
}

#[test]
fn a_budget_holds_over_a_kill_and_tells_what_to_do() {
    let folder = Folder::new("budget");
    let mut serving = Serving::start(&folder, "");
    let scope = "--model cryptonets-mnist --rate 100/d --budget 3";
    let created = folder.json(&format!("token create local --replace {scope} --folder {{server}}"));
    assert_eq!((&created["rate"], &created["budget"]), (&"100/d".into(), &3.into()));
    // The token of this user was replaced: the new one is given once, and remembered.
    let classify = format!("classify --server {} {}", serving.url(), digit(5));
    let output =
        folder.run_with(&classify, &[("BLINDSIGHT_TOKEN", created["token"].as_str().expect("text"))]);
    assert!(output.status.success(), "{}", common::text(&output.stderr));
    assert_eq!(folder.json(&classify)["label"], "5");
    serving.kill();
    serving.restart();
    assert_eq!(folder.json(&classify)["label"], "5");
    let said = folder.fails(1, &classify);
    assert!(
        said.contains("429") && said.contains("all 3 inferences") && said.contains("new token"),
        "{said}"
    );
    assert!(serving.terminate());
    let row = folder.json("token list --folder {server}")["tokens"][0].clone();
    assert_eq!(
        (&row["used"], &row["left"], &row["models"][0]),
        (&3.into(), &0.into(), &"cryptonets-mnist".into())
    );
    assert!(folder.says("token list --folder {server}").contains("cryptonets-mnist; 100/d; 3 in all"));
    let wrong = folder.fails(2, "token create carol --rate 10/fortnight --folder {server}");
    assert!(wrong.contains("as in 10/min"), "{wrong}");
}

#[test]
fn tokens_do_not_travel_in_the_clear() {
    let folder = Folder::new("clear");
    let serve = "serve --model cryptonets-mnist --folder {server} --address 0.0.0.0:0 --plain-http";
    assert!(folder.fails(1, serve).contains("--tls-proxy"));
    let proxied = folder.fails(2, "serve --model cryptonets-mnist --tls-proxy nginx");
    assert!(proxied.contains("--plain-http"), "{proxied}");
    let said = folder.fails(1, &format!("classify --server http://example.org {}", digit(1)));
    assert!(said.contains("BLINDSIGHT_TOKEN"), "{said}");
    let serving = Serving::start(&folder, "--plain-http");
    assert!(serving.url().starts_with("http://127.0.0.1:"));
    assert_eq!(folder.json(&format!("classify --server {} {}", serving.url(), digit(1)))["label"], "1");
}

#[test]
fn wrong_usage_of_servers_exits_with_two() {
    let folder = Folder::new("server-usage");
    for usage in [
        "serve",
        "serve --model cryptonets-mnist --threads 0",
        "serve --model cryptonets-mnist --certificate a.pem",
        "token",
        "token create",
        "classify --server https://127.0.0.1:1 a b c",
        "classify --server https://127.0.0.1:1 --objective upload a.png",
        "classify --fingerprint 00 cryptonets-mnist a.png",
    ] {
        folder.fails(2, usage);
    }
    for command in ["serve", "token", "token create", "token revoke", "token list"] {
        assert!(folder.says(&format!("{command} --help")).contains("Example"), "{command}");
    }
}

#[test]
fn a_kill_during_an_upload_costs_the_client_only_time() {
    let folder = Folder::new("kill-upload");
    let serving = Mutex::new(Serving::start(&folder, ""));
    let server = serving.lock().expect("held").client("alice");
    let party = Party::new(&server);
    for round in 0..4 {
        let mut kills = 0;
        // Before the first part, and between two parts, wherever the file stands then.
        let registered = server.register_keys(&party.keys, |_, _| {
            if kills <= round % 2 {
                kills += 1;
                let mut serving = serving.lock().expect("held");
                serving.kill();
                serving.restart();
            }
        });
        assert_eq!(registered.expect("registered"), party.address);
        party.is_served(&server).expect("an answer");
        server.delete_keys(party.address).expect("deleted");
    }
}

#[test]
fn a_kill_in_the_middle_of_a_body_leaves_a_part_that_is_gone_on_with() {
    let folder = Folder::new("kill-body");
    let mut serving = Serving::start(&folder, "");
    let server = serving.client("alice");
    let party = Party::new(&server);
    let upload = folder.path("server/uploads/alice").join(party.address.to_string());
    std::thread::scope(|scope| {
        let registering = scope.spawn(|| server.register_keys(&party.keys, |_, _| {}));
        // As soon as bytes are on the disk.
        while std::fs::metadata(&upload).map_or(0, |m| m.len()) == 0 && !registering.is_finished() {
            std::thread::yield_now();
        }
        serving.kill();
        serving.restart();
        assert_eq!(registering.join().expect("no panic").expect("registered"), party.address);
    });
    party.is_served(&server).expect("an answer");
}

#[test]
fn kills_during_inference_lose_nothing_and_change_no_answer() {
    let folder = Folder::new("kill-infer");
    let mut serving = Serving::start(&folder, "");
    let servers: Vec<Server> = (0..4).map(|n| serving.client(&format!("client-{n}"))).collect();
    let party = Party::new(&servers[0]);
    for server in &servers {
        server.register_keys(&party.keys, |_, _| {}).expect("registered");
    }
    let (answered, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    party.is_served(server).expect("an answer");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..3 {
            let before = answered.load(Ordering::Relaxed);
            while answered.load(Ordering::Relaxed) < before + 5 {
                std::thread::sleep(Duration::from_millis(1));
            }
            serving.kill();
            serving.restart();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(serving.terminate());
}

/// What a client knows of its keys on the server.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    There,
    Gone,
    Unsure,
}

#[test]
fn kills_while_the_index_is_written_lose_no_acknowledged_key() {
    let folder = Folder::new("kill-index");
    let mut serving = Serving::start(&folder, "");
    let servers: Vec<Server> =
        (0..3).map(|n| serving.client(&format!("client-{n}")).with_retry_budget(Duration::ZERO)).collect();
    let party = Party::new(&servers[0]);
    let changes = AtomicUsize::new(0);
    for round in 0..4 {
        let done = AtomicBool::new(false);
        let known: Vec<Known> = std::thread::scope(|scope| {
            let (party, changes, done) = (&party, &changes, &done);
            let change = |server| scope.spawn(move || keep_changing(server, party, changes, done));
            let clients: Vec<_> = servers.iter().map(change).collect();
            // At another number of changes each time.
            while changes.load(Ordering::Relaxed) < 12 * (round + 1) + round {
                std::thread::yield_now();
            }
            serving.kill();
            done.store(true, Ordering::Relaxed);
            clients.into_iter().map(|client| client.join().expect("no panic")).collect()
        });
        serving.restart();
        for (server, known) in servers.iter().zip(known) {
            let server = &patient(&serving, server);
            let there = server.keys().expect("a list").keys.len() == 1;
            assert!(known == Known::Unsure || there == (known == Known::There));
            if there {
                party.is_served(server).expect("an answer");
            } else {
                let refused = server.infer(MODEL, party.address, party.request.clone());
                assert_eq!(refused.expect_err("no keys").code(), Some(Code::UnknownKeys));
            }
            server.delete_keys(party.address).expect("deleted");
        }
    }
}

/// Registers and deletes in turn, until the server is gone: what was acknowledged last.
fn keep_changing(server: &Server, party: &Party, changes: &AtomicUsize, done: &AtomicBool) -> Known {
    let mut known = Known::Gone;
    while !done.load(Ordering::Relaxed) {
        let changed = match known {
            Known::There => server.delete_keys(party.address).map(|()| Known::Gone),
            _ => server.register_keys(&party.keys, |_, _| {}).map(|_| Known::There),
        };
        match changed {
            Ok(now) => known = now,
            Err(Error::Connection { .. }) => return Known::Unsure,
            Err(other) => panic!("{other}"),
        }
        changes.fetch_add(1, Ordering::Relaxed);
    }
    known
}

/// Checks that the server answers before a client without a retry budget asks it.
fn patient<'a>(serving: &Serving<'_>, server: &'a Server) -> &'a Server {
    assert!(serving.pid() > 0);
    while matches!(server.models(), Err(Error::Connection { .. })) {
        std::thread::sleep(Duration::from_millis(10));
    }
    server
}

/// A file system of a few MiB, where this user may make one (Linux, user namespaces).
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_survived() {
    let folder = Folder::new("full");
    std::fs::create_dir_all(folder.path("server")).expect("writable");
    let server = folder.path("server").display().to_string();
    let possible = format!("mount -t tmpfs -o size=1m tmpfs {server}");
    let unshare = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    if !unshare(&possible).output().is_ok_and(|output| output.status.success()) {
        println!("skipped: this user may not mount a file system of its own");
        return;
    }
    // Room for one client's keys, and for half of another's.
    let binary = env!("CARGO_BIN_EXE_blindsight");
    let script = format!(
        "mount -t tmpfs -o size=8m tmpfs {server} && {binary} token create alice --folder {server} --json && \
         {binary} token create bob --folder {server} --json && \
         exec {binary} serve --model {MODEL} --folder {server} --address 127.0.0.1:0 --log off --json"
    );
    let mut command = unshare(&script);
    command.env("XDG_CONFIG_HOME", folder.path("")).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| full_disk(&mut child)));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[cfg(target_os = "linux")]
fn full_disk(child: &mut std::process::Child) {
    use blindsight_client::remote::Trust;
    let mut documents = serde_json::Deserializer::from_reader(child.stdout.take().expect("piped"))
        .into_iter::<serde_json::Value>();
    let mut next = || documents.next().expect("a document").expect("JSON");
    let [alice, bob, report] = [next(), next(), next()];
    let pin: blindsight_client::remote::Fingerprint =
        report["fingerprint"].as_str().expect("TLS").parse().expect("a fingerprint");
    let connect = |created: &serde_json::Value| {
        let token = created["token"].as_str().expect("a token");
        let url = report["address"].as_str().expect("an address");
        let server = Server::connect(url, token, &Trust::Pinned(pin)).expect("an address");
        server.with_retry_budget(Duration::ZERO)
    };
    let (alice, bob) = (connect(&alice), connect(&bob));
    let party = Party::new(&alice);
    alice.register_keys(&party.keys, |_, _| {}).expect("there is room for one");
    for _ in 0..2 {
        let refused = bob.register_keys(&party.keys, |_, _| {}).expect_err("there is no room for two");
        assert_eq!(refused.code(), Some(Code::StorageFull), "{refused}");
        party.is_served(&alice).expect("an answer");
    }
    // Room again: what had arrived is gone on with.
    alice.delete_keys(party.address).expect("deleted");
    bob.register_keys(&party.keys, |_, _| {}).expect("there is room again");
    party.is_served(&bob).expect("an answer");
}

/// Everything that happened, in order, over a rotation; and nothing of what was sent or decrypted.
#[cfg(unix)]
#[test]
fn an_audit_log_says_who_had_what_done_and_no_more() {
    let folder = Folder::new("audit");
    let mut serving = Serving::start(&folder, "--audit {audit.jsonl}");
    let created = folder.json("token create alice --budget 1 --folder {server}");
    let token = created["token"].as_str().expect("text");
    let classify = format!("classify --server {} {}", serving.url(), digit(3));
    let run = || folder.run_with(&classify, &[("BLINDSIGHT_TOKEN", token)]);
    assert!(run().status.success());
    std::fs::rename(folder.path("audit.jsonl"), folder.path("audit.1.jsonl")).expect("there");
    let hangup = std::process::Command::new("kill").args(["-HUP", &serving.pid().to_string()]).status();
    assert!(hangup.expect("kill runs").success());
    while !folder.path("audit.jsonl").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!run().status.success(), "the budget is used up");
    assert!(!folder.run_with(&classify, &[("BLINDSIGHT_TOKEN", "bst_wrong")]).status.success());
    assert!(serving.terminate());

    let read = |name: &str| std::fs::read_to_string(folder.path(name)).expect("written");
    let (before, after) = (read("audit.1.jsonl"), read("audit.jsonl"));
    let parse = |line: &str| -> serde_json::Value { serde_json::from_str(line).expect("JSON") };
    let lines: Vec<_> = before.lines().chain(after.lines()).map(parse).collect();
    let what: Vec<_> = lines.iter().map(|line| line["what"].as_str().expect("text")).collect();
    let first = ["models listed", "plan sent", "keys sent", "keys registered", "inference"];
    assert_eq!(what, [&first[..], &["models listed", "plan sent", "refused", "refused"]].concat());
    let inference = &lines[4];
    assert_eq!((&inference["token"], &inference["model"]), (&"alice".into(), &MODEL.into()));
    assert_eq!((&inference["outcome"], &inference["status"]), (&"ok".into(), &200.into()));
    let sizes = folder.json(&format!("explain {MODEL}"));
    assert_eq!(inference["request_bytes"], sizes["upload_bytes"]);
    assert_eq!(inference["reply_bytes"], sizes["download_bytes"]);
    assert_eq!(lines[3]["model"], MODEL);
    assert_eq!((&lines[7]["outcome"], &lines[7]["token"]), (&"budget_exceeded".into(), &"alice".into()));
    assert_eq!(
        (&lines[8]["outcome"], &lines[8]["token"]),
        (&"unauthorized".into(), &serde_json::Value::Null)
    );
    let mut ids: Vec<_> = lines.iter().map(|line| line["request_id"].as_str().expect("text")).collect();
    ids.dedup();
    assert_eq!(ids.len(), lines.len(), "each request has an id");
    let times: Vec<_> = lines.iter().map(|line| line["time"].as_str().expect("text")).collect();
    assert!(times.is_sorted() && times[0].ends_with('Z'), "{times:?}");

    let text = before + &after;
    let keys = std::fs::read_dir(folder.path("server/keys/alice")).expect("a folder").next().expect("keys");
    let address = keys.expect("an entry").file_name().into_string().expect("hexadecimal digits");
    for secret in [token, &token["bst_".len()..], "bst_", &address, "127.0.0.1"] {
        assert!(!text.contains(secret), "{text}");
    }
    let fields = ["time", "request_id", "token", "model", "what", "asked", "outcome", "status"];
    let sizes = ["request_bytes", "reply_bytes", "milliseconds"];
    for line in &lines {
        let keys: Vec<&String> = line.as_object().expect("an object").keys().collect();
        assert!(keys.iter().all(|key| fields.iter().chain(&sizes).any(|field| field == key)), "{line}");
    }
}
