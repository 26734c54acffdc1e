//! Forms that exporters write: numbers for each element, 16-bit floats, quantised weights, channels that come
//! last, scalers and linear models.

use crate::onnx::proto::{self, attribute_type, data_type};
use crate::testing::{File, assert_close, int, ints, numbers, string, tract};
use crate::{Activation, FinalActivation, Model, Operator, Shape};

fn read(file: &File) -> Model {
    Model::from_bytes("test", &file.bytes()).unwrap_or_else(|e| panic!("{e}"))
}

/// The model of a file, whose scores, fused and not, must be tract's.
#[track_caller]
fn agrees(file: &File, dims: &[usize]) -> Model {
    let model = read(file);
    let input = numbers(9, dims.iter().product());
    let scores = model.graph.infer(&input).unwrap();
    assert_close(&scores, &tract(&file.bytes(), dims, &input), 1e-5);
    assert_close(&model.fused().unwrap().infer(&input).unwrap(), &scores, 1e-9);
    model
}

#[test]
fn numbers_for_each_element() {
    for operator in ["Add", "Sub", "Mul", "Div"] {
        for dims in [vec![2, 3, 4], vec![1, 2, 3, 4], vec![3, 4], vec![4], vec![3, 1], vec![2, 1, 4]] {
            for inputs in [["x", "k"], ["k", "x"]] {
                if operator == "Div" && inputs[0] == "k" {
                    continue;
                }
                let values: Vec<f64> =
                    numbers(3, dims.iter().product::<i64>() as usize).iter().map(|v| v + 1.5).collect();
                let file = File::new(&[2, 3, 4]).floats("k", &dims, &values);
                agrees(&file.node(operator, &inputs, "y", vec![]).output("y"), &[2, 3, 4]);
            }
        }
    }
}

/// A mean image, subtracted before a padded convolution, takes no level of its own.
#[test]
fn a_mean_image() {
    let file = File::new(&[1, 5, 5]).random("mean", &[1, 5, 5], 1.0).node("Sub", &["x", "mean"], "m", vec![]);
    let file = file.random("w", &[2, 1, 3, 3], 1.0);
    let model =
        agrees(&file.node("Conv", &["m", "w"], "y", vec![ints("pads", &[1; 4])]).output("y"), &[1, 5, 5]);
    assert_eq!(model.fused().unwrap().nodes.len(), 1);
}

fn with_tensor(mut file: File, tensor: proto::Tensor) -> File {
    file.graph().initializer.push(tensor);
    file
}

#[test]
fn floats_of_16_bits() {
    // 1, -2, 0.5 and the smallest normal number.
    let bits: [u16; 4] = [0x3c00, 0xc000, 0x3800, 0x0400];
    let raw = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
    let tensor = proto::Tensor {
        name: "w".into(),
        dims: vec![4, 1],
        data_type: data_type::FLOAT16,
        raw_data: Some(raw),
        ..Default::default()
    };
    let listed = proto::Tensor {
        raw_data: None,
        int32_data: bits.iter().map(|b| i32::from(*b)).collect(),
        ..tensor.clone()
    };
    for tensor in [tensor, listed] {
        let file = with_tensor(File::new(&[4]), tensor).node("MatMul", &["x", "w"], "y", vec![]);
        let Operator::Dense(layer) = &read(&file.output("y")).graph.nodes[0].operator else { panic!() };
        assert_eq!(layer.weights, [1.0, -2.0, 0.5, f64::powi(2.0, -14)]);
    }
    let brain = proto::Tensor {
        name: "w".into(),
        dims: vec![2, 1],
        data_type: data_type::BFLOAT16,
        raw_data: Some([0x3f80u16, 0xc040].iter().flat_map(|b| b.to_le_bytes()).collect()),
        ..Default::default()
    };
    let file = with_tensor(File::new(&[2]), brain).node("MatMul", &["x", "w"], "y", vec![]).output("y");
    assert_eq!(read(&file).graph.infer(&[1.0, 1.0]).unwrap(), [-2.0]);
}

fn bytes(name: &str, dims: &[i64], values: &[i8]) -> proto::Tensor {
    proto::Tensor {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: data_type::INT8,
        raw_data: Some(values.iter().map(|v| *v as u8).collect()),
        ..Default::default()
    }
}

#[test]
fn quantised_weights() {
    let values: [i8; 6] = [-128, -1, 0, 1, 50, 127];
    let file = with_tensor(File::new(&[2]), bytes("q", &[2, 3], &values));
    let file = file.floats("s", &[3], &[0.5, 0.25, 2.0]);
    let file = with_tensor(file, bytes("z", &[3], &[1, 0, -1]));
    let file = file.node("DequantizeLinear", &["q", "s", "z"], "w", vec![int("axis", 1)]);
    let model = read(&file.node("MatMul", &["x", "w"], "y", vec![]).output("y"));
    let expected = [(-128.0 - 1.0) * 0.5 + 0.0, (-1.0 + 50.0) * 0.25, (1.0 + 128.0) * 2.0];
    assert_eq!(model.graph.infer(&[1.0, 1.0]).unwrap(), expected);
    let file = with_tensor(File::new(&[2]), bytes("q", &[2, 1], &[4, -4])).floats("s", &[], &[0.25]);
    let file = file.node("DequantizeLinear", &["q", "s"], "w", vec![]);
    let model = read(&file.node("MatMul", &["x", "w"], "y", vec![]).output("y"));
    assert_eq!(model.graph.infer(&[1.0, 2.0]).unwrap(), [-1.0]);
}

/// Rounding is left out and said; what the least integer cuts off is not left out.
#[test]
fn quantised_activations() {
    let quantised = |zero: i8, first: &str| {
        let file = File::new(&[2]).floats("one", &[2, 2], &[1.0, 0.0, 0.0, 1.0]).floats("s", &[], &[0.5]);
        let file = with_tensor(file, bytes("z", &[], &[zero])).node("MatMul", &["x", "one"], "m", vec![]);
        let file = file.node(first, &["m"], "a", vec![]);
        let file = file.node("QuantizeLinear", &["a", "s", "z"], "q", vec![]);
        file.node("DequantizeLinear", &["q", "s", "z"], "d", vec![]).node(
            "MatMul",
            &["d", "one"],
            "y",
            vec![],
        )
    };
    let names = |model: &Model| model.graph.nodes.iter().map(|n| n.operator.name()).collect::<Vec<_>>();
    let model = read(&quantised(0, "Identity").output("y"));
    assert_eq!(names(&model), ["dense", "dense"]);
    assert_eq!(model.graph.infer(&[-0.3, 0.3]).unwrap(), [-0.3, 0.3]);
    assert!(model.remarks.iter().any(|remark| remark.contains("QuantizeLinear")), "{:?}", model.remarks);
    let model = read(&quantised(-128, "Identity").output("y"));
    assert_eq!(model.graph.nodes[1].operator, Operator::Activation(Activation::Relu));
    assert!(model.remarks.iter().any(|remark| remark.contains("Relu")), "{:?}", model.remarks);
    assert_eq!(names(&read(&quantised(-128, "Relu").output("y"))), ["dense", "Relu", "dense"]);
}

/// As TensorFlow's converter writes them: scaled, transposed, convolved, transposed back and flattened.
#[test]
fn channels_that_come_last() {
    for channels in [1usize, 3] {
        let c = channels as i64;
        let file = File::new(&[4, 5, c]).floats("k", &[], &[0.5]).node("Mul", &["x", "k"], "s", vec![]);
        let file = file.node("Transpose", &["s"], "t", vec![ints("perm", &[0, 3, 1, 2])]);
        let file = file.random("w", &[2, c, 3, 3], 1.0).node("Conv", &["t", "w"], "c", vec![]);
        let file = file.node("Transpose", &["c"], "u", vec![ints("perm", &[0, 2, 3, 1])]);
        let file = file.node("Flatten", &["u"], "f", vec![]).random("v", &[12, 3], 1.0);
        let file = file.node("MatMul", &["f", "v"], "y", vec![]).output("y");
        let model = read(&file);
        assert_eq!(model.graph.input, Shape::new(channels, 4, 5));
        assert_eq!(model.remarks.len(), 1, "{:?}", model.remarks);
        let (last, count) = (numbers(4, 20 * channels), channels);
        let first: Vec<f64> = (0..20 * count).map(|i| last[i % 20 * count + i / 20]).collect();
        let scores = model.graph.infer(&first).unwrap();
        assert_close(&scores, &tract(&file.bytes(), &[4, 5, channels], &last), 1e-5);
        let fused = model.fused().unwrap();
        assert_close(&fused.infer(&first).unwrap(), &scores, 1e-9);
        assert_eq!(fused.nodes.len(), 1);
    }
}

fn list(name: &str, values: &[f32]) -> proto::Attribute {
    let r#type = attribute_type::FLOATS;
    proto::Attribute { name: name.into(), floats: values.to_vec(), r#type, ..Default::default() }
}

fn classical(operator: &str, attributes: Vec<proto::Attribute>, outputs: &[&str]) -> File {
    let mut file = File::new(&[2]).node(operator, &["x"], outputs[0], attributes);
    file.graph().node[0].domain = "ai.onnx.ml".into();
    file.graph().node[0].output = outputs.iter().map(|o| o.to_string()).collect();
    let names = outputs.iter().map(|name| crate::testing::value(name, None));
    file.graph().output = names.collect();
    file
}

#[test]
fn scalers() {
    let file = classical("Scaler", vec![list("offset", &[1.0, 2.0]), list("scale", &[0.5, 4.0])], &["y"]);
    assert_eq!(read(&file).graph.infer(&[2.0, 3.0]).unwrap(), [0.5, 4.0]);
    let wrong = classical("Scaler", vec![list("offset", &[1.0, 2.0, 3.0])], &["y"]);
    let refused = Model::from_bytes("test", &wrong.bytes()).unwrap_err().to_string();
    assert!(refused.contains("offset of 1 or 2 numbers"), "{refused}");
}

#[test]
fn linear_models() {
    let labels = || ints("classlabels_ints", &[7, 8, 9]);
    let weights = || list("coefficients", &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let attributes =
        vec![labels(), weights(), list("intercepts", &[0.0, 0.5, -1.0]), string("post_transform", "SOFTMAX")];
    let model = read(&classical("LinearClassifier", attributes, &["label", "scores"]));
    assert_eq!(
        (model.output, &model.metadata.labels[..]),
        (FinalActivation::Softmax, &["7", "8", "9"].map(String::from)[..])
    );
    assert_eq!(model.graph.infer(&[2.0, 3.0]).unwrap(), [2.0, 3.5, 4.0]);
    // Two rows that are one with its sign turned.
    let attributes = vec![
        ints("classlabels_ints", &[0, 1]),
        list("coefficients", &[-1.0, 2.0, 1.0, -2.0]),
        list("intercepts", &[0.5, -0.5]),
        string("post_transform", "LOGISTIC"),
    ];
    let model = read(&classical("LinearClassifier", attributes, &["label", "scores"]));
    assert_eq!((model.output, model.metadata.labels.len()), (FinalActivation::Sigmoid, 2));
    assert_eq!(model.graph.infer(&[1.0, 1.0]).unwrap(), [-1.5]);
    let attributes = vec![list("coefficients", &[1.0, 2.0]), list("intercepts", &[3.0])];
    assert_eq!(
        read(&classical("LinearRegressor", attributes, &["y"])).graph.infer(&[1.0, 1.0]).unwrap(),
        [6.0]
    );
    let few = classical("LinearClassifier", vec![list("coefficients", &[1.0])], &["label", "scores"]);
    let refused = Model::from_bytes("test", &few.bytes()).unwrap_err().to_string();
    assert!(refused.contains("2 coefficients for each"), "{refused}");
}

/// Before operator set 11 a resize had its factors at another place, and rounded down.
#[test]
fn old_resizes() {
    let mut file = File::new(&[1, 1, 2]).floats("s", &[4], &[1.0, 1.0, 1.0, 2.0]);
    file = file.node("Resize", &["x", "s"], "y", vec![string("mode", "nearest")]).output("y");
    file.model.opset_import[0].version = 10;
    assert_eq!(read(&file).graph.infer(&[1.0, 2.0]).unwrap(), [1.0, 1.0, 2.0, 2.0]);
}
