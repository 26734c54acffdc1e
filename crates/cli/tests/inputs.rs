//! Inputs and data sets as people have them, through every command that takes some.

mod common;

use common::{Colour, Folder, even_png, png, text};
use serde_json::Value;
use std::path::Path;

/// A network of `tests/tabular`, whose right scores are onnxruntime's.
fn network(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tabular").join(name).display().to_string()
}

/// So many values from 0 to 1, evenly spaced.
fn ramp(values: usize) -> Vec<f64> {
    (0..values).map(|i| i as f64 / (values - 1) as f64).collect()
}

/// A table of rows, each with its label.
fn table(rows: &[(Vec<f64>, &str)]) -> Vec<u8> {
    let names = (0..rows[0].0.len()).map(|i| format!("feature {i},")).collect::<String>();
    let line = |(values, label): &(Vec<f64>, &str)| {
        values.iter().map(|value| format!("{value},")).collect::<String>() + label + "\n"
    };
    format!("{names}label\n{}", rows.iter().map(line).collect::<String>()).into_bytes()
}

/// An array of doubles as numpy writes it.
fn array(values: &[f64]) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': (1, {}), }}\n", values.len());
    let start = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    [start, values.iter().flat_map(|value| value.to_le_bytes()).collect()].concat()
}

fn scores(document: &Value, field: &str) -> Vec<f64> {
    document[field].as_array().expect("scores").iter().filter_map(Value::as_f64).collect()
}

#[track_caller]
fn near(found: &[f64], expected: &[f64], error: f64) {
    assert_eq!(found.len(), expected.len());
    let close = |(a, b): (&f64, &f64)| (a - b).abs() < error;
    assert!(found.iter().zip(expected).all(close), "{found:?}, expected {expected:?}");
}

/// Eight deviations of the errors that are predicted of these networks' scores, and the last digit that is
/// shown.
const NOISE: f64 = 6e-3;
const MLP30: [f64; 2] = [-0.1755, -0.3357];
const CONV1D: [f64; 5] = [-0.1528, -0.0724, 0.0219, -0.3111, 0.0390];

#[test]
fn numbers_of_every_format_are_classified() {
    let folder = Folder::new("formats");
    for (name, values, expected) in [("mlp30.onnx", 30, &MLP30[..]), ("conv1d.onnx", 128, &CONV1D)] {
        let values = ramp(values);
        folder.file("x.json", serde_json::to_string(&values).expect("JSON").as_bytes());
        folder.file("x.npy", &array(&values));
        folder.file("x.csv", &table(&[(vec![0.5; values.len()], "1"), (values, "0")]));
        let row = format!("{}:1", folder.path("x.csv").display());
        for input in ["{x.json}", "{x.npy}", &row] {
            let document = folder.json(&format!("classify {} {input}", network(name)));
            near(&scores(&document, "plain_scores"), expected, 1e-4);
            near(&scores(&document, "scores"), expected, NOISE);
            // Nothing is said of the input; the file says no bound.
            let warnings = document["warnings"].as_array().expect("a list");
            assert!(warnings.iter().all(|w| w.to_string().contains("score bound")), "{document}");
        }
    }
}

#[test]
fn a_vector_takes_an_image_that_is_as_many_pixels() {
    let folder = Folder::new("flattened");
    let output = folder.run(&format!("classify {} {} --json", network("mlp784.onnx"), network("img.png")));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["label"], "5", "{document}");
    assert!(output.stderr.is_empty(), "nothing was converted: {}", text(&output.stderr));
}

#[test]
fn an_image_of_another_size_is_converted_and_it_is_said() {
    let folder = Folder::new("converted");
    let photo = folder.file("photo.png", &even_png(60, 40, Colour::Rgb, 0)).display().to_string();
    let output = folder.run("classify lola-small-mnist {photo.png} --json");
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).expect("one document, and nothing else there");
    let expected = format!("{photo}: 60x40 RGB, shortest side resized to 28, centre cropped to 28x28");
    assert_eq!(text(&output.stderr).trim(), expected);
}

#[test]
fn numbers_out_of_range_are_clamped_with_a_warning() {
    let folder = Folder::new("clamped");
    let (mut outside, mut inside) = (ramp(30), ramp(30));
    (outside[0], outside[7]) = (-3.0, 1e6);
    (inside[0], inside[7]) = (0.0, 1.0);
    folder.file("outside.npy", &array(&outside));
    folder.file("inside.npy", &array(&inside));
    let classify = |name: &str| folder.json(&format!("classify {} {{{name}}}", network("mlp30.onnx")));
    let (outside, inside) = (classify("outside.npy"), classify("inside.npy"));
    let warnings = outside["warnings"].to_string();
    assert!(warnings.contains("2 values of the input were outside of 0 to 1"), "{warnings}");
    near(&scores(&outside, "scores"), &scores(&inside, "plain_scores"), NOISE);
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let folder = Folder::new("unfit");
    let network = network("mlp30.onnx");
    let mut row = ramp(30);
    row[3] = f64::NAN;
    folder.file("nan.csv", &table(&[(ramp(30), "0"), (row.clone(), "1")]));
    folder.file("nan.npy", &array(&row));
    folder.file("short.json", b"[1, 2, 3]");
    folder.file("wide.csv", &table(&[(ramp(32), "0")]));
    folder.file("photo.png", &even_png(60, 40, Colour::Rgb, 0));
    let nan_row = format!("{}:1", folder.path("nan.csv").display());
    let past = format!("{}:2", folder.path("nan.csv").display());
    let wide = format!("{}:0", folder.path("wide.csv").display());
    for (input, words) in [
        (nan_row.as_str(), &["nan.csv, row 1, column \"feature 3\"", "finite number", "NaN"][..]),
        (&past, &["nan.csv", "row 2"]),
        ("{nan.npy}", &["nan.npy, element [0, 3]", "NaN"]),
        ("{short.json}", &["short.json", "30 numbers", "found 3"]),
        (&wide, &["wide.csv", "30 columns", "32"]),
        ("{nan.csv}", &["nan.csv", "a row's number"]),
        ("{photo.png}", &["photo.png", "30 numbers, which no image has"]),
        ("{none.npy}", &["none.npy", "cannot read"]),
    ] {
        let said = folder.fails(1, &format!("classify {network} {input}"));
        assert!(words.iter().all(|word| said.contains(word)), "{input}: {said}");
    }
    for (data, word) in
        [("{nan.csv}", "row 1, column"), ("{wide.csv}", "30 columns"), ("{none.npz}", "none.npz")]
    {
        let said = folder.fails(1, &format!("evaluate {network} --data {data}"));
        assert!(said.contains(word), "{data}: {said}");
    }
}

/// A picture from the data crate's tests.
fn photo(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/truth").join(name);
    std::fs::read(path).expect("it is part of the repository")
}

/// Bytes of a PNG whose header says a width and height that the file does not hold.
fn bomb() -> Vec<u8> {
    let mut bytes = even_png(8, 8, Colour::Grey, 0);
    bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    // The header's checksum, over its kind and data.
    let crc = common::crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&crc);
    bytes
}

/// Each names the file, the place in it, what was expected and what was found.
#[test]
fn damaged_files_are_refused_with_file_place_expected_and_found() {
    let folder = Folder::new("damaged");
    folder.file("text.png", b"this is no image");
    let jpeg = photo("photo.jpg");
    folder.file("cut.jpg", &jpeg[..jpeg.len() / 3]);
    folder.file("bomb.png", &bomb());
    for (input, words) in [
        ("{text.png}", &["text.png", "expected", "PNG"][..]),
        ("{cut.jpg}", &["cut.jpg", "expected"]),
        ("{bomb.png}", &["bomb.png", "4294967296 pixels", "limit of 67108864"]),
    ] {
        let said = folder.fails(1, &format!("classify cryptonets-mnist {input}"));
        assert!(words.iter().all(|word| said.contains(word)), "{input}: {said}");
    }
    let network = network("mlp30.onnx");
    let sound = String::from_utf8(table(&[(ramp(30), "0"), (ramp(30), "1")])).expect("text");
    let lines: Vec<&str> = sound.lines().collect();
    let without = |line: &str| line.split_once(',').expect("columns").1.to_string();
    folder.file("missing.csv", lines.iter().map(|l| without(l) + "\n").collect::<String>().as_bytes());
    let text_in =
        format!("{}\n{}\nmany{}\n", lines[0], lines[1], &lines[2][lines[2].find(',').expect("one")..]);
    folder.file("text.csv", text_in.as_bytes());
    std::fs::create_dir_all(folder.path("empty")).expect("writable");
    std::fs::create_dir_all(folder.path("classless/cat")).expect("writable");
    for (data, words) in [
        ("{missing.csv}", &["missing.csv", "30 columns", "29"][..]),
        ("{text.csv}", &["text.csv, row 1, column \"feature 0\"", "expected", "\"many\""]),
        ("{empty}", &["empty", "a folder of images for each class", "none of these"]),
        ("{classless}", &["classless", "image files", "none"]),
    ] {
        let said = folder.fails(1, &format!("evaluate {network} --data {data}"));
        assert!(words.iter().all(|word| said.contains(word)), "{data}: {said}");
    }
}

#[test]
fn a_table_is_evaluated() {
    let folder = Folder::new("table");
    folder.file("x.csv", &table(&[(ramp(30), "benign"), (vec![0.5; 30], "benign"), (ramp(30), "malign")]));
    let evaluate = format!("evaluate {} --data {{x.csv}}", network("mlp30.onnx"));
    let plain = folder.json(&evaluate);
    let encrypted = folder.json(&format!("{evaluate} --encrypted --resume {{journal}}"));
    for document in [&plain, &encrypted] {
        assert_eq!(document["count"], 3, "{document}");
        assert_eq!(document["correct_plain"].as_u64().expect("a count") % 3, 2, "{document}");
    }
    assert_eq!(encrypted["agree"], 3, "{encrypted}");
}

#[test]
fn images_by_class_are_evaluated() {
    let folder = Folder::new("by-class");
    for class in ["0", "1"] {
        std::fs::create_dir_all(folder.path(class)).expect("writable");
        let digit = std::fs::read(common::digit(class.parse().expect("a digit"))).expect("a sample");
        folder.file(&format!("{class}/drawn.png"), &digit);
    }
    folder.file("1/large.png", &png(56, Colour::Grey, &[0; 56 * 56]));
    let data = folder.path("").display().to_string();
    let output = folder.run(&format!("evaluate cryptonets-mnist --data {data} --json"));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["count"], 3, "{document}");
    assert!(document["correct_plain"].as_u64() >= Some(2), "{document}");
    assert!(text(&output.stderr).contains("large.png: 56x56 grey, shortest side resized to 28"));
}

/// Encrypts, infers and decrypts over files: what `decrypt` says.
fn over_files(folder: &Folder, model: &str, plan: &str, inputs: &str, decrypt: &str) -> Value {
    folder.says(&format!("plan {model} {plan} --out {{net.plan}}"));
    folder.says("keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}");
    folder.says(&format!("encrypt --plan {{net.plan}} --secret {{my.secret}} {inputs} --out {{all.enc}}"));
    folder.says(&format!(
        "infer {model} --plan {{net.plan}} --keys {{my.keys}} --in {{all.enc}} --out {{all.reply}}"
    ));
    folder.json(&format!("decrypt --plan {{net.plan}} --secret {{my.secret}} --in {{all.reply}} {decrypt}"))
}

#[test]
fn several_inputs_go_through_one_file() {
    let folder = Folder::new("several");
    let rows = [(ramp(30), "0"), (vec![0.5; 30], "1"), (ramp(30).into_iter().rev().collect(), "0")];
    folder.file("x.csv", &table(&rows));
    folder.file("x.npy", &array(&ramp(30)));
    let model = network("mlp30.onnx");
    let document = over_files(&folder, &model, "", "--in {x.npy} --in {x.csv} --count 2", "--exact-scores");
    assert_eq!(document["count"], 3, "{document}");
    let answers = document["answers"].as_array().expect("answers");
    near(&scores(&answers[0], "scores"), &MLP30, NOISE);
    near(&scores(&answers[1], "scores"), &MLP30, NOISE);
    let row = format!("{}:1", folder.path("x.csv").display());
    let third = folder.json(&format!("classify {model} {row}"));
    near(&scores(&answers[2], "scores"), &scores(&third, "plain_scores"), NOISE);
    let decrypt = "decrypt --plan {net.plan} --secret {my.secret}";
    let said = folder.says(&format!("{decrypt} --in {{all.reply}}"));
    let rows: Vec<&str> = said.lines().take(5).collect();
    assert!(rows[0].starts_with("input  class") && rows[0].ends_with("margin"), "{said}");
    assert!((0..3).all(|n| rows[n + 2].starts_with(&n.to_string())), "{said}");
    // All replies of both are counted.
    assert_eq!(std::fs::read_to_string(folder.path("my.secret.replies")).expect("a count").trim(), "6");
    // Each file may be given by itself, too, and a count that is not theirs is refused.
    let both = folder.json(&format!("{decrypt} --in {{all.reply}} --in {{all.reply}}"));
    assert_eq!(both["count"], 6);
    for count in [2, 4] {
        let said = folder.fails(1, &format!("{decrypt} --in {{all.reply}} --count {count}"));
        assert!(said.contains("--count"), "{said}");
    }
    // A file of several is cut off, or goes on with something else.
    let whole = std::fs::read(folder.path("all.enc")).expect("written");
    let infer =
        format!("infer {model} --plan {{net.plan}} --keys {{my.keys}} --in {{bad.enc}} --out {{bad.reply}}");
    for (bytes, word) in [
        (whole[..whole.len() - 9].to_vec(), "cut off"),
        ([&whole[..], b"more"].concat(), "goes on"),
        ([&whole[..], &whole[..20]].concat(), "cut off"),
    ] {
        folder.file("bad.enc", &bytes);
        let said = folder.fails(1, &infer);
        assert!(said.contains("bad.enc") && said.contains(word), "{said}");
        assert!(!folder.path("bad.reply").exists());
    }
}

#[test]
fn a_plan_for_batches_takes_several_inputs_in_one_request() {
    let folder = Folder::new("batches");
    folder.file("x.csv", &table(&[(ramp(30), "0"), (vec![0.5; 30], "1")]));
    let model = network("mlp30.onnx");
    let document = over_files(&folder, &model, "--representation cryptonets", "--in {x.csv}", "--count 2");
    let answers = document["answers"].as_array().expect("answers");
    assert_eq!(answers.len(), 2, "{document}");
    near(&scores(&answers[0], "scores"), &MLP30, 2e-2);
}

#[test]
fn bench_and_explain_take_networks_of_numbers() {
    let folder = Folder::new("bench");
    folder.file("x.npy", &array(&ramp(30)));
    let model = network("mlp30.onnx");
    let document = folder.json(&format!("bench {model} --runs 1 --in {{x.npy}}"));
    assert_eq!(document["runs"], 1);
    assert!(folder.json(&format!("bench {model} --runs 1"))["latency_ms"]["median"].is_f64());
    assert!(folder.json(&format!("explain {model}"))["layers"].is_array());
}
