//! Random graphs against an independent runtime: branches, sums, products, polynomials, activations and names
//! for the same value.

use proptest::prelude::*;

use crate::Model;
use crate::fusion::tests::promised;
use crate::testing::{File, int, ints, numbers, tract};

/// The highest degree in the input that a value may have.
const MOST_DEGREE: usize = 8;

/// A value of a file in the making.
#[derive(Clone)]
struct Value {
    name: String,
    dims: [i64; 3],
    degree: usize,
}

/// A file in the making, and a source of choices.
struct Builder {
    file: File,
    values: Vec<Value>,
    choices: std::vec::IntoIter<u32>,
    names: usize,
    /// Whether activations that are no polynomials may be among the nodes.
    activations: bool,
}

impl Builder {
    fn new(dims: [i64; 3], choices: Vec<u32>) -> Self {
        let values = vec![Value { name: "x".into(), dims, degree: 1 }];
        let file = File::new(&dims).floats("zero", &[1], &[0.0]).floats("one", &[1], &[1.0]);
        let file = file.integers("unit", &[], &[1]).floats("half", &[], &[0.5]);
        Self { file, values, choices: choices.into_iter(), names: 0, activations: false }
    }

    /// A number less than `count`.
    fn choose(&mut self, count: usize) -> usize {
        self.choices.next().unwrap_or(0) as usize % count
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    /// One of the last values.
    fn value(&mut self) -> Value {
        let back = self.choose(self.values.len().min(4));
        self.values[self.values.len() - 1 - back].clone()
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<super::proto::Attribute>) -> String {
        let name = self.name();
        self.file = self.file.clone().node(operator, inputs, &name, attributes);
        name
    }

    fn weights(&mut self, dims: &[i64], scale: f64) -> String {
        let name = self.name();
        self.file = self.file.clone().random(&name, dims, scale);
        name
    }

    fn push(&mut self, name: String, dims: [i64; 3], degree: usize) {
        self.values.push(Value { name, dims, degree });
    }

    /// Adds a node or a few.
    fn step(&mut self) {
        let x = self.value();
        match self.choose(if self.activations { 16 } else { 12 }) {
            0 | 1 => self.convolution(&x),
            2 => self.pool(&x),
            3 | 4 => self.sum(&x),
            5 => self.concatenation(&x),
            6 => self.product(&x),
            7 => self.gate(&x),
            8 | 9 => self.polynomial(&x),
            10 => self.alias(&x),
            11 => self.moved(&x),
            12 => self.max_pool(&x),
            _ => self.activation(&x),
        }
    }

    /// An operator, or a spelling of one; what comes out is bounded, or grows as its argument does.
    fn activation(&mut self, x: &Value) {
        let n = x.name.as_str();
        let operators =
            ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Elu", "Softplus", "Abs", "Erf"];
        let form = self.choose(operators.len() + 4);
        let name = match form.checked_sub(operators.len()) {
            None => self.node(operators[form], &[n], vec![]),
            Some(0) => {
                let sigmoid = self.node("Sigmoid", &[n], vec![]);
                self.node("Mul", &[n, &sigmoid], vec![])
            }
            Some(1) => self.node("Clip", &[n, "zero", "one"], vec![]),
            Some(2) => {
                let slopes = self.weights(&[x.dims[0], 1, 1], 0.5);
                self.node("PRelu", &[n, &slopes], vec![])
            }
            _ => {
                let name = self.name();
                self.file = self.file.clone().floats(&name, &[], &[std::f64::consts::SQRT_2]);
                let scaled = self.node("Div", &[n, &name], vec![]);
                let erf = self.node("Erf", &[&scaled], vec![]);
                let sum = self.node("Add", &[&erf, "one"], vec![]);
                let half = self.node("Mul", &[n, "half"], vec![]);
                self.node("Mul", &[&half, &sum], vec![])
            }
        };
        self.push(name, x.dims, x.degree);
    }

    fn max_pool(&mut self, x: &Value) {
        let [c, h, w] = x.dims;
        if h < 2 || w < 2 {
            return;
        }
        let pad = self.choose(2) as i64;
        let attributes = vec![ints("kernel_shape", &[2, 2]), ints("pads", &[pad, 0, 0, 0])];
        let name = self.node("MaxPool", &[&x.name], attributes);
        self.push(name, [c, h + pad - 1, w - 1], x.degree);
    }

    fn convolution(&mut self, x: &Value) {
        let [c, h, w] = x.dims;
        let group = [1, c][self.choose(2)];
        let outputs = group * (1 + self.choose(if group == 1 { 4 } else { 2 }) as i64);
        let side = 1 + self.choose(3) as i64;
        let (stride, pad) = (1 + self.choose(2) as i64, self.choose(2) as i64);
        if h + 2 * pad < side || w + 2 * pad < side {
            return;
        }
        let taps = c / group * side * side;
        let (weights, bias) = (
            self.weights(&[outputs, c / group, side, side], 1.0 / (taps as f64).sqrt()),
            self.weights(&[outputs], 0.5),
        );
        let attributes = vec![int("group", group), ints("strides", &[stride; 2]), ints("pads", &[pad; 4])];
        let name = self.node("Conv", &[&x.name, &weights, &bias], attributes);
        let along = |extent: i64| (extent + 2 * pad - side) / stride + 1;
        self.push(name, [outputs, along(h), along(w)], x.degree);
    }

    fn pool(&mut self, x: &Value) {
        let [c, h, w] = x.dims;
        if h < 2 || w < 2 {
            return;
        }
        let attributes = vec![
            ints("kernel_shape", &[2, 2]),
            ints("strides", &[1 + self.choose(2) as i64; 2]),
            ints("pads", &[self.choose(2) as i64, 0, 0, 0]),
            int("count_include_pad", self.choose(2) as i64),
        ];
        let (stride, pad) = (attributes[1].ints[0], attributes[2].ints[0]);
        let name = self.node("AveragePool", &[&x.name], attributes);
        self.push(name, [c, (h + pad - 2) / stride + 1, (w - 2) / stride + 1], x.degree);
    }

    /// Another value for which something holds.
    fn other(&mut self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let fitting: Vec<Value> = self.values.iter().filter(|v| fits(v)).cloned().collect();
        if fitting.is_empty() {
            return None;
        }
        let index = self.choose(fitting.len());
        Some(fitting[index].clone())
    }

    fn sum(&mut self, x: &Value) {
        let Some(y) = self.other(|v| v.dims == x.dims) else { return };
        let operator = ["Add", "Sub", "Sum"][self.choose(3)];
        let name = self.node(operator, &[&x.name, &y.name], vec![]);
        self.push(name, x.dims, x.degree.max(y.degree));
    }

    fn concatenation(&mut self, x: &Value) {
        let Some(y) = self.other(|v| v.dims[1..] == x.dims[1..]) else { return };
        let name = self.node("Concat", &[&x.name, &y.name], vec![int("axis", 1)]);
        self.push(name, [x.dims[0] + y.dims[0], x.dims[1], x.dims[2]], x.degree.max(y.degree));
    }

    fn product(&mut self, x: &Value) {
        let Some(y) = self.other(|v| v.dims == x.dims && v.degree + x.degree <= MOST_DEGREE) else { return };
        let name = self.node("Mul", &[&x.name, &y.name], vec![]);
        self.push(name, x.dims, x.degree + y.degree);
    }

    /// Each channel times a number made of the means of all.
    fn gate(&mut self, x: &Value) {
        if 2 * x.degree > MOST_DEGREE {
            return;
        }
        let c = x.dims[0];
        let mean = self.node("GlobalAveragePool", &[&x.name], vec![]);
        let weights = self.weights(&[c, c, 1, 1], 0.7);
        let gate = self.node("Conv", &[&mean, &weights], vec![]);
        let name = self.node("Mul", &[&gate, &x.name], vec![]);
        self.push(name, x.dims, 2 * x.degree);
    }

    fn polynomial(&mut self, x: &Value) {
        let form = self.choose(5);
        let degree = [2, 2, 3, 4, 2][form];
        if degree * x.degree > MOST_DEGREE {
            return;
        }
        let coefficient = |b: &mut Self| match b.choose(3) {
            0 => "half".to_string(),
            1 => "one".to_string(),
            _ => b.weights(&[x.dims[0], 1, 1], 0.6),
        };
        let n = x.name.as_str();
        let name = match form {
            0 => self.node("Mul", &[n, n], vec![]),
            // (a x + b) x + c, and with one more factor.
            1 | 2 => {
                let mut sum = n.to_string();
                for _ in 1..degree {
                    let (a, b) = (coefficient(self), coefficient(self));
                    let scaled = self.node("Mul", &[&a, &sum], vec![]);
                    let shifted = self.node("Add", &[&scaled, &b], vec![]);
                    sum = self.node("Mul", &[n, &shifted], vec![]);
                }
                let c = coefficient(self);
                self.node("Add", &[&sum, &c], vec![])
            }
            3 => {
                let square = self.node("Mul", &[n, n], vec![]);
                self.node("Mul", &[&square, &square], vec![])
            }
            // a x^2 with a that may be zero, plus x.
            _ => {
                let a = self.name();
                let values: Vec<f64> = (0..x.dims[0]).map(|i| if i % 2 == 0 { 0.0 } else { 0.5 }).collect();
                self.file = self.file.clone().floats(&a, &[x.dims[0], 1, 1], &values);
                let square = self.node("Mul", &[n, n], vec![]);
                let scaled = self.node("Mul", &[&a, &square], vec![]);
                self.node("Add", &[&scaled, n], vec![])
            }
        };
        self.push(name, x.dims, degree * x.degree);
    }

    /// The same value under another name.
    fn alias(&mut self, x: &Value) {
        let name = match self.choose(5) {
            0 => self.node("Identity", &[&x.name], vec![]),
            1 => self.node("Dropout", &[&x.name], vec![]),
            2 => self.node("Add", &["zero", &x.name], vec![]),
            3 => self.node("Mul", &[&x.name, "one"], vec![]),
            _ => self.node("Pow", &[&x.name, "one"], vec![]),
        };
        self.push(name, x.dims, x.degree);
    }

    /// Elements elsewhere: slices with a step, padding, transposition.
    fn moved(&mut self, x: &Value) {
        let [c, h, w] = x.dims;
        match self.choose(3) {
            0 => {
                let [starts, ends, axes, steps] = [1i64, 100, 3, 2].map(|v| {
                    let name = self.name();
                    self.file = self.file.clone().integers(&name, &[1], &[v]);
                    name
                });
                if w > 1 {
                    let name = self.node("Slice", &[&x.name, &starts, &ends, &axes, &steps], vec![]);
                    self.push(name, [c, h, w / 2], x.degree);
                }
            }
            1 => {
                let pads = self.name();
                self.file = self.file.clone().integers(&pads, &[8], &[0, 1, 0, 1, 0, 0, 1, 0]);
                let name = self.node("Pad", &[&x.name, &pads], vec![]);
                self.push(name, [c + 1, h + 1, w + 1], x.degree);
            }
            _ => {
                let name = self.node("Transpose", &[&x.name], vec![ints("perm", &[0, 1, 3, 2])]);
                self.push(name, [c, w, h], x.degree);
            }
        }
    }

    /// Scores that read the last values.
    fn finish(mut self) -> File {
        let last: Vec<Value> = self.values.iter().rev().take(3).cloned().collect();
        let mut scores: Vec<String> = vec![];
        for value in last {
            let elements: i64 = value.dims.iter().product();
            let flat = self.node("Flatten", &[&value.name], vec![int("axis", 1)]);
            let weights = self.weights(&[elements, 3], 1.0 / (elements as f64).sqrt());
            scores.push(self.node("MatMul", &[&flat, &weights], vec![]));
        }
        let mut sum = scores[0].clone();
        for score in &scores[1..] {
            sum = self.node("Add", &[&sum, score], vec![]);
        }
        self.file.output(&sum)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_agree(
        channels in 1i64..4, height in 3i64..7, width in 3i64..7, steps in 1usize..14,
        choices in prop::collection::vec(any::<u32>(), 120),
    ) {
        let mut builder = Builder::new([channels, height, width], choices);
        (0..steps).for_each(|_| builder.step());
        let mut file = builder.finish();
        let bytes = file.bytes();
        let nodes: Vec<_> =
            file.graph().node.iter().map(|n| (n.op_type.clone(), n.input.clone(), n.output.clone())).collect();
        let model = Model::from_bytes("random", &bytes).unwrap_or_else(|e| panic!("{e}"));
        let dims = [channels, height, width].map(|d| d as usize);
        let input = numbers(7, dims.iter().product());
        let scores = model.graph.infer(&input).unwrap();
        let fused = model.fused().unwrap_or_else(|e| panic!("{e}"));
        // What cancels is as exact as what it is made of.
        let largest = |values: &[f64]| values.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        let scale = model.graph.trace(&input).unwrap().iter().fold(1.0, |m, values| largest(values).max(m));
        for (other, tolerance) in [(fused.infer(&input).unwrap(), 1e-9), (tract(&bytes, &dims, &input), 1e-4)] {
            for (score, other) in scores.iter().zip(&other) {
                prop_assert!((score - other).abs() <= tolerance * scale, "{} instead of {} within {}: {:?}", other, score, tolerance, nodes);
            }
            prop_assert_eq!(scores.len(), other.len());
        }
        let written = model.graph.to_onnx(&model.metadata).unwrap_or_else(|e| panic!("{e}"));
        let again = Model::from_bytes("random", &written).unwrap_or_else(|e| panic!("{e}: {nodes:?}"));
        prop_assert_eq!(&again.metadata, &model.metadata);
        let written_scores = [again.graph.infer(&input).unwrap(), tract(&written, &dims, &input)];
        for (others, tolerance) in written_scores.iter().zip([1e-5, 1e-4]) {
            for (score, other) in scores.iter().zip(others) {
                prop_assert!((score - other).abs() <= tolerance * scale, "{} written, {} within {}: {:?}", score, other, tolerance, nodes);
            }
            prop_assert_eq!(scores.len(), others.len());
        }
        promised(&fused)?;
    }

    /// In the clear alone: no ciphertext can compute them.
    #[test]
    fn random_graphs_with_activations_agree(
        channels in 1i64..4, height in 3i64..7, width in 3i64..7, steps in 1usize..14,
        choices in prop::collection::vec(any::<u32>(), 120),
    ) {
        let mut builder = Builder::new([channels, height, width], choices);
        builder.activations = true;
        (0..steps).for_each(|_| builder.step());
        let bytes = builder.finish().bytes();
        let model = Model::from_bytes("random", &bytes).unwrap_or_else(|e| panic!("{e}"));
        let dims = [channels, height, width].map(|d| d as usize);
        let input: Vec<f64> = numbers(7, dims.iter().product()).iter().map(|v| 3.0 * v).collect();
        let scores = model.graph.infer(&input).unwrap();
        let largest = |values: &[f64]| values.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        let scale = model.graph.trace(&input).unwrap().iter().fold(1.0, |m, values| largest(values).max(m));
        // tract's softplus and others overflow beyond, in 32 bits.
        prop_assume!(scale < 80.0);
        let theirs = tract(&bytes, &dims, &input);
        prop_assert_eq!(scores.len(), theirs.len());
        for (score, other) in scores.iter().zip(&theirs) {
            // Spelled-out activations may differ from the known ones by a few of their file's digits.
            prop_assert!((score - other).abs() <= 5e-4 * scale, "{other} instead of {score} of {scale}");
        }
    }
}
