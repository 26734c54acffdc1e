//! Every supported operator and form against tract, on the same bytes.

use super::proto;
use crate::testing::{File, assert_close, float, floats, int, ints, numbers, string, tensor, tract};
use crate::{Fused, FusedOperation, LinearMap, Model, Operator};

mod activations;
mod ends;
mod examination;
mod forms;

/// Runs a file here, folded and not, and in tract, and compares.
#[track_caller]
fn agrees(file: File, dims: &[usize]) -> Model {
    let bytes = file.bytes();
    let model = Model::from_bytes("test", &bytes).unwrap_or_else(|e| panic!("{e}"));
    let input = numbers(7, dims.iter().product());
    let expected = tract(&bytes, dims, &input);
    let scores = model.graph.infer(&input).unwrap();
    assert_close(&scores, &expected, 1e-5);
    let fused = model.fused().unwrap_or_else(|e| panic!("{e}"));
    assert_close(&fused.infer(&input).unwrap(), &scores, 1e-9);
    model
}

/// What the nodes of a fused network compute: linear ones are called as their first map.
fn operations(fused: &Fused) -> Vec<&'static str> {
    let name = |operation: &FusedOperation| match operation {
        FusedOperation::Linear { terms, .. } => match &terms[0].map {
            LinearMap::Convolution(_) => "convolution",
            LinearMap::Dense(_) => "dense",
            LinearMap::Sparse(_) => "sparse",
        },
        FusedOperation::Polynomial { polynomial, .. } if polynomial.is_square() => "square",
        FusedOperation::Polynomial { .. } => "polynomial",
        FusedOperation::Product(_) => "product",
    };
    fused.nodes.iter().map(|node| name(&node.operation)).collect()
}

fn convolution(dims: &[i64], weights: &[i64], attributes: Vec<proto::Attribute>) -> File {
    let file = File::new(dims).random("w", weights, 1.0).random("b", &weights[..1], 1.0);
    file.node("Conv", &["x", "w", "b"], "y", attributes).output("y")
}

#[test]
fn convolutions() {
    let forms: Vec<Vec<proto::Attribute>> = vec![
        vec![],
        vec![ints("kernel_shape", &[3, 2])],
        vec![ints("strides", &[2, 3])],
        vec![ints("pads", &[1, 0, 2, 3])],
        vec![ints("dilations", &[2, 3]), ints("pads", &[2, 1, 0, 4])],
        vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1]), ints("dilations", &[1, 2])],
        vec![string("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])],
        vec![string("auto_pad", "SAME_LOWER"), ints("strides", &[3, 1])],
        vec![string("auto_pad", "VALID")],
    ];
    for form in forms {
        agrees(convolution(&[3, 9, 10], &[4, 3, 3, 2], form), &[3, 9, 10]);
    }
}

#[test]
fn grouped_convolutions() {
    for (groups, outputs) in [(2, 6), (4, 4), (4, 8)] {
        let attributes = vec![int("group", groups), ints("pads", &[1, 1, 1, 1])];
        agrees(convolution(&[4, 7, 6], &[outputs, 4 / groups, 3, 3], attributes), &[4, 7, 6]);
    }
}

#[test]
fn convolution_without_bias() {
    let file = File::new(&[2, 5, 5]).random("w", &[3, 2, 3, 3], 1.0);
    agrees(file.node("Conv", &["x", "w"], "y", vec![]).output("y"), &[2, 5, 5]);
}

#[test]
fn average_pools() {
    let kernel = || ints("kernel_shape", &[3, 2]);
    let forms = [
        vec![kernel()],
        vec![kernel(), ints("strides", &[2, 2])],
        vec![kernel(), ints("pads", &[1, 1, 2, 0]), int("count_include_pad", 1)],
        vec![kernel(), ints("strides", &[2, 3]), int("ceil_mode", 0)],
    ];
    for form in forms {
        agrees(File::new(&[3, 9, 8]).node("AveragePool", &["x"], "y", form).output("y"), &[3, 9, 8]);
    }
    agrees(File::new(&[3, 4, 5]).node("GlobalAveragePool", &["x"], "y", vec![]).output("y"), &[3, 4, 5]);
}

#[test]
fn average_pools_of_uneven_windows() {
    let kernel = || vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])];
    let pool = |dims: &[i64], form| File::new(dims).node("AveragePool", &["x"], "pool", form).output("pool");
    agrees(pool(&[2, 5, 5], kernel()), &[2, 5, 5]);
    agrees(pool(&[2, 5, 5], [kernel(), vec![ints("strides", &[2, 2])]].concat()), &[2, 5, 5]);
    let ceil = || vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), int("ceil_mode", 1)];
    agrees(pool(&[2, 4, 6], ceil()), &[2, 4, 6]);
    // By hand: the last window holds one row of two.
    let model = Model::from_bytes("odd", &pool(&[1, 3, 2], ceil()).bytes()).unwrap();
    let scores = model.graph.infer(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    assert_eq!(scores, [2.5, 5.5]);
    assert_eq!(model.fused().unwrap().infer(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap(), [2.5, 5.5]);
    // By hand: a padded row and column count as zeros, what the last windows reach over does not.
    let counted = [ceil(), vec![int("count_include_pad", 1), ints("pads", &[1, 1, 0, 0])]].concat();
    assert_eq!(of_ramp(pool(&[1, 2, 2], counted)), [0.25, 1.0, 1.5, 4.0]);
}

fn normalised(file: File, channels: i64) -> File {
    let variances: Vec<f64> = numbers(3, channels as usize).iter().map(|v| v + 1.5).collect();
    let file = file.random("gain", &[channels], 2.0).random("offset", &[channels], 1.0);
    file.random("mean", &[channels], 1.0).floats("variance", &[channels], &variances)
}

#[test]
fn batch_normalization() {
    let inputs = ["x", "gain", "offset", "mean", "variance"];
    let file = normalised(File::new(&[3, 4, 4]), 3);
    agrees(
        file.node("BatchNormalization", &inputs, "y", vec![float("epsilon", 1e-3)]).output("y"),
        &[3, 4, 4],
    );
    let file = normalised(File::new(&[6]), 6);
    agrees(file.node("BatchNormalization", &inputs, "y", vec![]).output("y"), &[6]);
}

#[test]
fn gemm_forms() {
    for (transposed, dims) in [(0, [6, 4]), (1, [4, 6])] {
        for bias in [vec![], vec![4], vec![1, 4], vec![1]] {
            let attributes = vec![int("transB", transposed), float("alpha", 0.5), float("beta", -2.0)];
            let file = File::new(&[6]).random("w", &dims, 1.0).random("b", &bias, 1.0);
            let model = agrees(file.node("Gemm", &["x", "w", "b"], "y", attributes).output("y"), &[6]);
            assert_eq!(model.graph.nodes.len(), 1);
        }
    }
    let file = File::new(&[6]).random("w", &[6, 4], 1.0);
    agrees(file.node("Gemm", &["x", "w"], "y", vec![]).output("y"), &[6]);
}

#[test]
fn matrix_product_takes_the_sum_after_it_as_bias_once_fused() {
    let file = File::new(&[6]).random("w", &[6, 4], 1.0).random("b", &[4], 1.0);
    let file =
        file.node("MatMul", &["x", "w"], "m", vec![]).node("Add", &["b", "m"], "y", vec![]).output("y");
    let model = agrees(file, &[6]);
    assert_eq!(operations(&model.fused().unwrap()), ["dense"]);
}

#[test]
fn flattening() {
    let end =
        |file: File| file.random("w", &[60, 3], 1.0).node("MatMul", &["f", "w"], "y", vec![]).output("y");
    for axis in [1, -3] {
        agrees(end(File::new(&[3, 4, 5]).node("Flatten", &["x"], "f", vec![int("axis", axis)])), &[3, 4, 5]);
    }
    for shape in [[1, -1], [1, 60], [-1, 60], [0, -1], [0, 60]] {
        let file = File::new(&[3, 4, 5]).integers("shape", &[2], &shape);
        agrees(end(file.node("Reshape", &["x", "shape"], "f", vec![])), &[3, 4, 5]);
    }
    for shape in [[-1, -1], [2, 30], [60, 1], [1, 59]] {
        let file = File::new(&[3, 4, 5]).integers("shape", &[2], &shape);
        let file = end(file.node("Reshape", &["x", "shape"], "f", vec![]));
        let refused = Model::from_bytes("reshape", &file.bytes()).unwrap_err().to_string();
        assert!(refused.contains("Reshape") && refused.contains("[1, 60]"), "{refused}");
    }
}

/// A convolution `x`, then an activation from `c`, then a padded convolution of `y`.
fn activated(activation: impl Fn(File) -> File) -> File {
    let file = File::new(&[2, 6, 6]).random("w", &[3, 2, 3, 3], 0.5).random("b", &[3], 0.5);
    let file = activation(file.node("Conv", &["x", "w", "b"], "c", vec![]));
    let file = file.random("v", &[4, 3, 3, 3], 0.5).random("d", &[4], 0.5);
    file.node("Conv", &["y", "v", "d"], "z", vec![ints("pads", &[1, 1, 1, 1])]).output("z")
}

#[test]
fn squares() {
    let two = |value: f64| vec![tensor("value", floats("", &[], &[value]))];
    let spellings: [Box<dyn Fn(File) -> File>; 4] = [
        Box::new(|f| f.node("Mul", &["c", "c"], "y", vec![])),
        Box::new(|f| f.node("Constant", &[], "two", two(2.0)).node("Pow", &["c", "two"], "y", vec![])),
        Box::new(|f| f.integers("two", &[], &[2]).node("Pow", &["c", "two"], "y", vec![])),
        Box::new(|f| f.node("Identity", &["c"], "i", vec![]).node("Mul", &["c", "i"], "y", vec![])),
    ];
    for spelling in spellings {
        let model = agrees(activated(spelling), &[2, 6, 6]);
        assert_eq!(model.graph.nodes[1].operator, Operator::square(3));
        assert_eq!(operations(&model.fused().unwrap()), ["convolution", "square", "convolution"]);
    }
}

#[test]
fn quadratics() {
    let scalars =
        |f: File| f.floats("p", &[], &[0.3]).floats("q", &[1], &[-0.7]).floats("r", &[1, 1, 1], &[0.2]);
    let channels = |f: File| {
        let f = f.floats("p", &[3, 1, 1], &[0.3, -0.5, 1.0]).floats("q", &[1, 3, 1, 1], &[-0.7, 0.4, 0.0]);
        f.random("r", &[3, 1, 1], 1.0)
    };
    // p c c + q c + r; (p c + q) c + r, r + p c^2 + q c, -(c - q)^2 p / r, with a dropout in between.
    let spellings: [&dyn Fn(File) -> File; 4] = [
        &|f| {
            let f = f.node("Mul", &["c", "c"], "1", vec![]).node("Mul", &["p", "1"], "2", vec![]);
            let f = f.node("Mul", &["q", "c"], "3", vec![]).node("Add", &["2", "3"], "4", vec![]);
            f.node("Add", &["4", "r"], "y", vec![])
        },
        &|f| {
            let f = f.node("Mul", &["p", "c"], "1", vec![]).node("Add", &["1", "q"], "2", vec![]);
            f.node("Mul", &["2", "c"], "3", vec![]).node("Add", &["r", "3"], "y", vec![])
        },
        &|f| {
            let f = f.integers("two", &[], &[2]).node("Pow", &["c", "two"], "1", vec![]);
            let f = f.node("Mul", &["p", "1"], "2", vec![]).node("Add", &["r", "2"], "3", vec![]);
            let f = f.node("Mul", &["c", "q"], "4", vec![]).node("Dropout", &["4"], "5", vec![]);
            f.node("Add", &["3", "5"], "y", vec![])
        },
        &|f| {
            let f = f.node("Sub", &["c", "q"], "1", vec![]).node("Mul", &["1", "1"], "2", vec![]);
            let f = f.node("Mul", &["2", "p"], "3", vec![]).node("Neg", &["3"], "4", vec![]);
            f.node("Div", &["4", "r"], "y", vec![])
        },
    ];
    for coefficients in [&scalars as &dyn Fn(File) -> File, &channels] {
        for spelling in spellings {
            let model = agrees(activated(|f| spelling(coefficients(f))), &[2, 6, 6]);
            assert_eq!(model.graph.nodes[1].operator.name(), "quadratic");
            assert_eq!(operations(&model.fused().unwrap()), ["convolution", "square", "convolution"]);
        }
    }
}

#[test]
fn constants_in_every_storage() {
    let values = numbers(5, 12);
    let store = |change: &dyn Fn(&mut proto::Tensor)| {
        let mut w = floats("w", &[4, 3], &values);
        change(&mut w);
        let mut file = File::new(&[4]).node("MatMul", &["x", "w"], "y", vec![]).output("y");
        file.graph().initializer.push(w);
        file
    };
    let raw = store(&|_| {});
    let listed = store(&|w| {
        w.raw_data = None;
        w.float_data = values.iter().map(|&v| v as f32).collect();
    });
    assert_eq!(agrees(raw.clone(), &[4]).graph, agrees(listed, &[4]).graph);
    // Doubles beside a float input are no valid file for tract.
    let doubles = store(&|w| {
        w.data_type = proto::data_type::DOUBLE;
        w.raw_data = Some(values.iter().flat_map(|v| v.to_le_bytes()).collect());
    });
    let listed = store(&|w| {
        w.data_type = proto::data_type::DOUBLE;
        w.raw_data = None;
        w.double_data = values.clone();
    });
    let graph = Model::from_bytes("raw", &raw.bytes()).unwrap().graph;
    for file in [doubles, listed] {
        assert_eq!(Model::from_bytes("doubles", &file.bytes()).unwrap().graph, graph);
    }
}

#[test]
fn whole_networks() {
    let file = File::new(&[1, 12, 12]).random("w", &[4, 1, 5, 5], 0.3).node(
        "Conv",
        &["x", "w"],
        "c",
        vec![ints("pads", &[1, 1, 1, 1])],
    );
    let inputs = ["c", "gain", "offset", "mean", "variance"];
    let file = normalised(file, 4).node("BatchNormalization", &inputs, "n", vec![]);
    let file = file.node("Mul", &["n", "n"], "s", vec![]).node(
        "AveragePool",
        &["s"],
        "p",
        vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
    );
    let file = file.node("Flatten", &["p"], "f", vec![]).random("v", &[7, 100], 0.2).random("b", &[7], 0.2);
    let file = file.node("Gemm", &["f", "v", "b"], "g", vec![int("transB", 1)]).node(
        "Mul",
        &["g", "g"],
        "t",
        vec![],
    );
    let file = file.random("u", &[7, 5], 0.5).node("MatMul", &["t", "u"], "y", vec![]).output("y");
    let model = agrees(file, &[1, 12, 12]);
    let expected = ["convolution", "square", "dense", "square", "dense"];
    assert_eq!(operations(&model.fused().unwrap()), expected);
}

#[test]
fn difference_from_a_constant() {
    // By hand: tract 0.23 adds where a constant for each channel is subtracted from by a convolution.
    let file =
        File::new(&[2, 1, 2]).floats("q", &[2, 1, 1], &[0.5, -1.0]).floats("w", &[2, 1, 1, 1], &[2.0, 1.0]);
    let file =
        file.node("Conv", &["x", "w"], "c", vec![int("group", 2)]).node("Sub", &["q", "c"], "y", vec![]);
    let graph = Model::from_bytes("sub", &file.output("y").bytes()).unwrap().graph;
    assert_eq!(graph.infer(&[1.0, 2.0, 3.0, 4.0]).unwrap(), [-1.5, -3.5, -4.0, -5.0]);
}

/// The scores of a file for a ramp 1, 2, 3, ..., both of the graph and fused.
#[track_caller]
fn of_ramp(file: File) -> Vec<f64> {
    let model = Model::from_bytes("test", &file.bytes()).unwrap_or_else(|e| panic!("{e}"));
    let input: Vec<f64> = (1..=model.graph.input.elements()).map(|i| i as f64).collect();
    let scores = model.graph.infer(&input).unwrap();
    assert_close(&model.fused().unwrap().infer(&input).unwrap(), &scores, 1e-12);
    scores
}

#[test]
fn elements_that_move() {
    let file = || File::new(&[2, 2, 3]);
    let transposed = file().node("Transpose", &["x"], "y", vec![ints("perm", &[0, 2, 3, 1])]).output("y");
    assert_eq!(of_ramp(transposed), [1.0, 7.0, 2.0, 8.0, 3.0, 9.0, 4.0, 10.0, 5.0, 11.0, 6.0, 12.0]);
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        let n = starts.len() as i64;
        let file = file().integers("s", &[n], starts).integers("e", &[n], ends);
        let file = file.integers("a", &[n], axes).integers("t", &[n], steps);
        of_ramp(file.node("Slice", &["x", "s", "e", "a", "t"], "y", vec![]).output("y"))
    };
    assert_eq!(slice(&[0], &[i64::MAX], &[3], &[2]), [1.0, 3.0, 4.0, 6.0, 7.0, 9.0, 10.0, 12.0]);
    assert_eq!(slice(&[-1, 1], &[-100, 2], &[3, 1], &[-1, 1]), [9.0, 8.0, 7.0, 12.0, 11.0, 10.0]);
    let pads = file().integers("p", &[8], &[0, 0, 1, 0, 0, 1, 0, -2]);
    let padded = of_ramp(pads.node("Pad", &["x", "p"], "y", vec![]).output("y"));
    assert_eq!(padded, [0.0, 1.0, 4.0, 0.0, 7.0, 10.0, 0.0, 0.0, 0.0]);
    let scales = file().floats("r", &[0], &[]).floats("s", &[4], &[1.0, 1.0, 1.0, 2.0]);
    let form = vec![string("coordinate_transformation_mode", "asymmetric"), string("nearest_mode", "floor")];
    let resized = of_ramp(scales.node("Resize", &["x", "r", "s"], "y", form).output("y"));
    assert_eq!(resized[..8], [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
    let mut split = file().node("Split", &["x"], "a", vec![int("axis", 1)]);
    split.graph().node[0].output.push("b".into());
    let difference = split.node("Sub", &["b", "a"], "y", vec![]).output("y");
    assert_eq!(of_ramp(difference), [6.0; 6]);
    let gather = file().integers("i", &[], &[1]).node("Gather", &["x", "i"], "y", vec![int("axis", 2)]);
    assert_eq!(of_ramp(gather.output("y")), [4.0, 5.0, 6.0, 10.0, 11.0, 12.0]);
    let rows = file().node("Concat", &["x", "x"], "y", vec![int("axis", 2)]).output("y");
    assert_eq!(of_ramp(rows)[..7], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0]);
}

#[test]
fn transposed_convolutions() {
    // Each pixel times the kernel 1 10 100, two columns apart; one column is cut off on the left.
    let file =
        File::new(&[1, 1, 3]).floats("w", &[1, 1, 1, 3], &[1.0, 10.0, 100.0]).floats("b", &[1], &[0.5]);
    let form = vec![ints("strides", &[1, 2]), ints("pads", &[0, 1, 0, 0])];
    let file = file.node("ConvTranspose", &["x", "w", "b"], "y", form).output("y");
    assert_eq!(of_ramp(file), [10.5, 102.5, 20.5, 203.5, 30.5, 300.5]);
    // Two groups, each of one map to two, with a row more at the end.
    let file = File::new(&[2, 1, 1]).floats("w", &[2, 2, 2, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let form = vec![int("group", 2), ints("output_padding", &[1, 0]), ints("strides", &[2, 1])];
    let file = file.node("ConvTranspose", &["x", "w"], "y", form).output("y");
    assert_eq!(of_ramp(file), [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 10.0, 12.0, 0.0, 14.0, 16.0, 0.0]);
}

#[test]
fn reductions_over_the_image() {
    for (operator, by_input, keep, expected) in [
        ("ReduceMean", false, 1, [3.5, 9.5]),
        ("ReduceMean", true, 0, [3.5, 9.5]),
        ("ReduceSum", true, 1, [21.0, 57.0]),
        ("ReduceSum", false, 0, [21.0, 57.0]),
    ] {
        let file = File::new(&[2, 2, 3]).integers("a", &[2], &[-1, 2]);
        let file = if by_input {
            file.node(operator, &["x", "a"], "y", vec![int("keepdims", keep)])
        } else {
            file.node(operator, &["x"], "y", vec![int("keepdims", keep), ints("axes", &[2, 3])])
        };
        assert_eq!(of_ramp(file.output("y")), expected, "{operator}");
    }
}

#[test]
fn shapes_that_a_file_computes() {
    // x.view(x.size(0), -1), as exporters write it.
    let file = File::new(&[2, 2, 3]).integers("zero", &[], &[0]).integers("axes", &[1], &[0]);
    let file = file.integers("rest", &[1], &[-1]).node("Shape", &["x"], "shape", vec![]);
    let file = file.node("Gather", &["shape", "zero"], "batch", vec![int("axis", 0)]);
    let file = file.node("Unsqueeze", &["batch", "axes"], "first", vec![]);
    let file = file.node("Concat", &["first", "rest"], "target", vec![int("axis", 0)]);
    let file = file.node("Reshape", &["x", "target"], "f", vec![]).random("w", &[12, 3], 1.0);
    agrees(file.node("MatMul", &["f", "w"], "y", vec![]).output("y"), &[2, 2, 3]);
    // A mean without dimensions kept, and then unsqueezed and squeezed again.
    let file = File::new(&[2, 2, 3]).node("GlobalAveragePool", &["x"], "p", vec![]);
    let file = file.integers("axes", &[2], &[2, 3]).node("Squeeze", &["p", "axes"], "s", vec![]);
    let file = file.node("Unsqueeze", &["s", "axes"], "u", vec![]).node("Flatten", &["u"], "y", vec![]);
    assert_eq!(of_ramp(file.output("y")), [3.5, 9.5]);
}

#[test]
fn constants_are_computed_away() {
    let file = File::new(&[2]).floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let file = file.node("Transpose", &["w"], "t", vec![]).floats("k", &[3], &[1.0, 10.0, 100.0]);
    let file = file.node("Mul", &["t", "k"], "v", vec![]).node("MatMul", &["x", "v"], "y", vec![]);
    assert_eq!(of_ramp(file.output("y")), [5.0, 110.0, 1700.0]);
}

#[test]
fn a_constant_goes_to_one_reader_of_a_value_only() {
    // The sum with b is read; the convolution is read, too, under its own and other names.
    let aliases: [(&str, &[&str]); 5] = [
        ("Identity", &["c"]),
        ("Dropout", &["c"]),
        ("Add", &["c", "zero"]),
        ("Mul", &["one", "c"]),
        ("Pow", &["c", "one"]),
    ];
    for (operator, inputs) in aliases {
        let file = File::new(&[2, 6, 6]).random("w", &[3, 2, 3, 3], 0.5).floats("zero", &[], &[0.0]);
        let file = file.floats("one", &[1], &[1.0]).random("b", &[3, 1, 1], 1.0);
        let file = file.node("Conv", &["x", "w"], "c", vec![]).node(operator, inputs, "alias", vec![]);
        let file = file.node("Add", &["c", "b"], "sum", vec![]).node("Mul", &["sum", "alias"], "y", vec![]);
        agrees(file.output("y"), &[2, 6, 6]);
    }
}

#[test]
fn polynomials_however_spelled() {
    let horner = |f: File, degree: usize| {
        let mut f = f.floats("k0", &[], &[0.3]);
        let mut last = "k0".to_string();
        for i in 0..degree {
            let (product, sum) = (format!("p{i}"), format!("s{i}"));
            f = f.floats(&format!("a{i}"), &[3, 1, 1], &[0.1, -0.2, 0.3]);
            f = f.node("Mul", &[&last, "c"], &product, vec![]);
            f = f.node("Add", &[&product, &format!("a{i}")], &sum, vec![]);
            last = sum;
        }
        f.node("Identity", &[&last], "y", vec![])
    };
    for degree in [3, 5, 9] {
        let model = agrees(activated(|f| horner(f, degree)), &[2, 6, 6]);
        assert_eq!(operations(&model.fused().unwrap()), ["convolution", "polynomial", "convolution"]);
    }
    let spelled: [&dyn Fn(File) -> File; 3] = [
        &|f| f.integers("n", &[], &[3]).node("Pow", &["c", "n"], "y", vec![]),
        &|f| f.node("Mul", &["c", "c"], "1", vec![]).node("Mul", &["c", "1"], "y", vec![]),
        &|f| {
            let f = normalised(f, 3).node(
                "BatchNormalization",
                &["c", "gain", "offset", "mean", "variance"],
                "n",
                vec![],
            );
            f.node("Mul", &["n", "c"], "1", vec![]).node("Mul", &["1", "n"], "y", vec![])
        },
    ];
    for spelling in spelled {
        let model = agrees(activated(spelling), &[2, 6, 6]);
        assert_eq!(operations(&model.fused().unwrap())[1], "polynomial");
    }
    let fourth = |f: File| f.node("Mul", &["c", "c"], "1", vec![]).node("Mul", &["1", "1"], "y", vec![]);
    let model = agrees(activated(fourth), &[2, 6, 6]);
    assert_eq!(operations(&model.fused().unwrap()), ["convolution", "square", "square", "convolution"]);
}
