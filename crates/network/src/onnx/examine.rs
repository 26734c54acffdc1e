//! The walk that does not end at the first node that is refused.

use std::collections::{HashMap, HashSet};

use super::import::{Imported, Importer, check_operator_set, declared, shape_of};
use super::node::Node;
use super::proto;
use super::value::{Tensor, Value};
use crate::examine::Problem;
use crate::{Error, Operator};

/// Operators, besides those that are listed, that are understood in some places.
const IN_PLACES: &[&str] = &[
    "Greater",
    "Log",
    "Where",
    "ai.onnx.ml::ArrayFeatureExtractor",
    "ai.onnx.ml::Normalizer",
    "com.microsoft::FastGelu",
    "com.microsoft::Gelu",
];
/// Operators that are not understood, whose output has their first input's shape.
const KEEPS_SHAPE: &[&str] = &[
    "Ceil",
    "Celu",
    "Exp",
    "Floor",
    "GroupNormalization",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "Log",
    "LpNormalization",
    "Reciprocal",
    "Round",
    "Sign",
    "Sin",
    "Softmax",
    "Softsign",
    "Sqrt",
    "ThresholdedRelu",
];
/// The most problems that are told.
const MOST_PROBLEMS: usize = 1000;

/// What a file holds, where it can be read as a whole, and everything that keeps it from running encrypted.
pub(crate) fn examined(model: &proto::Model, bytes: usize) -> (Option<Imported>, Vec<Problem>) {
    let none = || Error::NotOnnx { reason: "it holds no graph".into() };
    let Some(graph) = &model.graph else { return (None, vec![Problem::of(&none(), "", "")]) };
    let mut problems = Problems::default();
    let operator_set = check_operator_set(model).unwrap_or_else(|error| {
        problems.add(Problem::of(&error, "", ""));
        i64::MAX
    });
    let imported = match Importer::new(graph, operator_set, bytes) {
        Ok(importer) => Walk::new(graph, importer, &mut problems).run(),
        Err(error) => {
            problems.add(Problem::of(&error, "", ""));
            let nodes = graph.node.iter().enumerate().map(|(index, node)| Node::new(node, index));
            nodes.for_each(|node| problems.unless_understood(&node));
            None
        }
    };
    (imported, problems.sorted(graph))
}

/// What was found so far, each problem once.
#[derive(Default)]
struct Problems {
    list: Vec<Problem>,
    known: HashSet<(String, String, String)>,
}

impl Problems {
    fn add(&mut self, problem: Problem) {
        let key = (problem.node.clone(), problem.operator.clone(), problem.reason.clone());
        if self.list.len() < MOST_PROBLEMS && self.known.insert(key) {
            self.list.push(problem);
        }
    }

    /// Adds the problem that a node's operator is not understood, whatever it reads.
    fn unless_understood(&mut self, node: &Node<'_>) {
        let operator = node.operator();
        if !super::SUPPORTED.contains(&operator.as_str()) && !IN_PLACES.contains(&operator.as_str()) {
            self.add(Problem::of(&Error::Operator { operator, node: node.name.clone() }, "", ""));
        }
    }

    /// All, in the order of the nodes.
    fn sorted(mut self, graph: &proto::Graph) -> Vec<Problem> {
        let named = graph.node.iter().enumerate().map(|(index, node)| (Node::new(node, index).name, index));
        let places: HashMap<String, usize> = named.collect();
        self.list.sort_by_key(|problem| places.get(&problem.node).copied().unwrap_or(usize::MAX));
        self.list
    }
}

/// The walk over a graph.
struct Walk<'a, 'p> {
    graph: &'a proto::Graph,
    importer: Importer<'a>,
    problems: &'p mut Problems,
    /// What is known of tensors between nodes.
    shapes: HashMap<&'a str, Vec<usize>>,
    /// Tensors of which nothing is known, because of an earlier problem.
    unknown: HashSet<&'a str>,
}

impl<'a, 'p> Walk<'a, 'p> {
    fn new(graph: &'a proto::Graph, importer: Importer<'a>, problems: &'p mut Problems) -> Self {
        let values = graph.value_info.iter().chain(&graph.output);
        let shapes = values.filter_map(|value| Some((value.name.as_str(), after_batch(value)?))).collect();
        Self { graph, importer, problems, shapes, unknown: HashSet::new() }
    }

    fn run(mut self) -> Option<Imported> {
        for (index, node) in self.graph.node.iter().enumerate() {
            let node = Node::new(node, index);
            if node.proto.input.iter().any(|name| self.unknown.contains(name.as_str())) {
                self.problems.unless_understood(&node);
                self.go_on(&node);
            } else if let Err(error) = self.importer.node(&node) {
                self.problems.add(Problem::of(&error, &node.name, &node.operator()));
                self.go_on(&node);
            }
        }
        let known = self.graph.output.iter().all(|output| !self.unknown.contains(output.name.as_str()));
        if known && self.problems.list.is_empty() {
            return self.whole();
        }
        // What is refused by itself is said of a file with other problems, too.
        let (refused, nodes) = self.importer.abandon(self.graph, known);
        refused.iter().for_each(|error| self.problems.add(Problem::of(error, "", "")));
        nodes.iter().for_each(|node| no_polynomial(self.problems, node));
        None
    }

    fn whole(self) -> Option<Imported> {
        match self.importer.finish(self.graph) {
            Ok(imported) => {
                imported.graph.nodes.iter().for_each(|node| no_polynomial(self.problems, node));
                Some(imported)
            }
            Err(error) => {
                self.problems.add(Problem::of(&error, "", ""));
                None
            }
        }
    }

    /// Binds what a node should have made to tensors of a known shape, or notes that nothing is known.
    fn go_on(&mut self, node: &Node<'a>) {
        let kept = KEEPS_SHAPE.contains(&node.operator().as_str());
        let first = node.optional_input(0).filter(|_| kept).and_then(|name| self.importer.value_of(name));
        let kept = match first {
            Some(Value::Tensor(tensor)) => Some(tensor.dims.clone()),
            _ => None,
        };
        for name in node.proto.output.iter().filter(|name| !name.is_empty()) {
            if self.importer.check_new(name).is_err() {
                continue;
            }
            let dims = self.shapes.get(name.as_str()).or(kept.as_ref()).cloned();
            let stands = dims.is_some_and(|dims| self.importer.stand_in(name, dims).is_ok());
            if !stands {
                self.unknown.insert(name);
            }
        }
    }
}

fn no_polynomial(problems: &mut Problems, node: &crate::Node) {
    if matches!(node.operator, Operator::Activation(_) | Operator::MaxPool(_)) {
        problems.add(Problem::no_polynomial(node));
    }
}

/// The dimensions after the batch that a file declares, where it declares all.
fn after_batch(value: &proto::ValueInfo) -> Option<Vec<usize>> {
    let dims = declared(value)?;
    dims.get(1..)?.iter().map(|d| usize::try_from((*d)?).ok()).collect()
}

impl<'a> Importer<'a> {
    /// Binds a name to a tensor of these dimensions that nothing makes. The graph is of no use afterwards.
    fn stand_in(&mut self, name: &'a str, dims: Vec<usize>) -> Result<(), Error> {
        let source = self.push_shape(name, shape_of(&dims))?;
        self.bind_name(name, Value::Tensor(Tensor::of(source, dims, name).into()))
    }
}
