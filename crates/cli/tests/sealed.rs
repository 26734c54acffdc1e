//! Secret keys sealed with a passphrase, and models signed by a server.

mod common;

use common::serving::Serving;
use common::{Folder, digit, text};
use std::fs;

const MODEL: &str = "lola-small-mnist";
const PASSPHRASE: &str = "BLINDSIGHT_PASSPHRASE";
const DECRYPT: &str = "decrypt --plan {net.plan} --secret {my.secret} --in {digit.reply}";

#[test]
fn a_sealed_key_is_used_with_its_passphrase_and_with_no_other() {
    let folder = Folder::new("sealed");
    folder.file("pass", b"correct horse\nbattery staple\n");
    folder.says(&format!("plan {MODEL} --out {{net.plan}}"));
    let keygen = "keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}";
    let made = folder.json(&format!("{keygen} --passphrase-file {{pass}}"));
    assert_eq!(made["sealed"], true);
    let sealed = fs::read(folder.path("my.secret")).expect("written");
    assert!(sealed.starts_with(b"BSSEALED"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path("my.secret")).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let encrypt =
        format!("encrypt --plan {{net.plan}} --secret {{my.secret}} --in {} --out {{digit.enc}}", digit(4));
    folder.says(&format!("{encrypt} --passphrase-file {{pass}}"));
    folder.says(&format!(
        "infer {MODEL} --plan {{net.plan}} --keys {{my.keys}} --in {{digit.enc}} --out {{digit.reply}}"
    ));
    let decrypted = folder.run_with(DECRYPT, &[(PASSPHRASE, "correct horse")]);
    assert!(text(&decrypted.stdout).contains("label: 4"), "{}", text(&decrypted.stderr));

    let wrong = folder.run_with(DECRYPT, &[(PASSPHRASE, "battery staple")]);
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("passphrase is wrong"));
    let none = folder.fails(1, DECRYPT);
    assert!(none.contains(PASSPHRASE) && none.contains("--passphrase-file"), "{none}");
    let none = folder.fails(1, &keygen.replace("my", "other").replace("other.keys}", "other.keys} --seal"));
    assert!(none.contains(PASSPHRASE) && !folder.path("other.secret").exists(), "{none}");

    // A file that asks for gigabytes is refused before any is taken.
    let mut hostile = sealed.clone();
    hostile[10..14].copy_from_slice(&u32::MAX.to_le_bytes());
    folder.file("my.secret", &hostile);
    let refused = folder.run_with(DECRYPT, &[(PASSPHRASE, "correct horse")]);
    assert!(text(&refused.stderr).contains("asks for KiB of memory"), "{}", text(&refused.stderr));
    folder.file("my.secret", &sealed[..sealed.len() - 1]);
    let refused = folder.run_with(DECRYPT, &[(PASSPHRASE, "correct horse")]);
    assert!(text(&refused.stderr).contains("damaged"), "{}", text(&refused.stderr));
}

/// What is typed at a terminal seals a key and opens it, is asked for twice where it is new, and is not
/// shown.
#[test]
fn a_passphrase_is_asked_for_at_the_terminal() {
    let folder = Folder::new("asked");
    folder.says(&format!("plan {MODEL} --out {{net.plan}}"));
    let keygen = "keygen --plan net.plan --secret my.secret --keys my.keys --seal";
    let keygen = keygen.replace("net.plan", "{net.plan}").replace("my.secret", "{my.secret}");
    let keygen = keygen.replace("my.keys", "{my.keys}");
    let Some(differ) = folder.run_at_terminal(&keygen, &["battery staple", "battery stable"]) else { return };
    assert_eq!(differ.status.code(), Some(1), "{differ:?}");
    assert!(text(&differ.stdout).contains("the passphrases differ: nothing was made"), "{differ:?}");
    assert!(!folder.path("my.secret").exists());
    let at_terminal = |arguments: &str, typed: &[&str]| {
        let output = folder.run_at_terminal(arguments, typed).expect("it was there just now");
        let screen = text(&output.stdout);
        assert!(!screen.contains("staple"), "the passphrase is shown: {screen}");
        (output.status.code(), screen)
    };
    let (code, screen) = at_terminal(&keygen, &["battery staple", "battery staple"]);
    assert!(code == Some(0) && screen.contains("the same again: "), "{screen}");
    let (code, screen) = at_terminal("keys unseal {my.secret}", &["Battery staple"]);
    assert!(code == Some(1) && screen.contains("the passphrase is wrong"), "{screen}");
    let (code, screen) = at_terminal("keys unseal {my.secret}", &[""]);
    assert!(code == Some(1) && screen.contains("the passphrase is empty"), "{screen}");
    assert!(fs::read(folder.path("my.secret")).expect("there").starts_with(b"BSSEALED"));
    let (code, screen) = at_terminal("keys unseal {my.secret}", &["battery staple"]);
    assert!(code == Some(0) && screen.contains("passphrase of "), "{screen}");
    assert!(!fs::read(folder.path("my.secret")).expect("there").starts_with(b"BSSEALED"));
}

#[test]
fn keys_that_are_there_are_sealed_and_unsealed() {
    let folder = Folder::new("reseal");
    folder.file("pass", b"correct horse\n");
    folder.file("other", b"battery staple\n");
    folder.says(&format!("plan {MODEL} --out {{net.plan}}"));
    folder.says("keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}");
    let plain = fs::read(folder.path("my.secret")).expect("written");
    let without = folder.fails(1, "keys seal {my.secret}");
    assert!(without.contains(PASSPHRASE) && without.contains("--passphrase-file"), "{without}");
    let sealed = folder.json("keys seal {my.secret} --passphrase-file {pass}");
    assert_eq!(sealed["sealed"], true);
    assert!(fs::read(folder.path("my.secret")).expect("written").starts_with(b"BSSEALED"));
    assert!(folder.fails(1, "keys seal {my.secret} --passphrase-file {pass}").contains("sealed already"));
    let wrong = folder.fails(1, "keys unseal {my.secret} --passphrase-file {other}");
    assert!(wrong.contains("passphrase is wrong"), "{wrong}");
    folder.says("keys unseal {my.secret} --passphrase-file {pass}");
    assert_eq!(fs::read(folder.path("my.secret")).expect("written"), plain);
    assert!(folder.fails(1, "keys unseal {my.secret} --passphrase-file {pass}").contains("is not sealed"));
    assert!(folder.fails(1, "keys seal {my.keys} --passphrase-file {pass}").contains("no secret key"));
    assert!(folder.fails(1, "keys seal nobody --passphrase-file {pass}").contains("0 keys have names"));
    let entries = fs::read_dir(folder.path("")).expect("there");
    let names: Vec<_> = entries.map(|entry| entry.expect("readable").file_name()).collect();
    assert_eq!(names.len(), 5, "no draft is left among {names:?}");
}

#[test]
fn keys_for_servers_are_sealed_and_stay_so_when_they_are_rotated() {
    let folder = Folder::new("sealed-remote");
    let serving = Serving::start(&folder, "");
    let classify = format!("classify --server {} {}", serving.url(), digit(5));
    let sealed = [(PASSPHRASE, "correct horse")];
    let run = || folder.run_with(&classify, &sealed);
    assert!(text(&run().stdout).contains("label: 5"));
    let key = folder.json("keys list")["keys"][0].clone();
    assert_eq!(key["sealed"], true);
    let said = folder.fails(1, &classify);
    assert!(said.contains(PASSPHRASE), "{said}");
    let name = key["name"].as_str().expect("a name");
    let rotate = format!("keys rotate {name}");
    assert!(folder.fails(1, &rotate).contains(PASSPHRASE), "it would not be sealed any more");
    assert_eq!(folder.json("keys list")["keys"][0]["replies"], 1, "and is still there");
    assert!(folder.run_with(&rotate, &sealed).status.success());
    let key = folder.json("keys list")["keys"][0].clone();
    assert_eq!((&key["sealed"], &key["replies"]), (&true.into(), &0.into()));
    assert!(text(&run().stdout).contains("label: 5"));

    // One that was not sealed becomes so, under its name.
    let name = key["name"].as_str().expect("a name");
    assert!(folder.run_with(&format!("keys unseal {name}"), &sealed).status.success());
    assert_eq!(folder.json("keys list")["keys"][0]["sealed"], false);
    assert_eq!(folder.json(&classify)["label"], "5");
    assert!(folder.run_with(&format!("keys seal {name}"), &sealed).status.success());
    assert!(folder.fails(1, &classify).contains(PASSPHRASE));
    assert!(text(&run().stdout).contains("label: 5"));
}

#[test]
fn a_client_that_pins_a_key_takes_what_it_signed_and_nothing_else() {
    let folder = Folder::new("signed");
    let public = |file: &str| {
        folder.json(&format!("signing-key {{{file}}}"))["public_key"].as_str().expect("a key").to_string()
    };
    let (right, wrong) = (public("right.sign"), public("wrong.sign"));
    assert_eq!(public("right.sign"), right, "a key that is there is shown, not replaced");
    assert!(folder.fails(1, "signing-key {server.sign/none}").contains("cannot write"));
    folder.file("garbage.sign", b"blindsight signing key 1\nabc\n");
    assert!(folder.fails(1, "signing-key {garbage.sign}").contains("64 hexadecimal digits"));

    let serving = Serving::start(&folder, "--sign {right.sign}");
    assert_eq!(serving.report["signing_key"], right.as_str());
    let classify = |key: &str| format!("classify --server {} {} --pin {key}", serving.url(), digit(5));
    let said = folder.fails(1, &classify(&wrong));
    assert!(said.contains("not what the pinned key signed"), "{said}");
    assert_eq!(folder.json("keys list")["keys"], serde_json::json!([]), "no key was made");
    assert_eq!(folder.json(&classify(&right))["label"], "5");
}

#[test]
fn a_pin_is_remembered_and_a_server_that_stops_signing_is_refused() {
    let folder = Folder::new("unsigned");
    let created = folder.json("signing-key {a.sign}");
    let key = created["public_key"].as_str().expect("a key");
    let mut serving = Serving::start(&folder, "--sign {a.sign}");
    let classify = format!("classify --server {} {}", serving.url(), digit(5));
    assert_eq!(folder.json(&format!("{classify} --pin {key}"))["label"], "5");
    serving.restart_with("");
    let said = folder.fails(1, &classify);
    assert!(said.contains("the server signs nothing"), "{said}");
    folder.json("signing-key {b.sign}");
    serving.restart_with("--sign {b.sign}");
    let said = folder.fails(1, &classify);
    assert!(said.contains("its key is"), "{said}");
    serving.restart_with("--sign {a.sign}");
    assert_eq!(folder.json(&classify)["label"], "5");
}
