//! The examples of each command's help run as they stand there.
#![cfg(unix)]

mod common;

use common::examples::{Example, examples};
use common::{Colour, Folder, data, digit, even_png, text};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What needs a server, or NATS, or minutes: that it parses is tested where the parser is.
const NOT_RUN: [&str; 13] = [
    "--server",
    "serve ",
    "worker ",
    "--fleet ",
    "keys rotate",
    "keys delete",
    "fleet simulate",
    "calibrate --json",
    "--batch",
    "--resume",
    "--count 1000",
    "--measure",
    "--objective throughput",
];

/// Files of a repository, by their path in it.
fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A table of so many features, with a header and labels.
fn table(rows: usize, features: usize) -> String {
    let mut table = (0..features).map(|n| format!("feature {n},")).collect::<String>() + "label\n";
    for row in 0..rows {
        let _ = writeln!(table, "{}{}", "0.5,".repeat(features), row % 2);
    }
    table
}

/// A folder with everything that examples name; false where there is no data set.
fn prepared(name: &str) -> (Folder, bool) {
    let folder = Folder::new(name);
    let copy = |from: &str, to: &str| {
        std::fs::copy(repository(from), folder.path(to)).unwrap_or_else(|e| panic!("{from}: {e}"));
    };
    std::fs::create_dir_all(folder.path("docs")).expect("the temporary folder can be written");
    copy("docs/literature.json", "docs/literature.json");
    copy("models/lola-small-mnist.onnx", "net.onnx");
    copy("crates/fit/tests/files/plain-relu.onnx", "relu.onnx");
    copy("crates/cli/tests/tabular/mlp30.onnx", "cancer.onnx");
    std::fs::copy(digit(4), folder.path("digit.png")).expect("a sample");
    ["a.jpg", "b.jpg"].iter().for_each(|name| {
        folder.file(name, &even_png(28, 28, Colour::Grey, 90));
    });
    folder.file("patients.csv", table(20, 30).as_bytes());
    folder.file("digits.csv", table(100, 784).as_bytes());
    folder.file("passphrase", b"a passphrase\n");
    let mnist = data("mnist");
    if let Some(mnist) = &mnist {
        std::os::unix::fs::symlink(mnist, folder.path("mnist")).expect("the temporary folder can be written");
    }
    (folder, mnist.is_some())
}

/// Runs a line as a person would in that folder, who is home there.
fn run(folder: &Folder, line: &str, variables: &[(&str, &str)]) {
    let binary = Path::new(env!("CARGO_BIN_EXE_blindsight"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(folder.path("")).stdin(Stdio::null());
    shell.env("PATH", format!("{}:{path}", binary.parent().expect("a folder").display()));
    shell.env("HOME", folder.path("")).envs(variables.iter().copied());
    for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "BLINDSIGHT_TOKEN"] {
        shell.env_remove(variable);
    }
    let start = Instant::now();
    let output = shell.output().expect("a shell");
    println!("{:.1} s: {line}", start.elapsed().as_secs_f64());
    let worked = output.status.success();
    assert!(worked, "{line}: {}{}", text(&output.stdout), text(&output.stderr));
}

/// What has to be there before a command's examples, besides the files.
fn before(command: &str) -> &'static [&'static str] {
    match command {
        "decrypt" | "encrypt" => &[
            "blindsight plan cryptonets-mnist --representation cryptonets --out batch.plan",
            "blindsight keygen --plan batch.plan --secret batch.secret --keys batch.keys",
            "blindsight encrypt --plan batch.plan --secret batch.secret --in digits.csv --out all.enc",
            "blindsight infer cryptonets-mnist --plan batch.plan --keys batch.keys --in all.enc --out all.reply",
        ],
        "keygen" => &["rm my.secret"],
        "keys unseal" => &["blindsight keys seal my.secret --passphrase-file passphrase"],
        "token revoke" => &["blindsight token create alice"],
        "completions" => {
            &["mkdir -p .zfunc .config/fish/completions .local/share/bash-completion/completions"]
        }
        _ => &[],
    }
}

/// Runs the examples of one help that can be run, in a folder where the exchange of the first help was.
fn run_all(command: &str, help: &str, exchange: &[Example]) -> usize {
    let runs = |line: &str| !NOT_RUN.iter().any(|part| line.contains(part));
    let these: Vec<_> = examples(help).into_iter().filter(|example| runs(&example.line)).collect();
    if these.is_empty() {
        return 0;
    }
    let (folder, has_data) = prepared(&format!("examples-{}", command.replace(' ', "-")));
    let needs_exchange = ["keygen", "encrypt", "infer", "decrypt", "keys", "keys seal", "keys unseal"];
    if needs_exchange.contains(&command) {
        exchange.iter().for_each(|example| run(&folder, &example.line, &[]));
    }
    before(command).iter().for_each(|line| run(&folder, line, &[]));
    for Example { line, .. } in &these {
        if !has_data && (line.contains("mnist:") || line.contains("--data") || line.contains("private.onnx"))
        {
            println!("skipped: no data set: {line}");
            continue;
        }
        let passphrase = line.contains("seal").then_some(("BLINDSIGHT_PASSPHRASE", "a passphrase"));
        run(&folder, line, passphrase.as_slice());
    }
    these.len()
}

#[test]
fn examples_run_as_written() {
    let folder = Folder::new("helps");
    let first = folder.says("--help");
    let is_step = |example: &Example| {
        ["plan", "keygen", "encrypt", "infer", "decrypt"].contains(&example.words[1].as_str())
    };
    let exchange: Vec<Example> = examples(&first).into_iter().filter(is_step).collect();
    assert_eq!(exchange.len(), 5, "{first}");
    let count = AtomicUsize::new(run_all("", &first, &exchange));
    // Each command's examples have a folder of their own, and most use one core.
    let commands = Mutex::new(folder.all_commands().into_iter());
    let next = || commands.lock().expect("no panic before").next();
    let worker = || {
        while let Some(command) = next() {
            let help = folder.says(&format!("{command} --help"));
            count.fetch_add(run_all(&command, &help, &exchange), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(worker))));
    let count = count.into_inner();
    assert!(count > 40, "{count} examples were run");
}
