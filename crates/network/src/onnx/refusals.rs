//! What is refused: each with an error that names the cause and the figures.

use proptest::prelude::*;

use super::proto;
use crate::testing::{File, float, floats, int, ints, numbers, string, tensor, value};
use crate::{Model, limits};

/// Asserts that a file is refused with a message that has all of `words`.
#[track_caller]
fn refused(file: &File, words: &[&str]) {
    refused_bytes(&file.bytes(), words);
}

#[track_caller]
fn refused_bytes(bytes: &[u8], words: &[&str]) {
    let message = Model::from_bytes("bad", bytes).expect_err("should be refused").to_string();
    for word in words {
        assert!(message.contains(word), "expected {word:?} in: {message}");
    }
}

/// A valid network with one of most things.
fn valid() -> File {
    let file = File::new(&[2, 6, 6]).random("w", &[3, 2, 3, 3], 0.5).random("b", &[3], 0.5);
    let file =
        file.node("Conv", &["x", "w", "b"], "c", vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])]);
    let file = file.floats("p", &[3, 1, 1], &[0.5, 0.6, 0.7]).node("Mul", &["c", "c"], "s", vec![]);
    let file = file.node("Mul", &["p", "s"], "t", vec![]).node("Add", &["t", "c"], "a", vec![]);
    let file = file.node("AveragePool", &["a"], "m", vec![ints("kernel_shape", &[2, 2])]);
    let file = file.node("Flatten", &["m"], "f", vec![int("axis", 1)]).random("v", &[4, 12], 0.5).random(
        "d",
        &[4],
        0.5,
    );
    let file = file.node("Gemm", &["f", "v", "d"], "y", vec![int("transB", 1)]).output("y");
    file.entry("blindsight.mean", "0.1,0.2").entry("blindsight.ranges", r#"{"c":{"max":1,"rms":0.5}}"#)
}

#[test]
fn operators_outside_the_list() {
    for operator in super::SUPPORTED {
        let mut file = File::new(&[3]).node(operator, &[], "y", vec![]).output("y");
        if let Some((domain, name)) = operator.split_once("::") {
            file.graph().node[0].domain = domain.into();
            file.graph().node[0].op_type = name.into();
        }
        let error = Model::from_bytes("listed", &file.bytes()).unwrap_err();
        assert!(!matches!(error, crate::Error::Operator { .. }), "{operator}: {error}");
    }
    let file = File::new(&[3]).node("Det", &["x"], "act1", vec![]).output("act1");
    refused(&file, &["Det", "act1", "not supported", "Conv", "Gemm", "AveragePool"]);
    let mut file = File::new(&[3]).node("Mul", &["x", "x"], "act1", vec![]).output("act1");
    file.graph().node[0].domain = "com.example".into();
    refused(&file, &["com.example::Mul", "act1"]);
}

/// A graph with one can be run in the clear, and be fitted; a plan cannot be made of it.
#[test]
fn activations_that_are_no_polynomials_are_refused_by_fusion() {
    let file = File::new(&[3]).node("Relu", &["x"], "act1", vec![]).output("act1");
    let model = Model::from_bytes("relu", &file.bytes()).expect("it can be read");
    assert_eq!(model.graph.infer(&[-1.0, 0.0, 2.0]).expect("and run"), [0.0, 0.0, 2.0]);
    let message = model.fused().expect_err("but not fused").to_string();
    for word in ["Relu", "act1", "not supported", "quadratic"] {
        assert!(message.contains(word), "expected {word:?} in: {message}");
    }
}

#[test]
fn missing_tensors() {
    let file = File::new(&[1, 5, 5]).node("Conv", &["x", "weight"], "conv1", vec![]).output("conv1");
    refused(&file, &["conv1", "\"weight\"", "no initialiser"]);
    refused(&File::new(&[4]).node("Mul", &["x", "x"], "y", vec![]).output("z"), &["\"z\"", "no initialiser"]);
    refused(
        &File::new(&[4]).node("Mul", &["x"], "y", vec![]).output("y"),
        &["Mul", "input number 2", "1 inputs"],
    );
}

#[test]
fn shapes_that_do_not_fit() {
    let convolution = |weights: &[i64], attributes| {
        let file = File::new(&[3, 8, 8]).random("w", weights, 1.0);
        file.node("Conv", &["x", "w"], "conv1", attributes).output("conv1")
    };
    refused(&convolution(&[4, 2, 3, 3], vec![]), &["conv1", "3 input channels", "1 groups of 2"]);
    refused(&convolution(&[4, 3, 9, 3], vec![]), &["conv1", "height", "9", "8"]);
    refused(&convolution(&[4, 3, 3], vec![]), &["rank 4", "[4, 3, 3]"]);
    refused(&convolution(&[4, 3, 3, 3], vec![ints("kernel_shape", &[3, 2])]), &["kernel_shape", "[3, 2]"]);
    refused(&convolution(&[4, 3, 3, 3], vec![ints("strides", &[0, 1])]), &["stride of at least 1", "0"]);
    refused(&convolution(&[4, 3, 3, 3], vec![ints("pads", &[1, -1, 0, 0])]), &["pads", "-1"]);
    refused(&convolution(&[4, 3, 3, 3], vec![ints("strides", &[2])]), &["strides", "2 sizes"]);
    refused(&convolution(&[4, 1, 3, 3], vec![int("group", 3)]), &["output channels", "3 groups", "4"]);
    refused(&convolution(&[4, 3, 3, 3], vec![string("auto_pad", "SAME")]), &["auto_pad", "SAME"]);
    refused(&convolution(&[4, 3, 3, 3], vec![float("scale", 1.0)]), &["scale"]);
    let gemm =
        File::new(&[6]).random("w", &[5, 4], 1.0).node("Gemm", &["x", "w"], "fc1", vec![]).output("fc1");
    refused(&gemm, &["fc1", "6 inputs", "[5, 4]"]);
    let bias = File::new(&[6]).random("w", &[6, 4], 1.0).random("b", &[3], 1.0);
    refused(&bias.node("Gemm", &["x", "w", "b"], "fc1", vec![]).output("fc1"), &["4 values", "[3]"]);
    let image = File::new(&[1, 2, 3]).random("w", &[6, 4], 1.0);
    refused(&image.node("Gemm", &["x", "w"], "fc1", vec![]).output("fc1"), &["flattened", "1x2x3"]);
    let columns =
        File::new(&[3, 4, 5]).random("k", &[2], 1.0).node("Mul", &["x", "k"], "y", vec![]).output("y");
    refused(&columns, &["3 channels", "each element", "[2]"]);
    let pads = vec![ints("kernel_shape", &[2, 2]), ints("pads", &[2, 0, 0, 0])];
    refused(
        &File::new(&[1, 4, 4]).node("AveragePool", &["x"], "p", pads).output("p"),
        &["padding", "2x2", "top 2"],
    );
    let mut declared = valid();
    declared.graph().output = vec![value("y", Some(&[5]))];
    refused(&declared, &["output \"y\"", "[1, 4]", "[?, 5]"]);
}

#[test]
fn graphs_that_do_not_fit_together() {
    let branch = File::new(&[3]).random("w", &[3, 4], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
    let sum = branch.clone().node("Add", &["a", "x"], "y", vec![]).output("y");
    refused(&sum, &["\"y\"", "one shape", "[1, 4]", "[1, 3]", "projection"]);
    let product = branch.clone().node("Mul", &["a", "x"], "y", vec![]).output("y");
    refused(&product, &["\"y\"", "one shape", "[1, 4]", "[1, 3]"]);
    let image = File::new(&[2, 4, 4]).random("w", &[3, 2, 2, 2], 1.0).node("Conv", &["x", "w"], "a", vec![]);
    let concat = image.node("Concat", &["a", "x"], "y", vec![int("axis", 1)]).output("y");
    refused(&concat, &["\"y\"", "[3, 3, 3]", "[2, 4, 4]", "axis 1"]);
    let circle = branch.node("Sub", &["z", "a"], "y", vec![]).node("Neg", &["y"], "z", vec![]).output("z");
    refused(&circle, &["\"y\"", "\"z\"", "made later", "circle"]);
    let mut outputs = valid();
    outputs.graph().output.push(value("c", None));
    refused(&outputs, &["outputs of the network", "\"y\", \"c\"", "one image to its scores"]);
    let mut two = valid();
    two.graph().input.push(value("x2", Some(&[3])));
    refused(&two, &["inputs of the network", "expected 1", "2 (\"x\", \"x2\")"]);
    let mut none = valid();
    none.graph().output.clear();
    refused(&none, &["outputs of the network", "0"]);
    let twice = File::new(&[3])
        .node("Mul", &["x", "x"], "y", vec![])
        .node("Mul", &["x", "x"], "y", vec![])
        .output("y");
    refused(&twice, &["\"y\"", "two"]);
    let twice = File::new(&[3]).random("w", &[3], 1.0).random("w", &[3], 1.0);
    refused(&twice.node("Mul", &["x", "w"], "y", vec![]).output("y"), &["two initialisers", "\"w\""]);
    let constant = File::new(&[3]).random("w", &[3], 1.0).node("Mul", &["w", "w"], "y", vec![]).output("y");
    refused(&constant, &["(the output)", "\"y\""]);
}

#[test]
fn activations_that_are_no_polynomials() {
    let power =
        File::new(&[3]).floats("e", &[], &[0.5]).node("Pow", &["x", "e"], "root", vec![]).output("root");
    refused(&power, &["root", "exponent", "0.5"]);
    refused(&File::new(&[3]).node("Div", &["x", "x"], "y", vec![]).output("y"), &["constant divisor"]);
    let zero = File::new(&[3]).floats("e", &[], &[0.0]).node("Div", &["x", "e"], "y", vec![]).output("y");
    refused(&zero, &["finite", "inf"]);
}

#[test]
fn weights_that_are_not_finite() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut values = numbers(1, 12);
        values[7] = bad;
        let file = File::new(&[4]).floats("w", &[4, 3], &values).node("MatMul", &["x", "w"], "y", vec![]);
        refused(&file.output("y"), &["\"w\"", "value 7", &bad.to_string(), "finite"]);
    }
}

#[test]
fn tensors_whose_data_do_not_fit() {
    let with = |change: &dyn Fn(&mut proto::Tensor)| {
        let mut w = floats("w", &[4, 3], &numbers(1, 12));
        change(&mut w);
        let mut file = File::new(&[4]).node("MatMul", &["x", "w"], "y", vec![]).output("y");
        file.graph().initializer.push(w);
        file
    };
    refused(&with(&|w| w.raw_data = Some(vec![0; 47])), &["bytes", "\"w\"", "48", "47"]);
    refused(&with(&|w| w.raw_data = None), &["values", "\"w\"", "12", "0"]);
    refused(&with(&|w| w.data_type = 10), &["bytes of tensor \"w\"", "24", "48"]);
    refused(&with(&|w| w.data_type = 17), &["\"w\"", "float", "type 17"]);
    refused(&with(&|w| w.data_location = 1), &["\"w\"", "external"]);
    refused(&with(&|w| w.dims = vec![4, -3]), &["\"w\"", "-3"]);
    refused(&with(&|w| w.dims = vec![1 << 40, 1 << 40]), &["\"w\"", "limit"]);
}

#[test]
fn absurd_dimensions() {
    refused(
        &File::new(&[1 << 20, 1 << 20, 1]).node("Mul", &["x", "x"], "y", vec![]).output("y"),
        &["height", "65536"],
    );
    refused(&File::new(&[1 << 40]).node("Mul", &["x", "x"], "y", vec![]).output("y"), &["elements", "limit"]);
    refused(&File::new(&[3, 0, 4]).node("Mul", &["x", "x"], "y", vec![]).output("y"), &["height", "0"]);
    let padded = |pads: &[i64]| {
        let file = File::new(&[1, 8, 8]).random("w", &[64, 1, 3, 3], 1.0);
        file.node("Conv", &["x", "w"], "conv1", vec![ints("pads", pads)]).output("conv1")
    };
    refused(&padded(&[60_000, 0, 60_000, 0]), &["height of conv1", "120006"]);
    refused(&padded(&[i64::MAX; 4]), &["padding of conv1", "65536"]);
    // One initialiser, used by many layers: each would be a copy.
    let mut file = File::new(&[1000]).floats("w", &[1000, 1000], &[0.0; 1_000_000]);
    let mut last = "x".to_string();
    for i in 0..100 {
        let name = format!("m{i}");
        file = file.node("MatMul", &[&last, "w"], &name, vec![]);
        last = name;
    }
    refused(&file.output(&last), &["weights and coefficients", "file's size"]);
}

#[test]
fn batches_and_operator_sets() {
    let mut batch = valid();
    let dims = |file: &mut File| {
        file.graph().input[0]
            .r#type
            .as_mut()
            .unwrap()
            .tensor_type
            .as_mut()
            .unwrap()
            .shape
            .as_mut()
            .unwrap()
            .dim
            .clone()
    };
    let mut fixed = dims(&mut batch);
    fixed[0] = proto::Dimension { dim_value: Some(64), dim_param: None };
    batch.graph().input[0]
        .r#type
        .as_mut()
        .unwrap()
        .tensor_type
        .as_mut()
        .unwrap()
        .shape
        .as_mut()
        .unwrap()
        .dim = fixed;
    refused(&batch, &["batch 1 or symbolic", "[64, 2, 6, 6]"]);
    let mut old = valid();
    old.model.opset_import[0].version = 6;
    refused(&old, &["operator set", "7", "6"]);
    let mut none = valid();
    none.model.opset_import.clear();
    refused(&none, &["operator set", "none"]);
    let training = File::new(&[3]).node("Dropout", &["x", "", "t"], "d", vec![]).output("d");
    refused(&training, &["Dropout", "training"]);
    let examined = Model::examine_bytes("training", &training.bytes()).expect("a model");
    assert!(examined.problems[0].remedy.contains("model.eval()"), "{:?}", examined.problems);
    let empty =
        File::new(&[3]).node("Constant", &[], "k", vec![]).node("Mul", &["x", "k"], "y", vec![]).output("y");
    refused(&empty, &["Constant", "value"]);
    let text = vec![tensor("value", proto::Tensor { data_type: 8, ..floats("", &[], &[1.0]) })];
    let file =
        File::new(&[3]).node("Constant", &[], "k", text).node("Mul", &["x", "k"], "y", vec![]).output("y");
    refused(&file, &["\"k\"", "type 8"]);
}

#[test]
fn metadata_of_the_wrong_form() {
    for (key, value, expected) in [
        ("mean", "0.1", "2 finite numbers"),
        ("mean", "0.1,NaN", "2 finite numbers"),
        ("std", "1,0", "2 positive numbers"),
        ("labels", "a,b,c", "4 labels"),
        ("accuracy", "99.1", "from 0 to 1"),
        ("input_range", "1,0", "least value before"),
        ("input_range", "1", "2 finite numbers"),
        ("score_bound", "-1", "positive"),
        ("ranges", "{", "JSON"),
        ("usual_input", "1,2", "72 finite numbers"),
        ("error_ratio", "0", "from 0.01 to 100"),
        ("features", "age,height", "72 names"),
        ("samples", "a cat", "JSON"),
        ("samples", r#"[{"name":"a cat","values":[1,2]}]"#, "72 values each"),
        ("ranges", r#"{"c":{"max":-1,"rms":0}}"#, "negative"),
    ] {
        let mut file = valid();
        file.model.metadata_props.clear();
        let key = format!("blindsight.{key}");
        refused(&file.entry(&key, value), &[&key, &format!("{value:?}"), expected]);
    }
}

#[test]
fn ranges_that_name_nothing() {
    let mut file = valid();
    file.model.metadata_props.clear();
    let range = r#"{"c":{"max":1,"rms":0.5},"no-such-node":{"max":1,"rms":0.5}}"#;
    refused(
        &file.entry("blindsight.ranges", range),
        &["blindsight.ranges", "no-such-node", "names of the graph's nodes"],
    );
}

#[test]
fn bytes_that_are_no_model() {
    refused_bytes(b"", &["not a readable ONNX model"]);
    refused_bytes(b"GIF89a, not a model at all", &["not a readable ONNX model"]);
    let bytes = valid().bytes();
    for length in 1..bytes.len() {
        assert!(Model::from_bytes("cut", &bytes[..length]).is_err() || same_graph(&bytes, &bytes[..length]));
    }
}

/// A file cut between its top-level fields may lose nothing but metadata.
fn same_graph(whole: &[u8], cut: &[u8]) -> bool {
    Model::from_bytes("whole", whole).unwrap().graph == Model::from_bytes("cut", cut).unwrap().graph
}

#[test]
fn files_of_countless_fields() {
    // A graph of empty nodes: two bytes each here, far more in memory.
    let nodes = [0x0a, 0x00].repeat(limits::MODEL_FIELDS);
    let mut bytes = vec![0x3a];
    prost::encoding::encode_varint(nodes.len() as u64, &mut bytes);
    bytes.extend(nodes);
    refused_bytes(&bytes, &["fields", &limits::MODEL_FIELDS.to_string()]);
}

#[test]
fn file_above_the_limit_is_not_read() {
    let path = std::env::temp_dir().join(format!("blindsight-network-{}.onnx", std::process::id()));
    std::fs::File::create(&path).unwrap().set_len(limits::MODEL_BYTES + 1).unwrap();
    let message = Model::load(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(message.contains("536870913") && message.contains("536870912"), "{message}");
    assert!(Model::load(&path).unwrap_err().to_string().contains("cannot read"));
}

/// Loads and examines bytes and, where that works, runs what came of them, as far as it is no great work.
fn survive(bytes: &[u8]) {
    let (read, examined) = (Model::from_bytes("fuzz", bytes), Model::examine_bytes("fuzz", bytes));
    let Ok(model) = read else {
        assert!(examined.is_err() || examined.is_ok_and(|e| !e.problems.is_empty() && e.model.is_none()));
        return;
    };
    let examined = examined.unwrap();
    assert_eq!(examined.model.as_ref(), Some(&model));
    assert_eq!(examined.problems.is_empty(), model.fused().is_ok());
    if model.graph.multiplications().unwrap() < 1 << 20 {
        let input = vec![0.5; model.graph.input.elements()];
        model.graph.infer(&input).unwrap();
        if let Ok(fused) = model.fused() {
            fused.infer(&input).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        survive(&bytes);
    }

    #[test]
    fn damaged_files_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = valid().bytes();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survive(&bytes);
    }

    #[test]
    fn absurd_attributes_do_no_harm(
        operator in prop::sample::select(vec!["Conv", "AveragePool"]),
        strides in prop::array::uniform2(small_or_any()), dilations in prop::array::uniform2(small_or_any()),
        pads in prop::array::uniform4(small_or_any()), kernel in prop::array::uniform2(small_or_any()),
        group in small_or_any(), rule in prop::sample::select(vec!["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
    ) {
        let attributes = vec![ints("strides", &strides), ints("dilations", &dilations), ints("pads", &pads), string("auto_pad", rule)];
        let file = File::new(&[2, 6, 6]).random("w", &[2, 1, 3, 2], 1.0);
        let file = if operator == "Conv" {
            file.node("Conv", &["x", "w"], "y", [attributes, vec![int("group", group)]].concat())
        } else {
            file.node("AveragePool", &["x"], "y", [attributes, vec![ints("kernel_shape", &kernel)]].concat())
        };
        survive(&file.output("y").bytes());
    }
}

fn small_or_any() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0i64..4, 1 => any::<i64>(), 1 => 0i64..70_000]
}

#[test]
fn valid_file_is_valid() {
    let model = Model::from_bytes("valid", &valid().bytes()).unwrap();
    assert_eq!(model.metadata.mean, [0.1, 0.2]);
    assert_eq!(model.metadata.std, [1.0, 1.0]);
    assert_eq!(model.metadata.labels, ["0", "1", "2", "3"]);
    assert_eq!(model.metadata.input_range, (-0.2, 0.9));
    assert_eq!(model.metadata.ranges["c"].rms, 0.5);
    let names: Vec<_> = model.graph.nodes.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["c", "a", "m", "f", "y"]);
}

#[test]
fn layers_of_too_many_elements() {
    let pool = |name, from: &str, to: &str, file: File| {
        file.node("AveragePool", &[from], to, vec![ints("kernel_shape", &[2, 2]), string(name, "SAME_UPPER")])
    };
    refused(
        &pool("auto_pad", "x", "y", File::new(&[1, 60_000, 60_000])).output("y"),
        &["elements", "3600000000", "limit"],
    );
}

#[test]
fn aliases_take_no_memory() {
    // One value for each of many channels, then thousands of names for the same tensor.
    let mut file = File::new(&[60_000]).random("k", &[60_000], 1.0).node("Mul", &["x", "k"], "n0", vec![]);
    for i in 0..20_000 {
        file = file.node("Identity", &[&format!("n{i}")], &format!("n{}", i + 1), vec![]);
    }
    let model = Model::from_bytes("aliases", &file.output("n20000").bytes()).unwrap();
    assert_eq!(model.graph.nodes.len(), 1);
}

/// A model whose weights lie in a file beside it, as said by these entries.
fn beside(entries: &[(&str, &str)], data: Option<&[u8]>) -> Result<Model, crate::Error> {
    let name = entries.iter().map(|(k, v)| format!("{k}{v}")).collect::<String>();
    let seed = name.bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    let folder = std::env::temp_dir().join(format!("blindsight-beside-{seed}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut file = File::new(&[4]).node("MatMul", &["x", "w"], "y", vec![]).output("y");
    let mut w = floats("w", &[4, 3], &[]);
    (w.raw_data, w.data_location) = (None, 1);
    let entry = |(key, value): &(&str, &str)| proto::Entry { key: key.to_string(), value: value.to_string() };
    w.external_data = entries.iter().map(entry).collect();
    file.graph().initializer.push(w);
    let path = folder.join("net.onnx");
    std::fs::write(&path, file.bytes()).unwrap();
    if let Some(data) = data {
        std::fs::write(folder.join("net.data"), data).unwrap();
    }
    let model = Model::load(&path);
    std::fs::remove_dir_all(&folder).unwrap();
    model
}

#[test]
fn weights_beside_the_model() {
    let bytes: Vec<u8> = [0; 8].into_iter().chain((0..12).flat_map(|i| (i as f32).to_le_bytes())).collect();
    let place = [("location", "net.data"), ("offset", "8"), ("length", "48")];
    let model = beside(&place, Some(&bytes)).unwrap();
    assert_eq!(model.graph.infer(&[1.0, 0.0, 0.0, 1.0]).unwrap(), [9.0, 11.0, 13.0]);
    let mut other = bytes.clone();
    other[8] = 1;
    assert_ne!(beside(&place, Some(&other)).unwrap().digest, model.digest, "the digest covers the weights");
    for (entries, words) in [
        (&[("location", "../net.data")][..], &["\"w\"", "folder"][..]),
        (&[("location", "/etc/hostname")], &["\"w\"", "folder"]),
        (&[("location", "a/net.data")], &["\"w\"", "folder"]),
        (&[("location", "a\\net.data")], &["\"w\"", "folder"]),
        (&[("location", "..")], &["\"w\"", "folder"]),
        (&[("location", "")], &["\"w\"", "folder"]),
        (&[("offset", "8")], &["\"w\"", "none"]),
        (&[("location", "missing")], &["cannot read", "missing"]),
        (&[("location", "net.data"), ("offset", "-1")], &["\"w\"", "-1"]),
        (&[("location", "net.data"), ("offset", "57")], &["\"w\"", "56 bytes"]),
        (&[("location", "net.data"), ("length", "57")], &["\"w\"", "56 bytes"]),
        (&[("location", "net.data"), ("offset", "12")], &["bytes", "48", "44"]),
    ] {
        let message = beside(entries, Some(&bytes)).unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "expected {word:?} in: {message}");
        }
    }
}

#[test]
fn pools_of_absurd_windows_are_not_fused() {
    let pool = vec![ints("kernel_shape", &[500, 500]), ints("pads", &[100, 100, 100, 100])];
    let file = File::new(&[1, 500, 500]).node("AveragePool", &["x"], "y", pool).output("y");
    let model = Model::from_bytes("pool", &file.bytes()).unwrap();
    let refused = model.fused().unwrap_err().to_string();
    assert!(refused.contains("windows") && refused.contains("limit"), "{refused}");
}
