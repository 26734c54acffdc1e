//! A fleet whose store speaks S3: fronts share keys, tokens, and what is used of them.
#![cfg(feature = "s3")]

mod common;
#[path = "../../fleet/tests/common/moto.rs"]
mod moto;
#[path = "../../fleet/tests/common/nats.rs"]
mod nats;
#[path = "common/party.rs"]
mod party;

use blindsight_client::remote::Server;
use blindsight_protocol::Code;
use common::Folder;
use common::serving::Serving;
use nats::Nats;
use party::Party;
use std::time::{Duration, Instant};

#[test]
fn fronts_share_tokens_and_their_bounds() {
    moto::with_bucket("two_fronts");
}

/// Not a test: what the test does, with the environment that it sets.
#[test]
#[ignore = "runs in an environment that another test makes"]
fn two_fronts() {
    if !moto::is_here() {
        return;
    }
    let (folder, other) = (Folder::new("s3-first"), Folder::new("s3-second"));
    let Some(nats) = Nats::start("s3") else { return };
    let store = "--store s3://fleet/some/prefix";
    let fleet = format!("--fleet {} {store}", nats.url());
    let (first, second) = (Serving::start(&folder, &fleet), Serving::start(&other, &fleet));
    let _worker = Killed(
        folder.start(&format!("worker --model {} --threads 1 --log off --json {fleet}", party::MODEL)),
    );
    let token = |flags: &str| -> String {
        let created = folder.json(&format!("token create {flags} {store}"));
        created["token"].as_str().expect("a token").into()
    };
    let alice = token("alice --budget 3");
    let fronts = [&first, &second].map(|front| accepted(front, &alice));
    let party = Party::new(&fronts[0]);
    party.register(&fronts[0]);
    for front in [0, 1, 0] {
        party.is_served(&fronts[front]).expect("within the budget");
    }
    let refused = |front: &Serving, token: &str| {
        let at_once = front.connect(token).with_retry_budget(Duration::ZERO);
        party.is_served(&at_once).expect_err("beyond the bound").code()
    };
    for front in [&first, &second] {
        assert_eq!(refused(front, &alice), Some(Code::BudgetExceeded));
    }
    let list = folder.json(&format!("token list {fleet}"));
    let row = list["tokens"].as_array().expect("a list").iter().find(|row| row["client"] == "alice");
    let row = row.expect("alice is there");
    assert_eq!((&row["used"], &row["left"]), (&3.into(), &0.into()));
    let list = folder.json(&format!("token list {store}"));
    assert!(list["tokens"][0]["used"].is_null(), "not counted there: {list}");
    assert!(folder.says(&format!("token list {store}")).contains("--fleet"));

    let bounded = token("alice --replace --rate 2/h");
    let fronts = [&first, &second].map(|front| accepted(front, &bounded));
    fronts.iter().for_each(|front| party.is_served(front).expect("within the rate"));
    for front in [&first, &second] {
        assert_eq!(refused(front, &bounded), Some(Code::RateExceeded));
    }

    folder.json(&format!("token revoke alice {store}"));
    let start = Instant::now();
    for front in &fronts {
        while front.keys().is_ok() {
            assert!(start.elapsed() < Duration::from_secs(30), "a revoked token is refused within seconds");
        }
    }
}

/// A process that ends with the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A front that has taken notice of a token.
fn accepted(front: &Serving, token: &str) -> Server {
    let start = Instant::now();
    loop {
        match front.connect(token).keys() {
            Ok(_) => return front.connect(token),
            Err(error) => assert!(start.elapsed() < Duration::from_secs(30), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
