//! Layers as documents and arrays: how PyTorch computes with a network of ours, and gives its weights back.

use blindsight_network::{Bias, Graph, Operator, Padding, Source};
use serde_json::{Value, json};

/// Every layer as a document, and the values of all, one array after the other.
pub fn described(graph: &Graph) -> (Value, Vec<&[f64]>) {
    let mut values = vec![];
    let nodes = graph.nodes.iter().map(|node| {
        let (mut document, of_node) = operator(&node.operator);
        document["name"] = json!(node.name);
        document["inputs"] = node.inputs.iter().map(|input| source(*input)).collect();
        document["values"] = json!(of_node.len());
        values.extend(of_node);
        document
    });
    let nodes: Vec<Value> = nodes.collect();
    (json!({ "nodes": nodes, "output": source(graph.output) }), values)
}

/// Puts values in the order of [`described`] in place of those that are there.
pub fn replace(graph: &mut Graph, values: Vec<Vec<f64>>) -> Result<(), String> {
    let mut values = values.into_iter();
    for node in &mut graph.nodes {
        for old in operator_values(&mut node.operator) {
            let new = values.next().ok_or_else(|| format!("no values for {}", node.name))?;
            if new.len() != old.len() {
                return Err(format!("{} values for {}: expected {}", new.len(), node.name, old.len()));
            }
            *old = new;
        }
    }
    values.next().map_or(Ok(()), |_| Err("values for more layers than there are".into()))
}

/// The position of a node, -1 for the network's input.
fn source(source: Source) -> Value {
    match source {
        Source::Input => json!(-1),
        Source::Node(index) => json!(index),
    }
}

fn sides(padding: Padding) -> Value {
    json!([padding.left, padding.right, padding.top, padding.bottom])
}

fn operator(operator: &Operator) -> (Value, Vec<&[f64]>) {
    match operator {
        Operator::Convolution(c) => {
            let per_element = matches!(c.bias, Bias::PerElement(_));
            let document = json!({
                "kind": "convolution", "in": c.input_channels, "out": c.output_channels, "groups": c.groups,
                "kernel": c.kernel, "stride": c.stride, "dilation": c.dilation,
                "padding": sides(c.padding), "bias_per_element": per_element,
            });
            (document, vec![&c.weights, c.bias.values()])
        }
        Operator::Dense(d) => {
            (json!({ "kind": "dense", "rows": d.rows, "columns": d.columns }), vec![&d.weights, &d.bias])
        }
        Operator::Affine(a) => (json!({ "kind": "affine" }), vec![&a.scale, &a.shift]),
        Operator::AveragePool(p) => {
            let document = json!({
                "kind": "average_pool", "kernel": p.kernel, "stride": p.stride,
                "padding": sides(p.padding), "include_padding": p.include_padding,
            });
            (document, vec![])
        }
        Operator::Reshape(shape) => {
            (json!({ "kind": "reshape", "shape": [shape.channels, shape.height, shape.width] }), vec![])
        }
        Operator::Polynomial(p) => {
            let powers = p.coefficients.iter().map(Vec::as_slice).collect();
            (json!({ "kind": "polynomial", "degree": p.degree() }), powers)
        }
        Operator::Sum => (json!({ "kind": "sum" }), vec![]),
        Operator::Concat => (json!({ "kind": "concat" }), vec![]),
        Operator::Product => (json!({ "kind": "product" }), vec![]),
        Operator::Selection(s) => {
            let shape = [s.shape.channels, s.shape.height, s.shape.width];
            let elements: Vec<i64> = s.elements.iter().map(|e| e.map_or(-1, i64::from)).collect();
            (json!({ "kind": "selection", "shape": shape, "elements": elements }), vec![])
        }
        Operator::Activation(activation) => {
            (json!({ "kind": "activation", "function": activation.name() }), vec![])
        }
        Operator::MaxPool(_) => (json!({ "kind": "max_pool" }), vec![]),
    }
}

/// The same values, to be written.
fn operator_values(operator: &mut Operator) -> Vec<&mut Vec<f64>> {
    match operator {
        Operator::Convolution(c) => {
            let (Bias::PerChannel(bias) | Bias::PerElement(bias)) = &mut c.bias;
            vec![&mut c.weights, bias]
        }
        Operator::Dense(d) => vec![&mut d.weights, &mut d.bias],
        Operator::Affine(a) => vec![&mut a.scale, &mut a.shift],
        Operator::Polynomial(p) => p.coefficients.iter_mut().collect(),
        Operator::AveragePool(_)
        | Operator::Reshape(_)
        | Operator::Sum
        | Operator::Concat
        | Operator::Product
        | Operator::Selection(_)
        | Operator::Activation(_)
        | Operator::MaxPool(_) => vec![],
    }
}
