//! The same over files, as separate processes; and what each does with files that are not what they should
//! be.

mod common;

use common::{Colour, Folder, black_png, digit};
use std::fs;

const KINDS: [&str; 5] = ["net.plan", "my.secret", "my.keys", "digit.enc", "digit.reply"];

/// Runs the whole flow for a drawn digit in a new folder.
fn flow(name: &str, n: usize) -> Folder {
    let folder = Folder::new(name);
    folder.says("plan cryptonets-mnist --out {net.plan}");
    folder.says("keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}");
    folder.says(&format!(
        "encrypt --plan {{net.plan}} --secret {{my.secret}} --in {} --out {{digit.enc}}",
        digit(n)
    ));
    folder.says(INFER);
    folder
}

const INFER: &str =
    "infer cryptonets-mnist --plan {net.plan} --keys {my.keys} --in {digit.enc} --out {digit.reply}";
const DECRYPT: &str = "decrypt --plan {net.plan} --secret {my.secret} --in {digit.reply}";

/// The command that reads a file of the flow first.
fn reader(file: &str) -> String {
    let encrypt =
        format!("encrypt --plan {{net.plan}} --secret {{my.secret}} --in {} --out {{again.enc}}", digit(0));
    match file {
        "net.plan" | "my.secret" => encrypt,
        "my.keys" | "digit.enc" => INFER.into(),
        _ => DECRYPT.into(),
    }
}

#[test]
fn five_processes_give_what_one_gives() {
    let folder = flow("flow", 3);
    let over_files = folder.json(DECRYPT);
    let at_once = folder.json(&format!("classify cryptonets-mnist {}", digit(3)));
    assert_eq!(over_files["label"], "3");
    assert_eq!(over_files["label"], at_once["label"]);
    let scores = |document: &serde_json::Value| -> Vec<f64> {
        document["scores"].as_array().expect("scores").iter().map(|s| s.as_f64().expect("a number")).collect()
    };
    for (a, b) in scores(&over_files).iter().zip(scores(&at_once)) {
        assert!((a - b).abs() < 0.05, "{over_files} {at_once}");
    }
    let size = |name: &str| fs::metadata(folder.path(name)).expect("written").len();
    assert_eq!(at_once["upload_bytes"].as_u64(), Some(size("digit.enc")));
    assert_eq!(at_once["download_bytes"].as_u64(), Some(size("digit.reply")));
    assert_eq!(at_once["evaluation_key_bytes"].as_u64(), Some(size("my.keys")));
    let names: Vec<String> = fs::read_dir(folder.path(""))
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.ends_with(".part")), "{names:?}");
}

#[test]
#[cfg(unix)]
fn the_secret_is_private_never_overwritten_and_never_printed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("secret");
    folder.says("plan cryptonets-mnist --out {net.plan}");
    let said = folder.says("keygen --plan {net.plan} --secret {my.secret} --keys {my.keys} --json");
    let path = folder.path("my.secret");
    let mode = fs::metadata(&path).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = fs::read(&path).expect("readable");
    // The payload after the header, in the forms it could be printed in.
    let middle = &secret[100..108];
    let hex: String = middle.iter().map(|b| format!("{b:02x}")).collect();
    let list = middle.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    assert!(!said.contains(&hex) && !said.replace([' ', '\n'], "").contains(&list), "{said}");
    let refused = folder.fails(1, "keygen --plan {net.plan} --secret {my.secret} --keys {other.keys}");
    assert!(refused.contains("never overwritten"), "{refused}");
    assert_eq!(fs::read(&path).expect("readable"), secret);
    folder.fails(1, "keygen --plan {net.plan} --secret {same} --keys {same}");
}

#[test]
fn damaged_files_are_refused_with_the_reason() {
    let folder = flow("damaged", 5);
    for name in KINDS {
        let whole = fs::read(folder.path(name)).expect("written");
        let refused = |bytes: &[u8], reason: &str| {
            folder.file(name, bytes);
            let said = folder.fails(1, &reader(name));
            assert!(said.contains(reason), "{name}: {said}");
        };
        refused(&[], "cut off");
        refused(&whole[..40], "cut off");
        refused(&whole[..whole.len() - 1], "cut off");
        refused(&[whole.as_slice(), b"x"].concat(), "goes on");
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            bytes
        };
        refused(&flipped(0), "not a Blindsight file");
        refused(&flipped(8), "version");
        refused(&flipped(10), "kind");
        refused(&flipped(whole.len() / 2), "damaged");
        refused(&flipped(whole.len() - 1), "damaged");
        refused(&flipped(64), "bytes");
        folder.file(name, &whole);
    }
    assert!(folder.says(DECRYPT).contains("label: 5"));
}

#[test]
fn files_of_another_kind_are_refused_by_name() {
    let folder = flow("kinds", 2);
    for name in KINDS {
        let whole = fs::read(folder.path(name)).expect("written");
        let other = if name == "my.keys" { "digit.enc" } else { "my.keys" };
        fs::copy(folder.path(other), folder.path(name)).expect("copied");
        let said = folder.fails(1, &reader(name));
        assert!(said.contains("the file holds"), "{name}: {said}");
        folder.file(name, &whole);
    }
}

#[test]
fn files_of_another_plan_are_refused() {
    let folder = flow("plans", 1);
    folder.says("plan cryptonets-mnist --objective operations --out {net.plan}");
    let same = folder.json("plan cryptonets-mnist --out {again.plan}")["digest"].clone();
    let other =
        folder.json("plan cryptonets-mnist --objective operations --out {again.plan}")["digest"].clone();
    if same == other {
        println!("the objectives lead to the same plan: its files fit");
        return;
    }
    for command in [reader("my.secret"), INFER.into(), DECRYPT.into()] {
        let said = folder.fails(1, &command);
        assert!(said.contains("belongs to plan"), "{said}");
    }
}

#[test]
fn a_plan_of_another_model_is_refused() {
    let folder = flow("models", 6);
    let shipped = include_bytes!("../../../models/cryptonets-mnist.onnx");
    // The same network from another producer (field 2 of the file): another file, another digest.
    folder.file("other.onnx", &[shipped.as_slice(), b"\x12\x05other"].concat());
    let said = folder.fails(1, &INFER.replace("cryptonets-mnist", "{other.onnx}"));
    assert!(said.contains("digest"), "{said}");
}

#[test]
fn keys_of_another_client_give_an_error_and_no_label() {
    let folder = flow("clients", 8);
    folder.says("keygen --plan {net.plan} --secret {other.secret} --keys {other.keys}");
    let said = folder.fails(1, &INFER.replace("my.keys", "other.keys"));
    assert!(said.contains("belongs to key"), "{said}");
    let said = folder.fails(1, &DECRYPT.replace("my.secret", "other.secret"));
    assert!(said.contains("belongs to key"), "{said}");
}

#[test]
fn what_is_no_image_is_refused() {
    let folder = Folder::new("images");
    folder.file("text.png", b"no picture");
    folder.file("cut.png", &black_png(28, 28, Colour::Grey)[..60]);
    for (name, reason) in
        [("text.png", "expected an image (PNG"), ("cut.png", "a whole image"), ("none.png", "none.png")]
    {
        let said = folder.fails(1, &format!("classify cryptonets-mnist {{{name}}}"));
        assert!(said.contains(reason), "{name}: {said}");
    }
    folder.file("black.png", &black_png(28, 28, Colour::Grey));
    folder.says("classify cryptonets-mnist {black.png}");
}

#[test]
fn models_that_are_none_are_refused() {
    let folder = Folder::new("onnx");
    folder.file("garbage.onnx", b"this is no protobuf \xff\xff\xff\xff");
    folder.file("empty.onnx", b"");
    folder.file("relu.onnx", &network_with("Relu"));
    for (name, reason) in
        [("garbage.onnx", "garbage.onnx"), ("empty.onnx", "empty.onnx"), ("relu.onnx", "Relu")]
    {
        for command in ["explain", "bench"] {
            let said = folder.fails(1, &format!("{command} {{{name}}}"));
            assert!(said.contains(reason), "{name}: {said}");
        }
    }
}

/// An ONNX file of one node over a 1x1x2x2 input, written field by field.
fn network_with(operator: &str) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, bytes.len() as u8];
        out.extend(bytes);
        out
    }
    let dimension = |n: u8| field(1, &[1 << 3, n]);
    let shape: Vec<u8> = [1, 1, 2, 2].into_iter().flat_map(dimension).collect();
    let tensor_type = [vec![1 << 3, 1], field(2, &shape)].concat();
    let value = |name: &str| [field(1, name.as_bytes()), field(2, &field(1, &tensor_type))].concat();
    let node = [field(1, b"x"), field(2, b"y"), field(3, b"n"), field(4, operator.as_bytes())].concat();
    let graph = [field(1, &node), field(2, b"g"), field(11, &value("x")), field(12, &value("y"))].concat();
    let opset = [field(1, b""), vec![2 << 3, 13]].concat();
    [vec![1 << 3, 8], field(7, &graph), field(8, &opset)].concat()
}
