//! What stands on a terminal: lines that fit, colours where they have a place, figures that people read.
#![cfg(unix)]

mod common;

use common::{Folder, data, digit, text};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// The most columns of a terminal that nobody made wider.
const COLUMNS: usize = 80;
/// Models that everything is quick for.
const QUICK: &str = "lola-small-mnist";

fn models(folder: &Folder) -> Vec<String> {
    let document = folder.json("models");
    let models = document["models"].as_array().expect("a list");
    models.iter().map(|model| model["name"].as_str().expect("a name").to_string()).collect()
}

/// The units that figures are said in.
const UNITS: [&str; 16] =
    ["ns", "µs", "us", "ms", "s", "min", "h", "B", "KiB", "MiB", "GiB", "kB", "MB", "GB", "TB", "bits"];

/// Asserts that each line fits, and that no figure with a unit has more digits than people read.
fn assert_fits(command: &str, said: &str) {
    for line in said.lines() {
        assert!(line.chars().count() <= COLUMNS, "{command}: {} characters: {line}", line.chars().count());
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in
            words.windows(2).filter(|pair| UNITS.contains(&pair[1].trim_end_matches([',', ')', '.', ';'])))
        {
            let digits =
                pair[0].trim_start_matches(['(', '0', '.']).chars().filter(char::is_ascii_digit).count();
            assert!(digits <= 3 || !pair[0].contains('.'), "{command}: {} {}", pair[0], pair[1]);
        }
        assert!(
            !words.iter().any(|word| word.contains('.') && word.ends_with("/s") && word.len() > 7),
            "{line}"
        );
    }
}

#[test]
fn no_line_of_any_shipped_model_is_too_long() {
    let folder = Folder::new("lines");
    for model in models(&folder) {
        for command in ["explain", "check"] {
            let command = format!("{command} {model}");
            assert_fits(&command, &folder.says(&command));
        }
    }
    for command in ["models", "calibrate", "demo"] {
        assert_fits(command, &folder.says(command));
    }
}

#[test]
fn no_line_of_other_commands_is_too_long() {
    let folder = Folder::new("other-lines");
    let classify = format!("classify {QUICK} {}", digit(3));
    let mut commands = vec![
        format!("compare {QUICK}"),
        format!("compare {QUICK} --measure --runs 1 --longest 0.05"),
        format!("bench {QUICK} --runs 2 --threads 2"),
        format!("explain {QUICK} --reply private"),
        "explain cryptonets-mnist --representation cryptonets".into(),
        format!("plan {QUICK} --out net.plan"),
        "keygen --plan net.plan --secret my.secret --keys my.keys".into(),
        format!("encrypt --plan net.plan --secret my.secret --in {} --out digit.enc", digit(4)),
        format!("infer {QUICK} --plan net.plan --keys my.keys --in digit.enc --out digit.reply"),
        "decrypt --plan net.plan --secret my.secret --in digit.reply".into(),
        "decrypt --plan net.plan --secret my.secret --in digit.reply --in digit.reply".into(),
        classify,
        "keys list".into(),
        "keys seal my.secret --passphrase-file pass".into(),
        "signing-key server.sign".into(),
        "token create alice --days 90 --rate 10/min --budget 100000".into(),
        "token create a-client-with-a-long-name-such-as-companies-give-them --model cryptonets-mnist".into(),
        "token list".into(),
        "token revoke alice".into(),
        "fleet simulate --workers 10 --clients 2000 --images 100000".into(),
    ];
    folder.file("pass", b"a passphrase");
    if let Some(mnist) = data("mnist") {
        let link = folder.path("mnist");
        std::os::unix::fs::symlink(mnist, link).expect("the temporary folder can be written");
        let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fit/tests/files/plain-relu.onnx");
        std::fs::copy(network, folder.path("relu.onnx")).expect("it can be read");
        commands.extend([
            format!("evaluate {QUICK} --data mnist --count 300"),
            format!("evaluate {QUICK} --data mnist --encrypted --count 3"),
            "fit relu.onnx --data mnist --mean 0.1307 --std 0.3081 --degree 2 --count 200 --out fit.onnx"
                .into(),
            "check relu.onnx".into(),
        ]);
    }
    for command in &commands {
        let output = folder.run_inside(command, &[]);
        let worked = output.status.success() || command.starts_with("check");
        assert!(worked, "{command}: {}", text(&output.stderr));
        assert_fits(command, &text(&output.stdout));
        assert_eq!(text(&output.stderr).matches('\r').count(), 0, "{command}: progress is for terminals");
    }
}

#[test]
fn a_terminal_may_be_wider_and_wide_shows_everything() {
    let folder = Folder::new("wide");
    let explain = format!("explain {QUICK}");
    let narrow = folder.says(&explain);
    assert!(!narrow.contains("NTTs  ") && narrow.contains("with --wide also"), "{narrow}");
    let wide = folder.says(&format!("{explain} --wide"));
    let all = [
        "layer",
        "rotations",
        "hoisted rotations",
        "plain products",
        "cipher products",
        "additions",
        "all operations",
    ];
    let headings = wide.lines().find(|line| line.contains("hoisted")).expect("headings");
    for heading in all.into_iter().chain(["key-switches", "NTTs", "time"]) {
        assert!(headings.contains(heading), "{heading} is not in {headings}");
    }
    let longest = |said: &str| said.lines().map(|line| line.chars().count()).max();
    assert!(longest(&wide) > Some(COLUMNS) && !wide.contains("--wide also"), "{wide}");
    let compare = folder.says(&format!("compare {QUICK} --wide"));
    for heading in [
        "packing",
        "operations of auto",
        "rotations",
        "plain products",
        "cipher products",
        "additions",
        "key-switches",
        "NTTs",
        "keys",
    ] {
        assert!(
            compare.lines().any(|line| line.contains("NTTs") && line.contains(heading)),
            "{heading}: {compare}"
        );
    }
    let output = folder.run_with(&explain, &[("COLUMNS", "120")]);
    assert!(longest(&text(&output.stdout)) > Some(COLUMNS) && text(&output.stdout).contains("NTTs"));
    assert!(longest(&text(&output.stdout)) <= Some(120));
}

/// A command whose text has styles, and that has no progress.
const STYLED: &str = "token list --folder {server}";

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = Folder::new("colours");
    folder.says("token create alice --folder {server}");
    assert!(!folder.says(STYLED).contains('\u{1b}'), "none in a pipe");
    for (variables, coloured) in [
        (&[("TERM", "xterm-256color")][..], true),
        (&[("TERM", "xterm-256color"), ("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        let Some(output) = folder.run_at_terminal_with(STYLED, &[], variables) else { return };
        let said = text(&output.stdout);
        assert!(output.status.success() && said.contains("alice"), "{said}");
        assert_eq!(said.contains('\u{1b}'), coloured, "{variables:?}: {said:?}");
    }
}

#[test]
fn a_terminal_sees_progress_and_lines_that_fit_it() {
    let folder = Folder::new("progress");
    let command = format!("explain {QUICK}");
    let variables = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
    let Some(output) = folder.run_at_terminal_with(&command, &[], &variables) else { return };
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("planning"), "{said:?}");
    // What comes after the last move of the cursor is the report.
    let report = said.rsplit('\u{1b}').next().and_then(|rest| rest.split_once('K')).map(|(_, text)| text);
    let report = report.unwrap_or_else(|| panic!("a report in {said:?}")).replace('\r', "");
    assert!(report.contains("key-"), "{report}");
    assert_fits(&command, &report);
}

#[test]
fn completions_and_pages_name_every_command() {
    let folder = Folder::new("completions");
    let commands = folder.commands();
    assert!(commands.len() > 20 && commands.contains(&"completions".to_string()), "{commands:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = folder.says(&format!("completions {shell}"));
        for command in &commands {
            assert!(script.contains(command.as_str()), "{command} is not in {shell}'s script");
        }
        assert!(script.contains("representation"), "{shell}");
    }
    folder.says("manual {man}");
    for command in &commands {
        let page =
            std::fs::read_to_string(folder.path(&format!("man/blindsight-{command}.1"))).expect(command);
        assert!(page.starts_with(".ie") || page.contains(".TH"), "{command}: {page}");
    }
    assert!(std::fs::read_to_string(folder.path("man/blindsight.1")).expect("a page").contains("explain"));
    assert!(folder.fails(1, "manual /dev/null/man").contains("/dev/null/man"));
}

#[test]
fn wrong_usage_is_a_document_where_json_is_asked_for() {
    let folder = Folder::new("usage-json");
    for (arguments, expected, found) in [
        ("explain cryptonets-mnist --objective beauty --json", None, Some("beauty")),
        ("completions csh --json", Some("bash"), Some("csh")),
        ("--json no-such-command", None, Some("no-such-command")),
        ("evaluate --json cryptonets-mnist", Some("--data"), None),
        ("classify --json cryptonets-mnist", None, None),
        ("bench --json cryptonets-mnist --threads 0", None, Some("0")),
        ("plan cryptonets-mnist --json --no-such-flag", None, Some("--no-such-flag")),
        ("token --json", None, None),
    ] {
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments}: {e} in {}", text(&output.stdout)));
        let error = &document["error"];
        assert_eq!(error["kind"], "usage", "{arguments}: {document}");
        let message = error["message"].as_str().expect("a message");
        assert!(!message.is_empty() && text(&output.stderr).contains(message), "{arguments}: {document}");
        for (field, part) in [("expected", expected), ("found", found)] {
            let said = error[field].as_str().unwrap_or_default();
            assert!(part.is_none_or(|part| said.contains(part)), "{arguments}: {field} in {document}");
        }
    }
    let output = folder.run("explain --help --json");
    assert!(output.status.success() && text(&output.stdout).starts_with("Shows"), "help is no error");
}

#[test]
fn a_server_says_the_same_into_a_pipe() {
    let folder = Folder::new("piped");
    let command = format!("serve --model {QUICK} --address 127.0.0.1:0 --folder {{server}}");
    let mut child = folder.start(&command);
    let mut said = String::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        said += &(line.expect("text") + "\n");
        if said.contains("--fingerprint") {
            break;
        }
    }
    child.kill().expect("it runs");
    let errors = child.wait_with_output().expect("it ended");
    for name in
        ["serving", "address", "page", "folder", "fingerprint", "token create NAME", "--server https://"]
    {
        assert!(said.contains(name), "{name} is not in {said}");
    }
    assert!(said.contains(&folder.path("server").display().to_string()), "{said}");
    // Pipes end in logs, where a token has no place.
    assert!(said.contains("#token=TOKEN") && !said.contains("bst_"), "{said}");
    assert!(!text(&errors.stderr).contains("ansi"), "{}", text(&errors.stderr));
}

/// What is installed: the program, and the models that it carries.
#[test]
fn the_binary_is_small_enough_to_be_downloaded() {
    if cfg!(debug_assertions) {
        println!("skipped: the size of a binary that is not optimised says nothing");
        return;
    }
    let bytes = std::fs::metadata(env!("CARGO_BIN_EXE_blindsight")).expect("it was built").len();
    let models = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models")).expect("models");
    let models = models.map(|entry| entry.expect("an entry").path());
    let models = models.filter(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    let models: u64 = models.map(|path| path.metadata().expect("a model").len()).sum();
    println!("the binary has {bytes} bytes, {models} of them models");
    assert!(bytes <= models + 28_000_000 && bytes <= 45_000_000, "{bytes} bytes, {models} of them models");
}
