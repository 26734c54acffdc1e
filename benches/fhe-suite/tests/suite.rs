//! The seven processes, one after the other, as the harness starts them: drawn digits in, their labels out.

use blindsight_data::decode_image;
use blindsight_network::Model;
use blindsight_planner::{Options, Packing, plan};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The executables.
const PROCESSES: [(&str, &str); 7] = [
    ("client_key_generation", env!("CARGO_BIN_EXE_client_key_generation")),
    ("server_preprocess_model", env!("CARGO_BIN_EXE_server_preprocess_model")),
    ("client_preprocess_input", env!("CARGO_BIN_EXE_client_preprocess_input")),
    ("client_encode_encrypt_input", env!("CARGO_BIN_EXE_client_encode_encrypt_input")),
    ("server_encrypted_compute", env!("CARGO_BIN_EXE_server_encrypted_compute")),
    ("client_decrypt_decode", env!("CARGO_BIN_EXE_client_decrypt_decode")),
    ("client_postprocess", env!("CARGO_BIN_EXE_client_postprocess")),
];
/// The smallest shipped model.
const MODEL: &str = "lola-small-mnist";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A suite's root with Blindsight installed as its submission; removed when the test ends.
struct Suite(PathBuf);

impl Suite {
    fn new(name: &str) -> Self {
        let suite =
            Self(std::env::temp_dir().join(format!("blindsight-suite-{name}-{}", std::process::id())));
        fs::create_dir_all(suite.build()).expect("the temporary folder can be written");
        for (process, executable) in PROCESSES {
            fs::copy(executable, suite.build().join(process)).expect("executables can be copied");
        }
        suite.place("single", Packing::default());
        suite
    }

    fn build(&self) -> PathBuf {
        self.0.join("submissions/mnist/build")
    }

    /// Installs a model and a plan.
    fn place(&self, kind: &str, packing: Packing) {
        let (onnx, folder) = (repository().join(format!("models/{MODEL}.onnx")), self.build().join(kind));
        let model = Model::load(&onnx).expect("a shipped model");
        let plan = plan(&model, &Options { packing, ..Options::default() }).expect("a plan");
        fs::create_dir_all(&folder).expect("writable");
        fs::copy(&onnx, folder.join("model.onnx")).expect("writable");
        fs::write(folder.join("model.plan"), plan.write()).expect("writable");
    }

    /// Puts inputs where the harness does.
    fn inputs(&self, instance: &str, lines: &[String]) {
        let folder = self.0.join("datasets").join(instance).join("intermediate");
        fs::create_dir_all(&folder).expect("writable");
        fs::write(folder.join("test_pixels.txt"), lines.join("\n")).expect("writable");
    }

    fn start(&self, process: &str, arguments: &[&str]) -> Output {
        let executable = self.build().join(process);
        Command::new(executable).args(arguments).current_dir(&self.0).output().expect("it runs")
    }

    fn run(&self, process: &str, arguments: &[&str]) {
        let output = self.start(process, arguments);
        assert!(output.status.success(), "{process}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What a process that must fail says.
    fn fails(&self, process: &str, arguments: &[&str]) -> String {
        let output = self.start(process, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{process}: {said}");
        assert!(said.starts_with("error: ") && !said.contains("panicked"), "{process}: {said}");
        said
    }

    fn file(&self, instance: &str, name: &str) -> PathBuf {
        self.0.join("io").join(instance).join(name)
    }

    fn predictions(&self, instance: &str) -> String {
        fs::read_to_string(self.file(instance, "encrypted_model_predictions.txt")).expect("predictions")
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The harness's line for a drawn digit: shares of 255, or normalised.
fn line(digit: usize, normalised: bool) -> String {
    let path = repository().join(format!("samples/digit-{digit}.png"));
    let shape = blindsight_network::Shape::new(1, 28, 28);
    let (image, _) = decode_image("digit", &fs::read(path).expect("a sample"), shape).expect("a digit");
    let value = |&pixel: &u8| {
        let share = f32::from(pixel) / 255.0;
        format!("{:.6}", if normalised { (share - 0.1307) / 0.3081 } else { share })
    };
    image.pixels().iter().map(value).collect::<Vec<_>>().join(" ")
}

#[test]
fn one_image_goes_through_all_processes() {
    let suite = Suite::new("single");
    for (digit, normalised) in [(4, false), (7, true)] {
        suite.inputs("single", &[line(digit, normalised)]);
        // The harness starts this one without a size.
        for (process, _) in PROCESSES {
            suite.run(process, if process == "server_preprocess_model" { &[] } else { &["0"] });
        }
        assert_eq!(suite.predictions("single").trim(), digit.to_string());
    }
    let steps = fs::read_to_string(suite.file("single", "server_reported_steps.json")).expect("steps");
    let steps: serde_json::Value = serde_json::from_str(&steps).expect("JSON");
    assert!(steps.as_object().is_some_and(|of| of.len() >= 3 && of.values().all(|s| s.is_f64())), "{steps}");
}

#[test]
fn several_images_go_one_by_one_or_in_a_batch() {
    let suite = Suite::new("several");
    suite.place("batch", Packing::Batch);
    let digits = [3, 1, 4, 1, 5, 9, 2, 6];
    let lines: Vec<String> = digits.iter().map(|&digit| line(digit, digit % 2 == 0)).collect();
    let expected: String = digits.iter().map(|digit| format!("{digit}\n")).collect();
    for (instance, size) in [("small", "1"), ("medium", "2")] {
        suite.inputs(instance, &lines);
        for (process, _) in PROCESSES {
            suite.run(process, &[size]);
        }
        assert_eq!(suite.predictions(instance), expected, "{instance}");
    }
    let requests =
        |instance| fs::metadata(suite.file(instance, "ciphertexts_upload/requests")).expect("there").len();
    assert!(requests("medium") > requests("small"), "a batch is one request with room for thousands");
    // A reply that is missing, or one too many.
    let replies = suite.file("small", "ciphertexts_download/replies");
    let whole = fs::read(&replies).expect("replies");
    for (bytes, word) in [
        (whole[..whole.len() / 8 * 7].to_vec(), "no replies to the last 1 images"),
        ([&whole[..], &whole[..whole.len() / 8]].concat(), "more replies"),
    ] {
        fs::write(&replies, bytes).expect("writable");
        let said = suite.fails("client_decrypt_decode", &["1"]);
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let suite = Suite::new("wrong");
    for arguments in [&["4"][..], &["single"], &["0", "1"], &[]] {
        let said = suite.fails("client_key_generation", arguments);
        assert!(said.contains("expected one, the instance size from 0"), "{said}");
    }
    for (process, word) in [
        ("client_preprocess_input", "test_pixels.txt"),
        ("client_encode_encrypt_input", "secret.key"),
        ("server_encrypted_compute", "evaluation.keys"),
    ] {
        let said = suite.fails(process, &["0"]);
        assert!(said.contains(word), "{process}: {said}");
    }
    suite.inputs("single", &["0.1 0.2".into()]);
    let said = suite.fails("client_preprocess_input", &["0"]);
    assert!(said.contains("test_pixels.txt: line 1: 2 values, expected 784"), "{said}");
    // Requests under an earlier key.
    suite.inputs("single", &[line(4, false)]);
    for process in [
        "client_key_generation",
        "client_preprocess_input",
        "client_encode_encrypt_input",
        "client_key_generation",
    ] {
        suite.run(process, &["0"]);
    }
    let said = suite.fails("server_encrypted_compute", &["0"]);
    assert!(said.contains("ciphertexts_upload/requests: ") && said.contains("belongs to key"), "{said}");
    fs::remove_dir_all(suite.build().join("single")).expect("writable");
    assert!(suite.fails("client_key_generation", &["0"]).contains("benches/fhe-suite/install"));
}

/// The server's sources know the client's crate neither by name nor by what only a client has.
#[test]
fn the_server_holds_no_secret() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in ["server.rs", "bin/server_preprocess_model.rs", "bin/server_encrypted_compute.rs"] {
        let text = fs::read_to_string(source.join(file)).expect("a source file");
        for word in ["blindsight_client", "secret_key", "SecretKey", "Client::", "pixels()", "client::"] {
            assert!(!text.contains(word), "{file} names {word}");
        }
    }
}
