//! What the tests share: ONNX files built node by node, an independent runtime, and numbers to fill them
//! with.

use prost::Message;
use tract_onnx::prelude::*;

use crate::onnx::proto::{self, attribute_type, data_type};

/// Numbers from -1 to 1 that look random and are the same every time.
pub fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Exact in f32, which is what files hold.
        f64::from((state >> 44) as u32) / f64::from(1u32 << 19) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// An ONNX file in the making: a chain of nodes from `x`, each node's output called as said.
#[derive(Clone)]
pub struct File {
    pub model: proto::Model,
}

impl File {
    /// A file whose input `x` has a symbolic batch and then `dims`.
    pub fn new(dims: &[i64]) -> Self {
        let input = value("x", Some(dims));
        let graph = proto::Graph { name: "g".into(), input: vec![input], ..Default::default() };
        let opset = proto::OperatorSet { domain: String::new(), version: 17 };
        Self {
            model: proto::Model {
                ir_version: 8,
                graph: Some(graph),
                opset_import: vec![opset],
                ..Default::default()
            },
        }
    }

    pub fn graph(&mut self) -> &mut proto::Graph {
        self.model.graph.get_or_insert_default()
    }

    /// Adds a node; its name is its output's.
    pub fn node(
        mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<proto::Attribute>,
    ) -> Self {
        self.graph().node.push(proto::Node {
            input: inputs.iter().map(|i| i.to_string()).collect(),
            output: vec![output.into()],
            name: output.into(),
            op_type: operator.into(),
            attribute: attributes,
            domain: String::new(),
        });
        self
    }

    /// Adds an initialiser of floats, stored as raw bytes.
    pub fn floats(mut self, name: &str, dims: &[i64], values: &[f64]) -> Self {
        self.graph().initializer.push(floats(name, dims, values));
        self
    }

    /// Adds an initialiser of pseudo-random floats.
    pub fn random(self, name: &str, dims: &[i64], scale: f64) -> Self {
        let count = dims.iter().product::<i64>() as usize;
        let seed = name.bytes().fold(count as u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let values: Vec<f64> = numbers(seed, count).iter().map(|v| v * scale).collect();
        self.floats(name, dims, &values)
    }

    /// Adds an initialiser of int64.
    pub fn integers(mut self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        self.graph().initializer.push(proto::Tensor {
            dims: dims.to_vec(),
            data_type: data_type::INT64,
            int64_data: values.to_vec(),
            name: name.into(),
            ..Default::default()
        });
        self
    }

    /// Adds a metadata entry.
    pub fn entry(mut self, key: &str, value: &str) -> Self {
        self.model.metadata_props.push(proto::Entry { key: key.into(), value: value.into() });
        self
    }

    /// Names the output.
    pub fn output(mut self, name: &str) -> Self {
        self.graph().output = vec![value(name, None)];
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }
}

/// A float tensor, its values as raw bytes.
pub fn floats(name: &str, dims: &[i64], values: &[f64]) -> proto::Tensor {
    proto::Tensor {
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        raw_data: Some(values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect()),
        name: name.into(),
        ..Default::default()
    }
}

/// A float value; its dimensions, after a symbolic batch, are declared where given.
pub fn value(name: &str, dims: Option<&[i64]>) -> proto::ValueInfo {
    let batch = proto::Dimension { dim_value: None, dim_param: Some("batch".into()) };
    let fixed = |&d: &i64| proto::Dimension { dim_value: Some(d), dim_param: None };
    let shape = dims.map(|dims| proto::TensorShape {
        dim: std::iter::once(batch).chain(dims.iter().map(fixed)).collect(),
    });
    let tensor_type = Some(proto::TensorType { elem_type: data_type::FLOAT, shape });
    proto::ValueInfo { name: name.into(), r#type: Some(proto::Type { tensor_type }) }
}

fn attribute(name: &str, kind: i32) -> proto::Attribute {
    proto::Attribute { name: name.into(), r#type: kind, ..Default::default() }
}

pub fn int(name: &str, i: i64) -> proto::Attribute {
    proto::Attribute { i, ..attribute(name, attribute_type::INT) }
}

pub fn ints(name: &str, ints: &[i64]) -> proto::Attribute {
    proto::Attribute { ints: ints.to_vec(), ..attribute(name, attribute_type::INTS) }
}

pub fn float(name: &str, f: f32) -> proto::Attribute {
    proto::Attribute { f, ..attribute(name, attribute_type::FLOAT) }
}

pub fn string(name: &str, s: &str) -> proto::Attribute {
    proto::Attribute { s: s.into(), ..attribute(name, attribute_type::STRING) }
}

pub fn tensor(name: &str, t: proto::Tensor) -> proto::Attribute {
    proto::Attribute { t: Some(t), ..attribute(name, attribute_type::TENSOR) }
}

/// The independent runtime: tract, on the same bytes.
pub fn tract(bytes: &[u8], dims: &[usize], input: &[f64]) -> Vec<f64> {
    TractModel::new(bytes, dims).run(input)
}

/// A model prepared in tract for inputs of one shape.
pub struct TractModel {
    runnable: Arc<TypedRunnableModel>,
    dims: Vec<usize>,
}

impl TractModel {
    pub fn new(bytes: &[u8], dims: &[usize]) -> Self {
        let dims: Vec<usize> = std::iter::once(1).chain(dims.iter().copied()).collect();
        let model = tract_onnx::onnx()
            .model_for_read(&mut std::io::Cursor::new(bytes))
            .expect("tract reads the file");
        let model = model.with_input_fact(0, f32::fact(&dims).into()).expect("the input fits");
        // Not optimised: tract 0.23 moves a slice with steps through a convolution wrongly.
        let runnable = model.into_typed().and_then(|m| m.into_runnable()).expect("tract runs the file");
        Self { runnable, dims }
    }

    pub fn run(&self, input: &[f64]) -> Vec<f64> {
        let values: Vec<f32> = input.iter().map(|&v| v as f32).collect();
        let tensor = Tensor::from_shape(&self.dims, &values).expect("the input fits");
        let outputs = self.runnable.run(tvec!(tensor.into())).expect("tract runs");
        let output = outputs[0].cast_to::<f32>().expect("floats");
        output.to_plain_array_view::<f32>().expect("an array").iter().map(|&v| v.into()).collect()
    }
}

/// Fails unless both are equal within `tolerance` of the largest magnitude.
#[track_caller]
pub fn assert_close(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "lengths");
    let scale = expected.iter().fold(1e-300, |m: f64, v| m.max(v.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * scale, "value {i}: {a}, expected {e} (largest {scale})");
    }
}
