//! Private replies and other levels of security, command by command.

mod common;

use common::{Folder, digit};

/// A private reply, from plan to label, and what it says that it costs.
#[test]
fn private_replies_through_every_command() {
    let folder = Folder::new("private-reply");
    let said = folder.json("explain lola-small-mnist --reply private --kappa 12");
    assert_eq!((&said["reply"], &said["masking"]["kappa"]), (&"private".into(), &12.into()));
    let ratio = said["clean"]["ratios"]["predicted_ms"].as_f64().expect("a ratio");
    assert!(ratio > 1.0 && said["clean"]["ring_degree"].as_u64() < said["ring_degree"].as_u64(), "{said}");
    assert!(folder.says("explain lola-small-mnist --reply private").contains("kappa 20"));
    folder.says("plan lola-small-mnist --reply private --out {net.plan}");
    folder.says("keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}");
    folder.says(&format!("encrypt --plan {{net.plan}} --secret {{my.secret}} --in {} --out {{c}}", digit(4)));
    folder.says("infer lola-small-mnist --plan {net.plan} --keys {my.keys} --in {c} --out {r}");
    assert_eq!(folder.json("decrypt --plan {net.plan} --secret {my.secret} --in {r}")["label"], "4");
    let refused = folder.fails(1, "explain lola-small-mnist --kappa 5");
    assert!(refused.contains("--reply private"), "{refused}");
    let refused = folder.fails(1, "plan lola-small-mnist --reply private --ring-degree 4096 --out {n}");
    assert!(refused.contains("4096"), "{refused}");
}

#[test]
fn security_is_what_was_asked_for() {
    let folder = Folder::new("security");
    for bits in [192, 256] {
        let said = folder.json(&format!("explain lola-small-mnist --security {bits}"));
        assert!(said["security_bits"].as_u64() >= Some(bits), "{said}");
    }
    let refused = folder.fails(1, "plan cryptonets-mnist --security 256 --ring-degree 8192 --out {net.plan}");
    assert!(refused.contains("256 bits of security allow at most 114"), "{refused}");
    assert!(folder.fails(2, "explain lola-small-mnist --security 100").contains("128, 192 or 256"));
}
