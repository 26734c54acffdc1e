//! The store in a server that speaks S3.
#![cfg(feature = "s3")]

#[path = "common/moto.rs"]
mod moto;

use blindsight_fleet::{Depot, StoredTokens};
use blindsight_service::Tokens;

#[test]
fn what_is_put_into_s3_is_there() {
    moto::with_bucket("s3_process");
}

/// Not a test: what the test does, with the environment that it sets.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in an environment that another test makes"]
async fn s3_process() {
    if !moto::is_here() {
        return;
    }
    let depot = Depot::open("s3://fleet/some/prefix").expect("an address");
    let (first, second) = (depot.agree(5).await.expect("agreed"), depot.agree(9).await.expect("agreed"));
    assert_eq!((first.shards, second.shards), (5, 5));
    depot.put("keys/a/b", vec![7; 1000]).await.expect("put");
    let file = std::env::temp_dir().join(format!("blindsight-s3-{}", std::process::id()));
    std::fs::write(&file, vec![8; 20 << 20]).expect("written");
    depot.put_file("keys/a/c", &file).await.expect("put in parts");
    std::fs::remove_file(&file).expect("there");
    assert_eq!(depot.get("keys/a/c", 1 << 30).await.expect("read").map(|bytes| bytes.len()), Some(20 << 20));
    let mut paths: Vec<String> =
        depot.list("keys").await.expect("two").into_iter().map(|object| object.path).collect();
    paths.sort();
    assert_eq!(paths, ["keys/a/b", "keys/a/c"]);
    depot.remove("keys/a/b").await.expect("removed");
    depot.remove("keys/a/b").await.expect("nothing to do");
    assert!(depot.get("keys/a/b", 1000).await.expect("nothing").is_none());

    // Tokens: whoever knows an older state changes nothing, and tries again with the newer one.
    assert!(depot.replace("tokens.json", b"{}".to_vec(), None).await.expect("put"), "nothing was there");
    assert!(!depot.replace("tokens.json", b"{}".to_vec(), None).await.expect("asked"), "something is there");
    assert!(!depot.replace("tokens.json", vec![], Some("\"old\"")).await.expect("asked"), "in another state");
    let one = Tokens::of(StoredTokens::open(depot.clone()).await.expect("read")).expect("tokens");
    let other = Tokens::of(StoredTokens::open(depot.clone()).await.expect("read")).expect("tokens");
    tokio::task::block_in_place(|| {
        one.create(&"alice".parse().expect("a name"), None, false).expect("made");
        other.create(&"bob".parse().expect("a name"), None, false).expect("made");
        other.revoke(&"alice".parse().expect("a name")).expect("revoked");
    });
    let tokens = StoredTokens::open(depot).await.expect("read");
    let names: Vec<_> = Tokens::of(tokens).expect("tokens").list().expect("read").into_values().collect();
    assert_eq!(names.iter().map(|entry| entry.revoked).collect::<Vec<_>>(), [true, false]);
}
