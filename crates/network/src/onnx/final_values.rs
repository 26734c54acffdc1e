//! The end of a network: softmax, the largest score's index, and what is done to them. No ciphertext can
//! compute these, and none has to: the client applies them to the scores. What follows them may rename and
//! reshape, and name the classes.

use super::import::Importer;
use super::node::Node;
use super::proto;
use super::value::{FinalValue, Value};
use crate::layer::product;
use crate::{Error, FinalActivation};

/// The operator set in which Softmax began to work along one axis.
const SOFTMAX_ALONG_ONE_AXIS: i64 = 13;

impl<'a> Importer<'a> {
    /// The first input of a node that is such a value.
    pub(super) fn final_input(&self, node: &Node<'a>) -> Option<FinalValue> {
        node.proto.input.iter().find_map(|name| self.finals.get(name.as_str()).cloned())
    }

    /// Binds the output at `index` to scores to which the client applies something; where there is none,
    /// nothing.
    pub(super) fn bind_final(
        &mut self,
        node: &Node<'a>,
        index: usize,
        value: FinalValue,
    ) -> Result<(), Error> {
        match node.proto.output.get(index) {
            Some(name) if !name.is_empty() => self.bind_final_name(name, value),
            _ => Ok(()),
        }
    }

    fn bind_final_name(&mut self, name: &'a str, value: FinalValue) -> Result<(), Error> {
        self.check_new(name)?;
        self.finals.insert(name, value);
        Ok(())
    }

    /// Softmax, LogSoftmax and ArgMax of all scores.
    pub(super) fn final_activation(
        &mut self,
        node: &Node<'a>,
        activation: FinalActivation,
    ) -> Result<(), Error> {
        node.only(1, &["axis", "keepdims", "select_last_index"])?;
        let scores = self.tensor(node, 0)?;
        let is_softmax = activation != FinalActivation::ArgMax;
        let old = is_softmax && self.operator_set < SOFTMAX_ALONG_ONE_AXIS;
        let axis = node.int("axis", if is_softmax && !old { -1 } else { i64::from(is_softmax) })?;
        if !covers(axis, &scores.dims, old) {
            let expected = format!("the axis of all {} scores", product(&scores.dims));
            return Err(
                node.form(expected, format!("axis {axis} of {:?}", [&[1], &scores.dims[..]].concat()))
            );
        }
        let (operator, name) = (node.operator(), node.name.clone());
        self.bind_final(node, 0, FinalValue { scores, activation, operator, node: name })
    }

    /// A node that reads a final value: it renames, reshapes, or names the classes, or the network goes on,
    /// which is refused.
    pub(super) fn after_final(&mut self, node: &Node<'a>, value: FinalValue) -> Result<(), Error> {
        let value = match (node.operator().as_str(), value.activation) {
            ("Identity" | "Cast" | "Dropout" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze", _) => value,
            ("Log", FinalActivation::Softmax) => {
                FinalValue { activation: FinalActivation::LogSoftmax, ..value }
            }
            ("ArgMax", _) => FinalValue { activation: FinalActivation::ArgMax, ..value },
            ("ai.onnx.ml::ArrayFeatureExtractor", FinalActivation::ArgMax) => {
                self.name_classes(node.input(0)?)?;
                value
            }
            ("ai.onnx.ml::ZipMap", _) => {
                self.class_labels(node, ["classlabels_strings", "classlabels_int64s"])?;
                value
            }
            // What a softmax or a pair of a sigmoid gives has the sum one already.
            ("ai.onnx.ml::Normalizer", FinalActivation::Softmax)
                if node.string("norm", "MAX")?.as_str() == "L1" =>
            {
                value
            }
            _ => return Err(value.refused()),
        };
        self.bind_final(node, 0, value)
    }

    /// Takes the labels from the constant of that name.
    fn name_classes(&mut self, name: &str) -> Result<(), Error> {
        let Some(Value::Constant(constant)) = self.value_of(name) else { return Ok(()) };
        if let Some(texts) = constant.texts() {
            self.labels = Some(texts);
        } else if let Ok(numbers) = constant.integers(name) {
            self.labels = Some(numbers.iter().map(i64::to_string).collect());
        }
        Ok(())
    }

    /// Takes the labels from a node's attributes: texts, or integers.
    pub(super) fn class_labels(
        &mut self,
        node: &Node<'a>,
        [texts, integers]: [&str; 2],
    ) -> Result<(), Error> {
        if let Some(texts) = node.strings(texts)? {
            self.labels = Some(texts);
        } else if let Some(integers) = node.integers(integers)? {
            self.labels = Some(integers.iter().map(i64::to_string).collect());
        }
        Ok(())
    }

    /// The network's scores among the outputs, and what the client applies to them. Beside them there may be
    /// the label that they mean, and the scores under another name.
    pub(super) fn scores(&mut self, outputs: &[&'a proto::ValueInfo]) -> Result<FinalValue, Error> {
        let mut found: Vec<(&str, FinalValue)> = vec![];
        for output in outputs {
            let value = match (self.finals.get(output.name.as_str()), self.value_of(&output.name)) {
                (Some(value), _) => value.clone(),
                (None, Some(Value::Tensor(scores))) => FinalValue {
                    scores,
                    activation: FinalActivation::None,
                    operator: String::new(),
                    node: String::new(),
                },
                _ => return Err(self.missing("(the output)", &output.name)),
            };
            found.push((&output.name, value));
        }
        let scores = chosen(&found)
            .ok_or_else(|| super::import::count("outputs", outputs.iter().map(|o| &*o.name)))?;
        if outputs.len() > 1 {
            let name = found[scores].0;
            self.remark(format!(
                "the scores are output {name:?}; the others follow from them, and are left out"
            ));
        }
        Ok(found.swap_remove(scores).1)
    }
}

/// Whether an axis of a tensor of these dimensions after the batch is that of all its elements: all others
/// have an extent of one. An old softmax takes all axes from the given one on together.
fn covers(axis: i64, dims: &[usize], old: bool) -> bool {
    let rank = dims.len() as i64 + 1;
    let axis = if axis < 0 { axis + rank } else { axis };
    let Ok(axis) = usize::try_from(axis - 1) else { return false };
    let extents = if old { dims.get(axis..) } else { dims.get(axis..axis + 1) };
    extents.is_some_and(|extents| product(extents) == product(dims))
}

/// Of several outputs the one that the others follow from: of those that are no mere label the only one, or,
/// where all are of the same scores, the first that the client has something to apply to.
fn chosen(outputs: &[(&str, FinalValue)]) -> Option<usize> {
    let more = |i: &usize| outputs[*i].1.activation != FinalActivation::ArgMax;
    let mut candidates: Vec<usize> = (0..outputs.len()).filter(more).collect();
    if candidates.is_empty() {
        candidates = (0..outputs.len()).collect();
    }
    let first = &outputs[*candidates.first()?].1.scores;
    let same = |i: &usize| {
        let other = &outputs[*i].1.scores;
        other.source == first.source && other.polynomial == first.polynomial
    };
    if !candidates.iter().all(same) {
        return None;
    }
    let applied = |i: &&usize| outputs[**i].1.activation != FinalActivation::None;
    candidates.iter().find(applied).or(candidates.first()).copied()
}
