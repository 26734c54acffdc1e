//! What the command line shows, and what it asks before: of labels that steer a terminal, of scores, of plans
//! that cost much.

mod common;

use common::{Folder, digit, text};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::{Command, Output};

/// A model whose labels and name hold escape sequences.
#[test]
fn labels_do_not_reach_the_terminal_raw() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/label-escapes");
    if !case.is_dir() {
        println!("skipped: no {}", case.display());
        return;
    }
    let folder = Folder::new("label-escapes");
    let words = format!("{} {}", case.join("net.onnx").display(), case.join("img.png").display());
    for command in [format!("classify {words}"), format!("classify {words} --json")] {
        let output = folder.run(&command);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{said}");
        let raw: Vec<char> = said.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert_eq!(raw, [], "{command}");
        assert!(said.contains("1b"), "the labels are there, escaped: {said}");
    }
}

fn flow(folder: &Folder) {
    folder.says("plan lola-small-mnist --representation im2col-5 --out {net.plan}");
    folder.says("keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}");
    folder.says(&format!(
        "encrypt --plan {{net.plan}} --secret {{my.secret}} --in {} --out {{digit.enc}}",
        digit(4)
    ));
    folder.says(
        "infer lola-small-mnist --plan {net.plan} --keys {my.keys} --in {digit.enc} --out {digit.reply}",
    );
}

const DECRYPT: &str = "decrypt --plan {net.plan} --secret {my.secret} --in {digit.reply}";

#[test]
fn scores_are_rounded_unless_exact_ones_are_asked_for() {
    let folder = Folder::new("exact-scores");
    flow(&folder);
    let scores = |flag: &str| -> Vec<f64> {
        let document = folder.json(&format!("{DECRYPT} {flag}"));
        assert_eq!(document["label"], "4");
        document["scores"].as_array().expect("scores").iter().map(|s| s.as_f64().expect("a number")).collect()
    };
    let (rounded, exact) = (scores(""), scores("--exact-scores"));
    assert!(rounded.iter().all(|score| score.to_string().len() <= 6), "{rounded:?}");
    assert!(exact.iter().all(|score| score.to_string().len() > 10), "{exact:?}");
    assert!(rounded.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 0.05), "{rounded:?} {exact:?}");
    // One file more: how many replies there were.
    assert_eq!(std::fs::read_to_string(folder.path("my.secret.replies")).expect("a count").trim(), "2");
    let help = folder.says("decrypt --help").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("--exact-scores") && help.contains("equation of the secret key"), "{help}");
}

#[test]
fn keys_beyond_what_is_allowed_are_not_made() {
    let folder = Folder::new("key-limit");
    folder.says("plan lola-small-mnist --representation im2col-5 --out {net.plan}");
    let keygen = "keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}";
    let said = folder.fails(1, &format!("{keygen} --max-key-bytes 100000"));
    assert!(said.contains("21 evaluation keys of 3.26 MiB") && said.contains("--max-key-bytes"), "{said}");
    assert!(!folder.path("my.secret").exists());
    folder.says(keygen);
}

/// What `tools/reader.py`, which was written from `docs/formats.md` with numpy and none of this code, says of
/// fresh files of a plan; `None` where there is no python3 with numpy.
struct Read {
    reader: Value,
    own: Value,
}

fn python(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new("python3").args(arguments).output()
}

/// Makes files of every kind for a drawn four and has them read. Requests of batches are left out where
/// `whole` is not said: they hold hundreds of ciphertexts.
fn read_independently(model: &str, representation: &str, whole: bool) -> Option<Read> {
    if !python(&["-c", "import numpy"]).is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: an independent reader: no python3 with numpy");
        return None;
    }
    let folder = Folder::new(&format!("reader-{model}-{representation}"));
    let image = digit(4);
    folder.says(&format!("plan {model} --representation {representation} --out {{net.plan}}"));
    folder.says("keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}");
    folder.says(&format!(
        "encrypt --plan {{net.plan}} --secret {{my.secret}} --in {image} --out {{digit.enc}}"
    ));
    folder.says(&format!(
        "infer {model} --plan {{net.plan}} --keys {{my.keys}} --in {{digit.enc}} --out {{digit.reply}}"
    ));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reader.py").display().to_string();
    let [plan, secret, keys, request, reply] =
        ["net.plan", "my.secret", "my.keys", "digit.enc", "digit.reply"]
            .map(|f| folder.path(f).display().to_string());
    let mut all = vec![&*script, "--plan", &plan, "--secret", &secret, "--keys", &keys, "--reply", &reply];
    if whole {
        all.extend(["--request", &request, "--image", &image]);
    }
    let read = |more: &[&str]| -> Value {
        let output = python(&[&all[..], more].concat()).expect("it runs");
        assert!(output.status.success(), "{model} {representation}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    assert_eq!(read(&[])["scores"], folder.json(DECRYPT)["scores"], "rounded alike");
    let (reader, own) = (read(&["--exact-scores"]), folder.json(&format!("{DECRYPT} --exact-scores")));
    Some(Read { reader, own })
}

/// Every form of a reply, images that are sent as windows (shared and not), whole, and in batches.
#[test]
fn an_independent_reader_agrees_on_every_form() {
    for (model, representation, form, whole) in [
        ("conv2x2-mnist", "auto", "coefficients", true),
        ("lola-small-mnist", "auto", "unrelinearised", true),
        ("lola-small-mnist", "im2col-5", "periodic", true),
        ("lola-small-mnist", "image", "periodic", true),
        ("lola-small-mnist", "lola", "constants", true),
        ("lola-small-mnist", "cryptonets", "batch", false),
    ] {
        let Some(Read { reader, own }) = read_independently(model, representation, whole) else { return };
        assert_eq!(
            (&reader["form"], &reader["label"]),
            (&form.into(), &own["label"]),
            "{model} {representation}"
        );
        let scores = |document: &Value| -> Vec<f64> {
            let scores = document["scores"].as_array().expect("scores");
            scores.iter().map(|score| score.as_f64().expect("a number")).collect()
        };
        let apart = scores(&reader).iter().zip(scores(&own)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-9, "{model} {representation}: scores are {apart} apart");
        // The reader refuses errors that are not of 3.19; here it is only asked whether it looked.
        let keys = reader["keys"]["deviation"].as_f64();
        let is_usual = keys.map_or(reader["keys"]["digits"] == 0, |d| (d - 3.19).abs() < 0.1);
        assert!(is_usual && keys.is_none() == (form == "unrelinearised"), "{reader}");
        let request = reader["request"]["deviation"].as_f64();
        assert!(!whole || request.is_some_and(|d| (d - 3.19).abs() < 0.1), "{reader}");
    }
}

/// A reader that accepts everything would agree, too.
#[test]
fn the_independent_reader_refuses_what_is_wrong() {
    if !python(&["-c", "import numpy"]).is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: an independent reader: no python3 with numpy");
        return;
    }
    let folder = Folder::new("reader-refuses");
    flow(&folder);
    folder.says("keygen --plan {net.plan} --secret {other.secret} --keys {other.keys}");
    let path = |name: &str| folder.path(name).display().to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reader.py").display().to_string();
    let refused = |more: &[&str]| {
        let (plan, secret) = (path("net.plan"), path("my.secret"));
        let all = [&[script.as_str(), "--plan", &plan, "--secret", &secret], more].concat();
        let output = python(&all).expect("it runs");
        assert!(!output.status.success(), "{more:?}");
        text(&output.stderr)
    };
    assert!(refused(&["--keys", &path("other.keys")]).contains("of another key"));
    assert!(refused(&["--request", &path("digit.enc"), "--image", &digit(7)]).contains("an error of"));
    // Other keys under this key's name: frames are right, the equation is not.
    let mut keys = std::fs::read(folder.path("other.keys")).expect("written");
    let secret = std::fs::read(folder.path("my.secret")).expect("written");
    keys[44..60].copy_from_slice(&secret[44..60]);
    let body = keys.len() - 32;
    let checksum = Sha256::digest(&keys[..body]);
    keys[body..].copy_from_slice(&checksum);
    folder.file("forged.keys", &keys);
    assert!(refused(&["--keys", &path("forged.keys")]).contains("error"));
}
