//! Everything that keeps a file from running encrypted, at once.

use std::collections::HashSet;
use std::path::Path;

use crate::model::Decoded;
use crate::onnx::{self, proto};
use crate::{Error, FinalActivation, Model};

/// One obstacle, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The node; empty where it is none's.
    pub node: String,
    /// Its operator, with the domain where that is not ONNX's own; empty where there is no node.
    pub operator: String,
    /// What is in the way.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// An input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The name.
    pub name: String,
    /// The dimensions, the batch first; `None` for one that is a symbol. Empty where the file says nothing.
    pub dims: Vec<Option<i64>>,
}

/// What came of looking at a whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct Examination {
    /// The model, where it can be read and run in the clear.
    pub model: Option<Model>,
    /// What keeps it from running encrypted, in the order of the nodes; none where a plan may be looked for.
    pub problems: Vec<Problem>,
    /// What was taken for granted, and what was read otherwise than it stands in the file: a sentence each.
    pub assumptions: Vec<String>,
    /// The file's inputs, without those that are constants.
    pub inputs: Vec<Declared>,
    /// The file's outputs.
    pub outputs: Vec<Declared>,
}

impl Model {
    /// Reads an ONNX file as far as it goes, and says all that keeps it from running encrypted.
    ///
    /// A node that is not understood is a problem, and the walk goes on behind it: with the shape that the
    /// file declares for its output, or with none. What cannot be told because of an earlier problem is
    /// none of its own. Activations that are no polynomials and max pooling are problems, though a file
    /// with nothing else can be run in the clear.
    ///
    /// Fails where there is nothing to examine: the file cannot be read, is too large, or is no ONNX model.
    pub fn examine(path: &Path) -> Result<Examination, Error> {
        let mut decoded = Decoded::open(path)?;
        decoded.gather()?;
        Ok(examined(&decoded))
    }

    /// As [`Model::examine`], for the bytes of a file.
    ///
    /// # Examples
    ///
    /// ```
    /// use blindsight_network::Model;
    ///
    /// let error = Model::examine_bytes("none", b"GIF89a").unwrap_err();
    /// assert!(error.to_string().contains("not a readable ONNX model"));
    /// ```
    pub fn examine_bytes(name: &str, bytes: &[u8]) -> Result<Examination, Error> {
        Ok(examined(&Decoded::new(name, bytes.into())?))
    }
}

fn examined(decoded: &Decoded<'_>) -> Examination {
    let (imported, mut problems) = onnx::examined(&decoded.proto, decoded.length());
    let model = imported.and_then(|imported| match decoded.model(imported) {
        Ok(model) => Some(model),
        Err(error) => {
            problems.push(Problem::of(&error, "", ""));
            None
        }
    });
    if let (Some(model), []) = (&model, &problems[..])
        && let Err(error) = model.fused()
    {
        problems.push(Problem::of(&error, "", ""));
    }
    let graph = decoded.proto.graph.as_ref();
    let constants: HashSet<&str> =
        graph.iter().flat_map(|g| &g.initializer).map(|tensor| tensor.name.as_str()).collect();
    let inputs = graph.iter().flat_map(|g| &g.input).filter(|i| !constants.contains(i.name.as_str()));
    Examination {
        assumptions: assumptions(decoded, model.as_ref()),
        inputs: inputs.map(declared).collect(),
        outputs: graph.iter().flat_map(|g| &g.output).map(declared).collect(),
        model,
        problems,
    }
}

fn declared(value: &proto::ValueInfo) -> Declared {
    let shape = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.shape.as_ref());
    let dims = shape.map(|shape| shape.dim.iter().map(|d| d.dim_value).collect()).unwrap_or_default();
    Declared { name: value.name.clone(), dims }
}

/// What is taken for granted of a model whose file does not say it.
fn assumptions(decoded: &Decoded<'_>, model: Option<&Model>) -> Vec<String> {
    let Some(model) = model else { return vec![] };
    let says = |key: &str| decoded.proto.metadata_props.iter().any(|e| e.key == key);
    let mut assumptions = model.remarks.clone();
    if !says("blindsight.mean") && !says("blindsight.std") && !model.graph.input.is_vector() {
        assumptions.push(
            "the file says no mean and standard deviation (blindsight.mean, blindsight.std): pixels are taken as \
             shares of 255, from 0 to 1. Where it was trained on others, give them to `fit`: --mean, --std"
                .into(),
        );
    }
    if !says("blindsight.input_range") && model.graph.input.is_vector() {
        assumptions.push(
            "the file says no range of its inputs (blindsight.input_range): they are taken to be from 0 to 1"
                .into(),
        );
    }
    if !says("blindsight.score_bound") {
        assumptions.push("the file says no bound of its scores (blindsight.score_bound)".into());
    }
    if !says("blindsight.labels")
        && model.metadata.labels.iter().enumerate().all(|(i, l)| *l == i.to_string())
    {
        assumptions.push("the file names no classes (blindsight.labels): they are numbered from 0".into());
    }
    if model.output != FinalActivation::None {
        assumptions.push(format!("{} at the end is left to the client", model.output.name()));
    }
    assumptions
}

impl Problem {
    /// The problem that an error is, met at a node of this name and operator.
    pub(crate) fn of(error: &Error, node: &str, operator: &str) -> Self {
        let (node, operator, reason) = match error {
            Error::Operator { operator, node } => (node, operator.as_str(), "it is not supported".into()),
            Error::Form { operator, node, expected, actual } => {
                (node, operator.as_str(), format!("expected {expected}, got {actual}"))
            }
            Error::MissingTensor { node, .. } | Error::Order { node, .. } => {
                (node, operator, error.to_string())
            }
            _ => (&node.to_string(), operator, error.to_string()),
        };
        let remedy = remedy(error);
        Self { node: node.clone(), operator: operator.to_string(), reason, remedy }
    }

    /// The problem that only a polynomial could stand in the place of a node.
    pub(crate) fn no_polynomial(node: &crate::Node) -> Self {
        let operator = node.operator.name();
        Self {
            node: node.name.clone(),
            operator: operator.into(),
            reason: "it is no polynomial, and ciphertexts can only be added and multiplied".into(),
            remedy: onnx::remedy(operator).into(),
        }
    }
}

fn remedy(error: &Error) -> String {
    match error {
        Error::Operator { operator, .. } => onnx::remedy(operator).into(),
        Error::Form { expected, .. } if expected.starts_with(onnx::FOR_INFERENCE) => {
            "put the model into evaluation mode (`model.eval()` in PyTorch) and export it again".into()
        }
        Error::Form { expected, .. } => format!("export the model with {expected}"),
        Error::MissingTensor { .. } | Error::Order { .. } => {
            "export the whole model, with its weights and its nodes in their order".into()
        }
        Error::Mismatch { expected, .. } => format!("export the model with {expected}"),
        Error::NotFinite { .. } => "train the model again: not all of its weights are numbers".into(),
        Error::TooLarge { limit, .. } => format!("make the model smaller: at most {limit}"),
        Error::Metadata { key, expected, .. } => format!("write {expected} as {key}, or leave the entry out"),
        _ => "export the model anew".into(),
    }
}
