//! Every answer that the OpenAPI document lists, provoked, and held against it.

mod common;

use blindsight_protocol::Address;
use blindsight_service::{Limits, Scope, Signer};
use common::raw::Request;
use common::{Folder, PARTIES, Running};

fn key_path(address: Address) -> String {
    format!("/v1/keys/{address}")
}

#[test]
fn the_document_is_served_and_names_what_exists() {
    let folder = Folder::new("document");
    let service = Running::plain(folder.path(), Limits::default());
    let answer = service.ask_anybody(Request::new("GET", "/v1/openapi.json"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, blindsight_service::OPENAPI.as_bytes()));
    assert_eq!(service.ask_anybody(Request::new("GET", "/healthz")).body, b"ok");
}

#[test]
fn an_image_goes_through_the_protocol_step_by_step() {
    let (folder, parties) = (Folder::new("steps"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());

    let models = service.ask(Request::new("GET", "/v1/models")).json();
    let model = &models["models"][0];
    assert_eq!((model["id"].as_str(), model["input"]["width"].as_u64()), (Some("mnist"), Some(28)));
    assert_eq!(model["evaluation_key_bytes"], parties.keys.len());
    assert_eq!(model["request_bytes"], parties.request.len());

    let plan = service.ask(Request::new("GET", "/v1/models/mnist"));
    let (public, digest) = blindsight_protocol::read_plan(&plan.body).expect("a plan");
    assert_eq!((&public, digest), (&parties.plan.public, parties.plan.digest()));
    let again = Request::new("GET", "/v1/models/mnist").header("if-none-match", &plan.headers["etag"]);
    assert_eq!(service.ask(again).status, 304);

    let registered = service.put_keys(&service.alice, &parties.keys);
    assert_eq!(registered.status, 201, "{registered:?}");
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 200);
    let keys = service.ask(Request::new("GET", "/v1/keys")).json();
    assert_eq!(keys["keys"][0]["digest"], parties.address.to_string());
    assert_eq!(keys["used_bytes"], parties.keys.len());

    let answer = service.infer(&service.alice, parties.address, &parties.request);
    assert_eq!(answer.body.len() as u64, model["reply_bytes"].as_u64().expect("a number"));
    for step in ["read", "queue", "keys", "expand", "compute"] {
        assert!(answer.headers["server-timing"].contains(&format!("{step};dur=")), "{answer:?}");
    }
    service.serves_on();

    assert_eq!(service.ask(Request::new("DELETE", &key_path(parties.address))).status, 204);
    assert_eq!(service.ask(Request::new("DELETE", &key_path(parties.address))).status, 204);
    assert_eq!(service.infer(&service.alice, parties.address, &parties.request).code(), "unknown_keys");
}

#[test]
fn an_upload_goes_on_where_it_broke_off() {
    let (folder, parties) = (Folder::new("resume"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    let path = key_path(parties.address);
    let (first, rest) = parties.keys.split_at(1_000_000);
    let head = || service.ask(Request::new("HEAD", &path));
    assert_eq!(
        (head().headers["upload-offset"].as_str(), head().headers["upload-complete"].as_str()),
        ("0", "?0")
    );

    let part = service.ask(Request::new("PUT", &path).body(first));
    assert_eq!((part.status, part.json()["total"].as_u64()), (202, Some(parties.keys.len() as u64)));
    assert_eq!(head().headers["upload-offset"], "1000000");
    let wrong = service.ask(Request::new("PUT", &path).header("upload-offset", "999999").body(rest));
    assert_eq!((wrong.code().as_str(), wrong.headers["upload-offset"].as_str()), ("wrong_offset", "1000000"));
    let beyond =
        service.ask(Request::new("PUT", &path).header("upload-offset", "1000000").body(&parties.keys));
    assert_eq!(beyond.code(), "too_large");
    assert_eq!(service.infer(&service.alice, parties.address, &parties.request).code(), "unknown_keys");

    let last = service.ask(Request::new("PUT", &path).header("upload-offset", "1000000").body(rest));
    assert_eq!(last.status, 201, "{last:?}");
    assert_eq!(head().headers["upload-complete"], "?1");
    service.serves_on();
}

#[test]
fn bytes_that_are_not_what_the_plan_asks_for_are_refused_and_forgotten() {
    let (folder, parties) = (Folder::new("conformity"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    let offset = |frame: &[u8]| {
        service.ask(Request::new("HEAD", &key_path(Address::of(frame)))).headers["upload-offset"].clone()
    };
    let mut damaged = parties.keys.clone();
    damaged[2_000_000] ^= 1;
    let mut of_no_plan = parties.keys.clone();
    of_no_plan[12] ^= 1;
    let mut future = parties.keys.clone();
    future[8] += 1;
    for frame in [&damaged, &of_no_plan, &future, &parties.request, &vec![0; 5000]] {
        let answer = service.put_keys(&service.alice, frame);
        assert_eq!(answer.code(), "not_conforming", "{answer:?}");
        assert_eq!(offset(frame), "0");
    }
    // Sound keys, under the address of others.
    let other = key_path(Address::of(b"other"));
    let answer = service.ask(Request::new("PUT", &other).body(&parties.keys));
    assert_eq!(answer.code(), "not_conforming");

    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    let mut request = parties.request.clone();
    request[100_000] ^= 1;
    assert_eq!(service.infer(&service.alice, parties.address, &request).code(), "not_conforming");
    let stranger = parties.stranger.encrypt(&common::digit(4, &parties.model)).expect("a request");
    let answer = service.infer(&service.alice, parties.address, &stranger);
    assert!(answer.json()["detail"].as_str().expect("text").contains("key"), "{answer:?}");
    service.serves_on();
}

#[test]
fn what_belongs_to_one_plan_is_refused_by_the_other() {
    let (folder, parties) = (Folder::new("plans"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    let other = service.ask(Request::new("GET", "/v1/models/other"));
    let (plan, digest) = blindsight_protocol::read_plan(&other.body).expect("a plan");
    assert_ne!(digest, parties.plan.digest());
    let client = blindsight_client::Client::generate(plan, digest).expect("a client");
    let request = client.encrypt(&common::digit(4, &parties.model)).expect("a request");
    // Keys of the first plan, warm in memory, with a request of the second.
    let infer = |model: &str, body: &[u8]| {
        let keys = parties.address.to_string();
        let path = format!("/v1/models/{model}/infer");
        service.ask(Request::new("POST", &path).header("blindsight-keys", &keys).body(body))
    };
    service.serves_on();
    assert_eq!(infer("other", &request).code(), "not_conforming");
    let answer = infer("mnist", &request);
    assert!(["not_conforming", "too_large"].contains(&answer.code().as_str()), "{answer:?}");
    service.serves_on();
}

#[test]
fn nobody_sees_the_keys_of_others() {
    let (folder, parties) = (Folder::new("others"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    let status = service.ask_as(&service.bob, Request::new("HEAD", &key_path(parties.address)));
    assert_eq!(
        (status.headers["upload-offset"].as_str(), status.headers["upload-complete"].as_str()),
        ("0", "?0")
    );
    assert_eq!(service.infer(&service.bob, parties.address, &parties.request).code(), "unknown_keys");
    let keys = service.ask_as(&service.bob, Request::new("GET", "/v1/keys")).json();
    assert_eq!((&keys["keys"], &keys["used_bytes"]), (&serde_json::json!([]), &serde_json::json!(0)));
    assert_eq!(service.ask_as(&service.bob, Request::new("DELETE", &key_path(parties.address))).status, 204);
    service.serves_on();
}

#[test]
fn tokens_end_when_they_are_revoked_expired_or_replaced() {
    let (folder, parties) = (Folder::new("tokens"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    let status = |token: &str| service.ask_as(token, Request::new("GET", "/v1/models")).status;
    assert_eq!(service.ask_anybody(Request::new("GET", "/v1/models")).status, 401);
    assert_eq!((status(&service.alice), status("bst_nonsense"), status("")), (200, 401, 401));
    let basic =
        Request::new("GET", "/v1/models").header("authorization", &format!("Basic {}", service.alice));
    assert_eq!(service.ask_anybody(basic).status, 401);

    let carol = "carol".parse().expect("a name");
    let expired = service.tokens.create(&carol, Some(1), false).expect("made");
    let answer = service.ask_as(expired.reveal(), Request::new("GET", "/v1/models"));
    assert!(answer.json()["detail"].as_str().expect("text").contains("over"), "{answer:?}");

    // A new token of the same client finds the client's keys.
    let dave = "dave".parse().expect("a name");
    let first = service.tokens.create(&dave, None, false).expect("made");
    assert_eq!(service.put_keys(first.reveal(), &parties.keys).status, 201);
    assert!(service.tokens.create(&dave, None, false).is_err());
    let second = service.tokens.create(&dave, None, true).expect("replaced");
    assert_eq!((status(first.reveal()), status(second.reveal())), (401, 200));
    assert_eq!(service.infer(second.reveal(), parties.address, &parties.request).status, 200);
    service.tokens.revoke(&dave).expect("revoked");
    assert_eq!(service.infer(second.reveal(), parties.address, &parties.request).status, 401);
}

#[test]
fn a_revoked_clients_keys_go_and_others_stay() {
    let (folder, parties) = (Folder::new("revoked"), &*PARTIES);
    let mut service = Running::plain(folder.path(), Limits::default());
    for token in [&service.alice, &service.bob] {
        assert_eq!(service.put_keys(token, &parties.keys).status, 201);
    }
    service.tokens.revoke(&"bob".parse().expect("a name")).expect("revoked");
    service.stop();
    service.join();
    let files =
        |client: &str| std::fs::read_dir(folder.path().join("keys").join(client)).expect("a folder").count();
    assert_eq!((files("alice"), files("bob")), (1, 1));
    // What a running server does once a minute, one that starts does at once.
    let service = Running::plain(folder.path(), Limits::default());
    assert_eq!((files("alice"), files("bob")), (1, 0));
    service.serves_on();
}

#[test]
fn tokens_are_nowhere_in_the_folder() {
    let folder = Folder::new("hashed");
    let service = Running::plain(folder.path(), Limits::default());
    let text = std::fs::read_to_string(folder.path().join("tokens.json")).expect("there");
    assert!(text.contains("alice") && !text.contains(&service.alice["bst_".len()..]), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("tokens.json")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn lengths_are_refused_before_they_are_read() {
    let (folder, parties) = (Folder::new("lengths"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    let keys = parties.address.to_string();
    let infer = || Request::new("POST", "/v1/models/mnist/infer").header("blindsight-keys", &keys);
    let put = || Request::new("PUT", &key_path(Address::of(b"other")));
    for request in [infer(), put()] {
        let answer = service.ask(request.clone().header("transfer-encoding", "chunked"));
        assert_eq!(answer.code(), "length_required");
        // A gigabyte is announced, and none of it needs to be sent to be refused.
        assert_eq!(service.ask(request.clone().header("content-length", "1073741824")).code(), "too_large");
        // What is no HTTP is refused below the protocol.
        assert_eq!(
            request.header("content-length", "99999999999999999999").send(service.address).status,
            400
        );
    }
    assert_eq!(service.ask(infer().body(&parties.request[1..])).code(), "not_conforming");
    assert_eq!(service.ask(put().body(&parties.keys[..67])).code(), "bad_request");
    service.serves_on();
}

#[test]
fn requests_that_make_no_sense_are_told_why() {
    let (folder, parties) = (Folder::new("nonsense"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    let code = |request: Request| service.ask(request).code();
    let infer = |model: &str| Request::new("POST", &format!("/v1/models/{model}/infer")).body(b"");
    assert_eq!(code(Request::new("GET", "/v1/models/none")), "unknown_model");
    assert_eq!(code(infer("none")), "unknown_model");
    assert_eq!(code(infer("mnist")), "bad_request");
    assert_eq!(code(infer("mnist").header("blindsight-keys", "x")), "bad_request");
    assert_eq!(code(Request::new("GET", "/v1/nothing")), "not_found");
    assert_eq!(code(Request::new("GET", "/../etc/passwd")), "not_found");
    assert_eq!(code(Request::new("DELETE", "/v1/models")), "method_not_allowed");
    let keys = |suffix: &str| Request::new("PUT", &format!("{}{suffix}", key_path(parties.address)));
    assert_eq!(code(Request::new("PUT", "/v1/keys/abc").body(b"")), "bad_request");
    assert_eq!(service.ask(Request::new("HEAD", "/v1/keys/abc")).status, 400);
    assert_eq!(code(Request::new("DELETE", "/v1/keys/ABC")), "bad_request");
    assert_eq!(code(keys("").header("upload-offset", "-1").body(b"")), "bad_request");
    assert_eq!(code(keys("?expires_in=59").body(b"")), "bad_request");
    assert_eq!(code(keys("?expires_in=soon").body(b"")), "bad_request");
}

#[test]
fn clients_of_another_version_are_told_which_one_is_spoken() {
    let folder = Folder::new("version");
    let service = Running::plain(folder.path(), Limits::default());
    let header = Request::new("GET", "/v1/models").header("blindsight-version", "2");
    for request in [header, Request::new("GET", "/v2/models"), Request::new("PUT", "/v0/keys/x").body(b"")] {
        let answer = service.ask(request);
        assert_eq!((answer.status, answer.code().as_str()), (400, "unsupported_version"));
        assert!(answer.json()["detail"].as_str().expect("text").contains("version 1"), "{answer:?}");
    }
    let right = Request::new("GET", "/v1/models").header("blindsight-version", "1");
    assert_eq!(service.ask(right).status, 200);
}

#[test]
fn one_client_stores_no_more_than_its_quota() {
    let (folder, parties) = (Folder::new("quota"), &*PARTIES);
    let quota = parties.keys.len() as u64 + 1000;
    let service = Running::plain(folder.path(), Limits { quota, ..Limits::default() });
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    let more = parties.stranger.evaluation_keys(|_, _| {}).expect("keys");
    let answer = service.put_keys(&service.alice, &more);
    assert_eq!((answer.status, answer.code().as_str()), (507, "quota_exceeded"));
    // Another client's share is its own, and an upload that has only begun counts in full.
    let begun = Request::new("PUT", &key_path(Address::of(&more))).body(&more[..1000]);
    assert_eq!(service.ask_as(&service.bob, begun).status, 202);
    assert_eq!(service.put_keys(&service.bob, &parties.keys).code(), "quota_exceeded");
    assert_eq!(
        service.ask_as(&service.bob, Request::new("DELETE", &key_path(Address::of(&more)))).status,
        204
    );
    assert_eq!(service.put_keys(&service.bob, &parties.keys).status, 201);
    service.serves_on();
}

#[test]
fn keys_in_memory_are_bounded_and_those_on_disk_serve_as_well() {
    let (folder, parties) = (Folder::new("cache"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits { cache: 0, ..Limits::default() });
    assert_eq!(service.put_keys(&service.alice, &parties.keys).status, 201);
    service.serves_on();
    service.serves_on();
    let text = Request::new("GET", "/metrics").send(service.metrics);
    let text = String::from_utf8(text.body).expect("text");
    assert!(text.contains("blindsight_cache_bytes 0\n"), "{text}");
    assert!(text.contains("blindsight_cache_misses_total 2\n"), "{text}");
    assert!(text.contains("blindsight_keys_registered_total 1\n"), "{text}");
    let counted =
        "blindsight_requests_total{method=\"POST\",route=\"/v1/models/{id}/infer\",status=\"200\"} 2\n";
    assert!(text.contains(counted), "{text}");
    // Figures are not on the main address.
    assert_eq!(service.ask(Request::new("GET", "/metrics")).status, 404);
}

#[test]
fn the_page_may_load_nothing_from_elsewhere() {
    let folder = Folder::new("page");
    let service = Running::plain(folder.path(), Limits::default());
    let answer = service.ask_anybody(Request::new("GET", "/"));
    let policy = &answer.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none';") && policy.contains("'wasm-unsafe-eval'"), "{policy}");
    assert!(
        !policy.contains("unsafe-inline") && !policy.contains("http") && !policy.contains('*'),
        "{policy}"
    );
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
}

/// A token with a scope for a client of its own, whose keys are registered.
fn scoped(service: &Running, models: &[&str], rate: Option<&str>, budget: Option<u64>) -> String {
    let models = models.iter().map(ToString::to_string).collect();
    let scope = Scope { models, rate: rate.map(|rate| rate.parse().expect("a rate")), budget };
    let sam = "sam".parse().expect("a name");
    let token = service.tokens.create_scoped(&sam, None, scope, true).expect("made");
    let token = token.reveal().to_string();
    assert!([200, 201].contains(&service.put_keys(&token, &PARTIES.keys).status));
    token
}

#[test]
fn a_token_sees_its_own_models_only() {
    let (folder, parties) = (Folder::new("scope"), &*PARTIES);
    let service = Running::plain(folder.path(), Limits::default());
    let mine = scoped(&service, &["mnist"], None, None);
    let models = service.ask_as(&mine, Request::new("GET", "/v1/models")).json();
    let ids: Vec<_> = models["models"].as_array().expect("a list").iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["mnist"]);
    assert_eq!(service.infer(&mine, parties.address, &parties.request).status, 200);
    let get = |token: &str, id: &str| service.ask_as(token, Request::new("GET", &format!("/v1/models/{id}")));
    assert_eq!(get(&mine, "mnist").status, 200);
    // What is not the token's looks as what is not there.
    let absent = get(&mine, "none");
    assert_eq!((get(&mine, "other").status, get(&mine, "other").body), (absent.status, absent.body));

    let (other, _) = blindsight_protocol::read_plan(&get(&service.bob, "other").body).expect("a plan");
    let stranger = blindsight_client::Client::generate(other, parties.other_plan.digest()).expect("a client");
    let (keys, request) =
        (stranger.evaluation_keys(|_, _| {}).expect("keys"), common::digit(4, &parties.model));
    let request = stranger.encrypt(&request).expect("a request");
    assert_eq!(service.put_keys(&mine, &keys).code(), "not_conforming");
    let address = Address::of(&keys).to_string();
    let infer =
        || Request::new("POST", "/v1/models/other/infer").header("blindsight-keys", &address).body(&request);
    assert_eq!(service.ask_as(&mine, infer()).code(), "unknown_model");
    // Keys from before the token was narrowed are no way around it.
    let wide = scoped(&service, &[], None, None);
    assert_eq!(service.put_keys(&wide, &keys).status, 201);
    assert_eq!(service.ask_as(&wide, infer()).status, 200);
    let narrow = scoped(&service, &["mnist"], None, None);
    assert_eq!(service.ask_as(&narrow, infer()).code(), "unknown_model");
}

#[test]
fn a_rate_and_a_budget_refuse_what_goes_beyond_and_say_when_and_what_is_left() {
    let (folder, parties) = (Folder::new("allowance"), &*PARTIES);
    let mut service = Running::plain(folder.path(), Limits::default());
    let token = scoped(&service, &[], Some("2/h"), Some(3));
    let infer = |service: &Running, token: &str| service.infer(token, parties.address, &parties.request);
    // What is not computed is not counted.
    for _ in 0..3 {
        let damaged = service.infer(&token, parties.address, &parties.request[1..]);
        assert_eq!(damaged.code(), "not_conforming");
    }
    assert_eq!([(); 2].map(|()| infer(&service, &token).status), [200, 200]);
    let refused = infer(&service, &token);
    let (document, retry) = (refused.json(), refused.headers["retry-after"].parse::<u64>().expect("seconds"));
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_exceeded"));
    assert!((3500..=3600).contains(&retry) && document["retry_after"] == retry, "{refused:?}");
    assert_eq!(
        (&document["limit"], &document["period"], &document["remaining"]),
        (&2.into(), &3600.into(), &0.into())
    );
    // Other requests are not bounded, nor are other tokens.
    assert_eq!(service.ask_as(&token, Request::new("GET", "/v1/models")).status, 200);

    // A restart forgets nothing: neither the rate nor the budget.
    service.stop();
    service.join();
    let usage = std::fs::read_to_string(folder.path().join("usage.json")).expect("written");
    assert!(usage.contains("\"used\": 2"), "{usage}");
    let service = Running::plain(folder.path(), Limits::default());
    assert_eq!(infer(&service, &token).code(), "rate_exceeded");

    let spent = scoped(&service, &[], None, Some(1));
    assert_eq!(infer(&service, &spent).status, 200);
    let refused = infer(&service, &spent);
    assert_eq!((refused.status, refused.code().as_str()), (429, "budget_exceeded"));
    assert!(!refused.headers.contains_key("retry-after"), "waiting does not help: {refused:?}");
    assert_eq!((&refused.json()["limit"], &refused.json()["remaining"]), (&1.into(), &0.into()));
    assert!(refused.json()["detail"].as_str().expect("text").contains("new token"), "{refused:?}");
}

/// Tokens from before there were scopes are for everything.
#[test]
fn tokens_of_an_older_server_stay_good() {
    let folder = Folder::new("old-tokens");
    let sha256 = Address::of(b"bst_old");
    let old =
        format!(r#"{{"olga": {{"sha256": "{sha256}", "created": 1, "expires": null, "revoked": false}}}}"#);
    std::fs::write(folder.path().join("tokens.json"), old).expect("writable");
    let service = Running::plain(folder.path(), Limits::default());
    assert_eq!(service.put_keys("bst_old", &PARTIES.keys).status, 201);
    assert_eq!(service.infer("bst_old", PARTIES.address, &PARTIES.request).status, 200);
    assert!(std::fs::read_to_string(folder.path().join("tokens.json")).expect("there").contains("olga"));
}

#[test]
fn what_a_server_signs_names_model_plan_and_certificate() {
    let folder = Folder::new("signature");
    let path = "/v1/models/mnist/signature";
    let service = Running::plain(folder.path(), Limits::default());
    assert_eq!(service.ask(Request::new("GET", path)).code(), "not_found");
    drop(service);
    let signer = Signer::create(&folder.path().join("a.sign")).expect("made").behind(Some("ab".repeat(32)));
    let public = signer.public();
    let service = Running::signing(folder.path(), signer);
    let signed = service.ask(Request::new("GET", path)).json();
    let (model, plan) = (&PARTIES.model, &PARTIES.plan);
    assert_eq!(signed["model_digest"], blindsight_ckks::wire::hex(&model.digest));
    assert_eq!(signed["plan"], blindsight_ckks::wire::hex(&plan.digest()));
    assert_eq!((&signed["key"], &signed["server"]), (&public.into(), &"ab".repeat(32).into()));
    let narrow = scoped(&service, &["mnist"], None, None);
    let other = service.ask_as(&narrow, Request::new("GET", "/v1/models/other/signature"));
    assert_eq!(other.code(), "unknown_model");
}

/// Whoever has no token could make the figures grow without end by asking with ever new methods, and write
/// into the logs.
#[test]
fn methods_that_clients_make_up_leave_no_trace() {
    let folder = Folder::new("methods");
    let service = Running::plain(folder.path(), Limits::default());
    for n in 0..20 {
        let answer = Request::new(&format!("MADE-UP-{n}"), "/v1/models").send(service.address);
        assert_eq!(answer.status, 405, "{answer:?}");
    }
    let figures = Request::new("GET", "/metrics").send(service.metrics).body;
    let figures = String::from_utf8(figures).expect("text");
    let counted = "blindsight_requests_total{method=\"other\",route=\"/v1/models\",status=\"405\"} 20";
    assert!(figures.contains(counted) && !figures.contains("MADE-UP"), "{figures}");
}

/// Heads are held in memory by connections without a token, too.
#[test]
fn long_heads_are_refused_and_usual_ones_are_not() {
    let folder = Folder::new("heads");
    let service = Running::plain(folder.path(), Limits::default());
    let with = |bytes: usize| Request::new("GET", "/healthz").header("x", &"y".repeat(bytes));
    assert_eq!(with(30_000).send(service.address).status, 200);
    assert_eq!(with(33_000).send(service.address).status, 400);
}
