//! What the command line shows, and what it asks before: of labels that steer a terminal, of scores, of plans
//! that cost much.

mod common;

use common::{Folder, digit, text};
use std::path::Path;
use std::process::Command;

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
    folder.says("plan lola-small-mnist --out {net.plan}");
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
    let help = folder.says("decrypt --help");
    assert!(help.contains("--exact-scores") && help.contains("equation of the secret key"), "{help}");
}

#[test]
fn keys_beyond_what_is_allowed_are_not_made() {
    let folder = Folder::new("key-limit");
    folder.says("plan lola-small-mnist --out {net.plan}");
    let keygen = "keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}";
    let said = folder.fails(1, &format!("{keygen} --max-key-bytes 100000"));
    assert!(said.contains("21 evaluation keys of 3.3 MiB") && said.contains("--max-key-bytes"), "{said}");
    assert!(!folder.path("my.secret").exists());
    folder.says(keygen);
}

/// `tools/reader.py` was written from `docs/formats.md` alone.
#[test]
fn an_independent_reader_agrees() {
    let python = |arguments: &[&str]| Command::new("python3").args(arguments).output();
    if !python(&["-c", "import numpy"]).is_ok_and(|output| output.status.success()) {
        println!("skipped: no python3 with numpy");
        return;
    }
    let folder = Folder::new("reader");
    flow(&folder);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reader.py").display().to_string();
    let [plan, secret, keys, request, reply] =
        ["net.plan", "my.secret", "my.keys", "digit.enc", "digit.reply"]
            .map(|f| folder.path(f).display().to_string());
    let all =
        ["--plan", &plan, "--secret", &secret, "--keys", &keys, "--request", &request, "--reply", &reply];
    let output = python(&[&[script.as_str()], &all[..]].concat()).expect("it runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let own = folder.json(DECRYPT);
    assert_eq!((&read["label"], &read["scores"]), (&own["label"], &own["scores"]));
    assert_eq!(read["keys"]["keys"], 21);
    assert!((read["request"]["largest"].as_f64().expect("a number") - 1.0).abs() < 1e-3, "{read}");
}
