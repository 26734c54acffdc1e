//! The commands that need no file: their JSON, their text, their exit codes.

mod common;

use common::{Colour, Folder, assert_fields, data, digit, even_png};
use serde_json::Value;
use std::path::{Path, PathBuf};

const TOTALS: [&str; 10] = [
    "rotations",
    "hoisted_rotations",
    "plaintext_multiplications",
    "ciphertext_multiplications",
    "additions",
    "hops",
    "relinearizations",
    "rescales",
    "key_switches",
    "ntts",
];

fn count(totals: &Value, name: &str) -> u64 {
    totals[name].as_u64().unwrap_or_else(|| panic!("{name} is {}", totals[name]))
}

fn assert_consistent(totals: &Value) {
    assert_fields(totals, &TOTALS);
    let sum = |names: &[&str]| names.iter().map(|name| count(totals, name)).sum::<u64>();
    let operations = ["rotations", "plaintext_multiplications", "ciphertext_multiplications", "additions"];
    assert_eq!(count(totals, "hops"), sum(&operations));
    assert_eq!(count(totals, "key_switches"), sum(&["rotations", "relinearizations"]));
    assert!(count(totals, "hoisted_rotations") <= count(totals, "rotations"));
}

#[test]
fn models_are_listed() {
    let folder = Folder::new("models");
    let document = folder.json("models");
    let model = &document["models"][0];
    assert_eq!(model["name"], "cryptonets-mnist");
    assert_fields(model, &["dataset", "layers", "parameters", "accuracy"]);
    assert!(model["accuracy"].as_f64().expect("a number") >= 0.99);
    assert!(folder.says("models").contains("cryptonets-mnist"));
}

#[test]
fn explain_has_every_field_and_its_sums_add_up() {
    let folder = Folder::new("explain");
    let document = folder.json("explain cryptonets-mnist");
    let fields = [
        "model",
        "representation",
        "objective",
        "reply",
        "ring_degree",
        "slots",
        "log_qp",
        "security_bits",
        "levels",
        "totals",
        "layers",
        "upload_bytes",
        "download_bytes",
        "evaluation_key_bytes",
        "server_bytes",
        "predicted_error",
        "predicted_ms",
    ];
    assert_fields(&document, &fields);
    assert_consistent(&document["totals"]);
    let layers = document["layers"].as_array().expect("layers");
    for layer in layers {
        assert_fields(
            layer,
            &["name", "kind", "representation_in", "representation_out", "level_in", "level_out"],
        );
        assert_consistent(layer);
    }
    for name in TOTALS {
        let sum: u64 = layers.iter().map(|layer| count(layer, name)).sum();
        assert_eq!(sum, count(&document["totals"], name), "{name}");
    }
    assert!(count(&document, "security_bits") >= 128);
    assert!(folder.says("explain cryptonets-mnist").contains("key-switch"));
}

#[test]
fn plans_need_no_more_than_the_literature_says_is_reachable() {
    let folder = Folder::new("operations");
    // The fewest operations cost one key-switch more than the fewest key-switches.
    for (objective, hops, key_switches) in [("operations", 82, 15), ("key-switches", 104, 14)] {
        let document =
            folder.json(&format!("explain cryptonets-mnist --objective {objective} --ring-degree 8192"));
        let totals = &document["totals"];
        assert!(count(totals, "hops") <= hops, "{objective}: {totals}");
        assert!(count(totals, "key_switches") <= key_switches, "{objective}: {totals}");
        assert!(document["log_qp"].as_f64().expect("a number") <= 214.0);
    }
}

#[test]
fn compare_has_a_row_for_each_representation() {
    let folder = Folder::new("compare");
    let document = folder.json("compare cryptonets-mnist");
    let rows = document["rows"].as_array().expect("rows");
    assert_eq!(rows[0]["representation"], "auto");
    rows.iter().for_each(|row| assert_consistent(&row["totals"]));
    assert!(folder.says("compare cryptonets-mnist").contains("auto"));
    let row = |name: &str| rows.iter().find(|row| row["representation"] == name).expect("a row");
    for name in ["image", "im2col-1", "im2col-2", "lola", "lola-dense"] {
        assert_fields(row(name), &["hops_ratio", "time_ratio"]);
    }
    let smallest = rows.iter().map(|row| count(row, "upload_bytes")).min();
    assert_eq!(smallest, Some(count(row("image"), "upload_bytes")));
    let batch = row("cryptonets");
    let totals =
        ["rotations", "plaintext_multiplications", "ciphertext_multiplications", "additions", "hops"];
    assert_eq!(totals.map(|t| count(&batch["totals"], t)), [0, 105_980, 945, 105_980, 212_905], "{batch}");
    assert_eq!(count(batch, "images"), 8192);
}

#[test]
fn compare_measures_and_draws() {
    let folder = Folder::new("measured");
    let document =
        folder.json("compare lola-small-mnist --measure --runs 1 --longest 0.2 --plot {chart.svg}");
    let rows = document["rows"].as_array().expect("rows");
    for row in rows {
        let (measured, skipped) = (row["measured_ms"].as_f64(), row["not_measured"].as_str());
        match row["predicted_ms"].as_f64().expect("a number") > 200.0 {
            true => assert!(
                measured.is_none() && skipped.is_some_and(|reason| reason.contains("--longest")),
                "{row}"
            ),
            false => assert!(measured.is_some_and(|ms| ms > 0.0) && skipped.is_none(), "{row}"),
        }
    }
    assert_eq!(rows[0]["measured_ratio"], 1.0);
    let chart = std::fs::read_to_string(folder.path("chart.svg")).expect("a chart");
    let bars = chart.lines().filter(|line| line.starts_with("<rect")).count();
    let measured = rows.iter().filter(|row| row["measured_ms"].is_f64()).count();
    assert_eq!(bars, 2 * rows.len() + measured);
    rows.iter().for_each(|row| assert!(chart.contains(row["representation"].as_str().expect("a name"))));
    folder.fails(2, "compare lola-small-mnist --runs 2");
}

#[test]
fn check_says_all_that_is_in_the_way() {
    let folder = Folder::new("check");
    let fields = ["model", "ok", "inputs", "outputs", "levels", "problems", "fused"];
    let sound = folder.json("check cryptonets-mnist");
    assert_fields(&sound, &fields);
    assert_eq!((&sound["ok"], sound["problems"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    assert_eq!(sound["levels"], folder.json("explain cryptonets-mnist")["levels"]);
    assert_eq!(sound["fused"].as_array().map(Vec::len), Some(5));
    let bytes = include_bytes!("../../network/tests/files/max-pool-torchscript.onnx");
    folder.file("net.onnx", bytes);
    let output = folder.run("check {net.onnx} --json");
    assert_eq!(output.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    // Levels are known of what can be fused.
    assert_fields(&document, &fields.into_iter().filter(|field| *field != "levels").collect::<Vec<_>>());
    assert!(document.get("levels").is_some_and(serde_json::Value::is_null), "{document}");
    assert_eq!((&document["ok"], &document["applied"]), (&false.into(), &"Softmax".into()));
    let problems = document["problems"].as_array().expect("a list");
    let operators: Vec<_> = problems.iter().map(|problem| &problem["operator"]).collect();
    assert_eq!(operators, ["Relu", "MaxPool"]);
    problems.iter().for_each(|problem| assert_fields(problem, &["node", "operator", "reason", "remedy"]));
    let text = String::from_utf8(folder.run("check {net.onnx} --wide").stdout).expect("text");
    assert!(text.contains("2 problems") && text.contains("blindsight fit --replace max-pool"), "{text}");
}

#[test]
fn explain_says_why_and_what_else_there_was() {
    let folder = Folder::new("why");
    let document = folder.json("explain cryptonets-mnist");
    let other = &document["runner_up"];
    assert_fields(
        other,
        &["representation", "ratio", "ring_degree", "upload_bytes", "evaluation_key_bytes", "predicted_ms"],
    );
    assert_consistent(&other["totals"]);
    assert_ne!(other["representation"], document["representation"]);
    assert!(other["ratio"].as_f64().expect("a number") >= 1.0);
    let said = folder.says("explain cryptonets-mnist --wide");
    assert!(said.contains("runner-up: im2col-") && said.contains("diagonals, because"), "{said}");
    let named = folder.json("explain cryptonets-mnist --representation lola");
    assert!(named["runner_up"].is_null(), "{named}");
}

/// The chart in the README is what its figures give.
#[test]
fn the_chart_of_the_literature_is_up_to_date() {
    let folder = Folder::new("chart");
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    folder.json(&format!("chart {} --out {{drawn.svg}}", docs.join("literature.json").display()));
    let [drawn, kept] = [folder.path("drawn.svg"), docs.join("literature.svg")]
        .map(|path| std::fs::read_to_string(path).expect("a chart"));
    assert_eq!(drawn, kept, "blindsight chart docs/literature.json --out docs/literature.svg");
    folder.file("wrong.json", b"{}");
    assert!(folder.fails(1, "chart {wrong.json} --out {drawn.svg}").contains("wrong.json"));
}

#[test]
fn the_demonstration_recognises_its_digit_within_its_memory() {
    let folder = Folder::new("demo");
    let document = folder.json("demo");
    let fields = [
        "label",
        "scores",
        "plain_scores",
        "max_abs_error",
        "latency_ms",
        "upload_bytes",
        "download_bytes",
        "evaluation_key_bytes",
    ];
    assert_fields(&document, &fields);
    assert_eq!(document["label"].as_str(), document["digit"].as_u64().map(|d| d.to_string()).as_deref());
    assert!(document["max_abs_error"].as_f64().expect("a number") < 0.05, "{document}");
    if let Some(peak) = document["peak_rss_bytes"].as_u64() {
        assert!(peak < 200 << 20, "{peak} bytes of memory");
    }
    let said = folder.says("demo --digit 7 --wide");
    assert!(said.contains("it is a 7"), "{said}");
    assert!(said.contains("no secret key"), "{said}");
}

#[test]
fn every_drawn_digit_is_classified_as_in_the_clear() {
    let folder = Folder::new("digits");
    for n in 0..10 {
        let document = folder.json(&format!("classify cryptonets-mnist {}", digit(n)));
        assert_eq!(document["label"], n.to_string().as_str(), "{document}");
        let plain = document["plain_scores"].as_array().expect("scores");
        let best =
            (0..10).max_by(|&a, &b| plain[a].as_f64().partial_cmp(&plain[b].as_f64()).expect("numbers"));
        assert_eq!(best, Some(n));
    }
}

/// What is unlike the training images is told apart from wrong keys, and never passes in silence.
#[test]
fn an_image_that_is_far_out_gets_a_warning_or_no_scores_at_all() {
    let folder = Folder::new("far-out");
    let white = folder.file("white.png", &even_png(28, 28, Colour::Grey, 255)).display().to_string();
    let usual = folder.json(&format!("classify lola-small-mnist {}", digit(3)));
    assert_eq!(usual["warnings"].as_array().map(Vec::len), Some(0), "{usual}");
    let warned = folder.json(&format!("classify cryptonets-mnist {white}"));
    let warnings = warned["warnings"].as_array().expect("warnings");
    assert!(warnings.iter().any(|w| w.as_str().is_some_and(|w| w.contains("the output of"))), "{warned}");
    let refused = folder.fails(1, &format!("classify mlp-mnist {white}"));
    assert!(refused.contains("the output of") && refused.contains("over the training images"), "{refused}");
}

/// A data set in MNIST's format: a black image and a white one, which no training image is like.
fn black_and_white(folder: &Folder) -> String {
    let pixels = [vec![0; 28 * 28], vec![255; 28 * 28]].concat();
    let header = |magic: u32, sizes: &[u32]| {
        [&[magic], sizes].concat().into_iter().flat_map(u32::to_be_bytes).collect()
    };
    let file = |header: Vec<u8>, data: &[u8]| [header, data.to_vec()].concat();
    folder.file("t10k-images-idx3-ubyte", &file(header(0x0803, &[2, 28, 28]), &pixels));
    folder.file("t10k-labels-idx1-ubyte", &file(header(0x0801, &[2]), &[1, 8]));
    folder.path("").display().to_string()
}

#[test]
fn an_image_whose_reply_is_refused_is_counted_and_not_tried_again() {
    let folder = Folder::new("refused");
    let evaluate =
        format!("evaluate mlp-mnist --data {} --encrypted --resume {{journal}}", black_and_white(&folder));
    for resumed in [0, 2] {
        let document = folder.json(&evaluate);
        let figures = ["count", "refused", "agree", "resumed"].map(|name| count(&document, name));
        assert_eq!(figures, [2, 1, 1, resumed], "{document}");
        let journal = std::fs::read_to_string(folder.path("journal")).expect("a journal");
        let white: Value = serde_json::from_str(journal.lines().last().expect("an entry")).expect("JSON");
        assert_eq!((count(&white, "image"), &white["encrypted"]), (1, &Value::Null), "{journal}");
    }
    assert!(folder.says(&evaluate).contains("scores out of range"));
}

#[test]
fn bench_has_every_field() {
    let folder = Folder::new("bench");
    for threads in [1, 2] {
        let document = folder.json(&format!("bench cryptonets-mnist --runs 2 --threads {threads}"));
        let fields = [
            "model",
            "representation",
            "threads",
            "runs",
            "machine",
            "latency_ms",
            "expand_ms",
            "encrypt_ms",
            "decrypt_ms",
            "keygen_ms",
            "prepare_ms",
            "upload_bytes",
            "download_bytes",
            "evaluation_key_bytes",
            "log_qp",
            "ring_degree",
            "totals",
        ];
        assert_fields(&document, &fields);
        assert_fields(&document["machine"], &["cpu", "cores", "kernel"]);
        assert_fields(&document["latency_ms"], &["median", "min", "max"]);
        assert_consistent(&document["totals"]);
        assert_eq!((count(&document, "threads"), count(&document, "runs")), (threads, 2));
        assert_eq!(document["scaling"].is_object(), threads > 1, "{document}");
        if threads > 1 {
            for factor in ["speedup", "side_by_side"] {
                let factor = document["scaling"][factor].as_f64().expect("a number");
                assert!(factor > 0.0 && factor.is_finite(), "{document}");
            }
        }
        if cfg!(target_os = "linux") {
            assert!(count(&document, "peak_rss_bytes") > 1 << 20);
        }
    }
}

#[test]
fn evaluation_agrees_with_the_clear_on_test_images() {
    let Some(mnist) = data("mnist") else { return };
    let folder = Folder::new("evaluate");
    let evaluate = format!("evaluate cryptonets-mnist --data {}", mnist.display());
    let plain = folder.json(&evaluate);
    assert_eq!(count(&plain, "count"), 10_000);
    println!("right in the clear: {} of 10,000", plain["correct_plain"]);
    assert!(count(&plain, "correct_plain") >= 9_900, "{plain}");
    let encrypted = folder.json(&format!("{evaluate} --encrypted --count 20"));
    let fields =
        ["correct_encrypted", "agree", "max_abs_error", "mean_abs_error", "server_images_per_second"];
    assert_fields(&encrypted, &fields);
    assert_eq!((count(&encrypted, "count"), count(&encrypted, "agree")), (20, 20), "{encrypted}");
}

#[test]
fn a_thousand_test_images_agree_encrypted_and_in_the_clear() {
    let Some(mnist) = data("mnist") else { return };
    let folder = Folder::new("thousand");
    let evaluate = format!("evaluate cryptonets-mnist --data {} --encrypted --count 1000", mnist.display());
    let document = folder.json(&evaluate);
    println!("{document:#}");
    assert!(count(&document, "agree") >= 999, "{document}");
}

#[test]
fn a_batch_of_test_images_agrees_encrypted_and_in_the_clear() {
    let Some(mnist) = data("mnist") else { return };
    let folder = Folder::new("batch");
    let evaluate = format!("evaluate cryptonets-mnist --data {} --encrypted --batch", mnist.display());
    let document = folder.json(&format!("{evaluate} --count 8192"));
    println!("{document:#}");
    assert_eq!(count(&document, "count"), 8192, "{document}");
    assert!(count(&document, "agree") >= 8184, "{document}");
    let said = folder.fails(1, &format!("{evaluate} --representation im2col-2"));
    assert!(said.contains("im2col-2") && said.contains("batches"), "{said}");
}

/// The number of lines of a journal.
fn lines(folder: &Folder, name: &str) -> usize {
    std::fs::read_to_string(folder.path(name)).expect("a journal").lines().count()
}

#[test]
fn an_interrupted_evaluation_goes_on_after_its_last_whole_entry() {
    let Some(mnist) = data("mnist") else { return };
    let folder = Folder::new("resumed");
    let evaluate = |count: usize| {
        let data = mnist.display();
        folder.json(&format!(
            "evaluate cryptonets-mnist --data {data} --encrypted --count {count} --resume {{journal}}"
        ))
    };
    let figures = |document: &Value| ["count", "resumed", "agree"].map(|name| count(document, name));
    assert_eq!(figures(&evaluate(3)), [3, 0, 3]);
    assert_eq!(lines(&folder, "journal"), 4);
    // An entry that was being written when the machine stopped.
    let whole = std::fs::read(folder.path("journal")).expect("a journal");
    folder.file("journal", &whole[..whole.len() - 9]);
    let document = evaluate(5);
    assert_eq!(figures(&document), [5, 2, 5], "{document}");
    let resumed = std::fs::read(folder.path("journal")).expect("a journal");
    assert_eq!(lines(&folder, "journal"), 6);
    let second = whole.iter().rposition(|b| *b == b'{').expect("three entries");
    assert_eq!(resumed[..second], whole[..second]);
    // Errors of images that were not classified again are in the figures: the keys of each run give others.
    let again = evaluate(5);
    assert_eq!(figures(&again), [5, 5, 5]);
    for name in ["max_abs_error", "mean_abs_error", "server_images_per_second", "correct_encrypted"] {
        assert_eq!(again[name].as_f64(), evaluate(5)[name].as_f64(), "{name}");
    }
    let [largest, before] = [&again, &evaluate(2)].map(|d| d["max_abs_error"].as_f64().expect("a number"));
    assert!(largest >= before && before > 0.0);
    assert_eq!(figures(&evaluate(2)), [2, 2, 2]);
    assert_eq!(std::fs::read(folder.path("journal")).expect("a journal"), resumed);
}

#[test]
fn a_journal_of_something_else_is_refused_and_kept() {
    let Some(mnist) = data("mnist") else { return };
    let folder = Folder::new("other-journal");
    let evaluate = |model: &str, flags: &str| {
        let data = mnist.display();
        format!("evaluate {model} --data {data} --encrypted --count 1 --resume {{journal}} {flags}")
    };
    folder.json(&evaluate("lola-small-mnist", ""));
    let journal = std::fs::read_to_string(folder.path("journal")).expect("a journal");
    let refused = |command: String, expected: &str| {
        let before = std::fs::read(folder.path("journal")).expect("a journal");
        let said = folder.fails(1, &command);
        assert!(said.contains("journal") && said.contains(expected), "{said}");
        assert_eq!(std::fs::read(folder.path("journal")).expect("a journal"), before);
    };
    refused(evaluate("cryptonets-mnist", ""), "its model is");
    refused(evaluate("lola-small-mnist", "--representation lola"), "its plan is");
    let same = || evaluate("lola-small-mnist", "");
    folder.file("journal", journal.replace("mnist, 10000 images", "digits, 7 images").as_bytes());
    refused(same(), "its data set is digits, 7 images, but this run's is mnist, 10000 images");
    // The first test image of MNIST is a seven.
    folder.file("journal", journal.replace("\"class\":7", "\"class\":8").as_bytes());
    refused(same(), "line 2: is of image 0 with class 8, expected image 0 with class 7");
    folder.file("journal", journal.replace("\"class\":7", "\"class\":-7").as_bytes());
    refused(same(), "line 2");
    for foreign in ["notes\n", "notes"] {
        folder.file("journal", foreign.as_bytes());
        refused(same(), "is no journal of an evaluation");
    }
    assert!(folder.fails(2, &same().replace("--encrypted", "")).contains("--encrypted"));
}

#[test]
fn a_cap_on_memory_is_kept_or_refused_with_figures() {
    let folder = Folder::new("memory");
    let explained = folder.json("explain cryptonets-mnist");
    let bytes = count(&explained, "server_bytes") + count(&explained, "working_bytes");
    let capped = folder.json(&format!("explain cryptonets-mnist --memory {bytes}"));
    assert_eq!(count(&capped, "server_bytes"), count(&explained, "server_bytes"));
    assert_eq!(count(&capped, "max_memory"), bytes);
    let said = folder.fails(1, "explain cryptonets-mnist --memory 1000");
    assert!(said.contains("server memory") && said.contains("at most 1000 is allowed"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_ends_an_evaluation_with_the_figures_so_far() {
    let Some(mnist) = data("mnist") else { return };
    let folder = Folder::new("interrupted");
    let flags = "--encrypted --resume {journal} --json";
    let evaluate = format!("evaluate cryptonets-mnist --data {} {flags}", mnist.display());
    let child = folder.start(&evaluate);
    let listening = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask");
        // Bit 1 is SIGINT, number 2.
        u64::from_str_radix(caught.trim(), 16).expect("hexadecimal") & 2 != 0
    };
    while !listening() {
        std::thread::yield_now();
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", common::text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(count(&document, "count") < 10_000, "{document}");
    assert!(count(&document, "agree") <= count(&document, "count"), "{document}");
    assert_eq!(lines(&folder, "journal") as u64, 1 + count(&document, "count"), "{document}");
}

#[test]
fn a_test_image_can_be_named_by_its_number() {
    let Some(mnist) = data("mnist") else { return };
    let folder = Folder::new("numbered");
    // The first test image of MNIST is a seven.
    let document = folder.json(&format!("classify cryptonets-mnist {}:0", mnist.display()));
    assert_eq!(document["label"], "7");
    let said = folder.fails(1, &format!("classify cryptonets-mnist {}:10000", mnist.display()));
    assert!(said.contains("10000"), "{said}");
}

/// The counts are derived in docs/planner.md from the code that LoLa's authors published.
#[test]
fn plans_of_the_literature_run_and_count_what_is_published() {
    let folder = Folder::new("literature");
    for (name, expected) in [("lola", [283, 161, 2, 431]), ("lola-dense", [334, 249, 8, 452])] {
        let totals = &folder.json(&format!("explain cryptonets-mnist --representation {name}"))["totals"];
        let kinds = ["rotations", "plaintext_multiplications", "ciphertext_multiplications", "additions"];
        assert_eq!(kinds.map(|kind| count(totals, kind)), expected, "{name}");
    }
    let digit = common::digit(3);
    let document = folder.json(&format!("classify cryptonets-mnist {digit} --representation lola"));
    assert_eq!(document["label"], "3");
}

#[test]
fn calibration_is_kept_and_used() {
    let folder = Folder::new("calibrate");
    let shipped = folder.json("explain cryptonets-mnist");
    let document = folder.json("calibrate");
    assert_fields(&document, &["machine", "microseconds", "kernels", "path"]);
    let stored = std::fs::read(document["path"].as_str().expect("a path")).expect("it was stored");
    let mut costs: Value = serde_json::from_slice(&stored).expect("JSON");
    assert_eq!(costs, document["microseconds"]);
    // A machine a thousand times slower must show in the prediction.
    costs.as_object_mut().expect("figures").values_mut().for_each(|figure| *figure = 1000.0.into());
    folder.file("blindsight/costs.json", costs.to_string().as_bytes());
    let slow = folder.json("explain cryptonets-mnist");
    let predicted = |document: &Value| document["predicted_ms"].as_f64().expect("a number");
    assert!(predicted(&slow) > 50.0 * predicted(&shipped));
    folder.file("blindsight/costs.json", b"not JSON");
    assert!(folder.fails(1, "explain cryptonets-mnist").contains("costs.json"));
}

/// The files that the cache holds, and what is in them.
fn kept_plans(folder: &Folder) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(folder.path("cache").join("blindsight/plans"));
    let paths = files.map_or(vec![], |files| files.map(|f| f.expect("a file").path()).collect());
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("an entry"))).collect()
}

#[test]
fn plans_are_kept_and_used_again_unless_told_otherwise() {
    let folder = Folder::with_own_cache("plan-cache");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mlp-mnist.onnx");
    std::fs::copy(model, folder.path("net.onnx")).expect("the model can be copied");
    let plan = |flags: &str| {
        folder.says(&format!("plan {{net.onnx}} --out {{net.plan}} {flags}"));
        std::fs::read(folder.path("net.plan")).expect("a plan")
    };
    let first = plan("--no-cache");
    assert!(kept_plans(&folder).is_empty(), "--no-cache keeps nothing");
    assert_eq!(plan(""), first);
    let [(path, entry)] = &kept_plans(&folder)[..] else { panic!("one entry is expected") };
    assert!(entry.ends_with(&first), "an entry holds the plan's file");
    // A sound plan under this key shows whether the entry is what is used: the other objective's plan.
    let other = plan("--objective operations --no-cache");
    assert_ne!(other, first);
    std::fs::write(path, [&entry[..entry.len() - first.len()], &other].concat()).expect("an entry");
    assert_eq!(plan(""), other, "the entry is used");
    assert_eq!(plan("--no-cache"), first);
    std::fs::write(path, b"no plan").expect("an entry");
    assert_eq!(plan(""), first, "a damaged entry is not");
    assert_eq!(&kept_plans(&folder)[0].1, entry, "and is replaced");
    plan("--objective operations");
    folder.json(&format!("classify {{net.onnx}} {}", digit(3)));
    assert_eq!(kept_plans(&folder).len(), 2, "classify uses what plan kept");
}

#[test]
fn wrong_usage_exits_with_two_and_failure_with_one() {
    let folder = Folder::new("usage");
    for usage in [
        "",
        "no-such-command",
        "classify cryptonets-mnist",
        "demo --digit 10",
        "bench cryptonets-mnist --threads 0",
        "bench cryptonets-mnist --runs 0",
        "explain cryptonets-mnist --objective beauty",
        "explain cryptonets-mnist --reply none",
        "explain cryptonets-mnist --representation no-such-plan",
        "evaluate cryptonets-mnist",
    ] {
        folder.fails(2, usage);
    }
    assert!(folder.fails(1, "explain no-such-model").contains("cryptonets-mnist"));
    assert!(folder.fails(1, "evaluate cryptonets-mnist --data {nowhere}").contains("nowhere"));
}

#[test]
fn help_teaches_with_examples() {
    let folder = Folder::new("help");
    assert!(folder.says("--help").contains("blindsight demo"));
    for command in [
        "demo", "explain", "compare", "classify", "evaluate", "bench", "plan", "keygen", "encrypt", "infer",
        "decrypt",
    ] {
        let said = folder.says(&format!("{command} --help"));
        assert!(said.contains("Example"), "{said}");
    }
    let explain = folder.says("explain --help");
    for name in [
        "auto",
        "cryptonets",
        "lola",
        "lola-dense",
        "latency",
        "operations",
        "upload",
        "throughput",
        "clean",
        "raw",
    ] {
        assert!(explain.contains(name), "{name} is not in {explain}");
    }
}

#[test]
fn failures_are_documents_where_json_is_asked_for() {
    let folder = Folder::new("failures");
    let failed = |arguments: &str| -> Value {
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
        let message = document["error"]["message"].as_str().expect("a message").to_string();
        assert!(common::text(&output.stderr).contains(&message), "{message}");
        for field in ["kind", "message", "expected", "found", "remedy"] {
            assert!(document["error"].get(field).is_some(), "{field} is not in {document}");
        }
        document["error"].clone()
    };
    let limit = failed("plan cryptonets-mnist --max-key-bytes 1000 --out {net.plan} --json");
    assert_eq!(limit["kind"], "plan");
    assert!(limit["expected"].as_str().is_some_and(|text| text.contains("1000")), "{limit}");
    assert!(limit["remedy"].as_str().is_some_and(|text| text.contains("--max-key-bytes")), "{limit}");
    folder.file("text.png", b"no image");
    let image = failed("classify cryptonets-mnist {text.png} --json");
    assert_eq!(image["kind"], "input");
    assert!(image["expected"].is_string() && image["found"].is_string(), "{image}");
    assert_eq!(failed("evaluate cryptonets-mnist --data {nowhere} --json")["kind"], "input");
}
