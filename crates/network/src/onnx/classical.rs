//! Operators of `ai.onnx.ml`, as scikit-learn's models are exported: scalers and linear models.

use std::rc::Rc;

use super::import::Importer;
use super::node::Node;
use super::polynomial::Polynomial;
use super::value::FinalValue;
use super::value::Tensor;
use crate::error::check_finite;
use crate::layer::{Dense, product};
use crate::{Error, FinalActivation, Operator, Source};

impl<'a> Importer<'a> {
    /// `(x - offset) scale`, each one number or one for each feature.
    pub(super) fn scaler(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &["offset", "scale"])?;
        let x = self.tensor(node, 0)?;
        let features = self.features(node, &x)?;
        let coefficients = |name: &str, default: f64| match node.floats(name)? {
            None => Ok(vec![default]),
            Some(values) if [1, features].contains(&values.len()) => Ok(values),
            Some(values) => {
                Err(node.form(format!("{name} of 1 or {features} numbers"), values.len().to_string()))
            }
        };
        let (offset, scale) = (coefficients("offset", 0.0)?, coefficients("scale", 1.0)?);
        self.reserve(2 * features)?;
        let shifted = x.polynomial.add(&Polynomial::constant(offset).negated());
        self.bind_checked(node, &x, shifted.multiply(&Polynomial::constant(scale)))
    }

    /// The features of a vector.
    fn features(&self, node: &Node<'a>, x: &Tensor) -> Result<usize, Error> {
        match x.dims.as_slice() {
            &[features] => Ok(features),
            other => Err(node.form("a vector of features (rank 2)", format!("dimensions {other:?}"))),
        }
    }

    /// A linear classifier, whose outputs are the label and the probabilities.
    pub(super) fn linear_classifier(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(
            1,
            &[
                "classlabels_ints",
                "classlabels_strings",
                "coefficients",
                "intercepts",
                "multi_class",
                "post_transform",
            ],
        )?;
        let (source, layer) = self.linear_model(node, "coefficients", "intercepts")?;
        let transform = node.string("post_transform", "NONE")?;
        let activation = match transform.as_str() {
            "NONE" => FinalActivation::None,
            "SOFTMAX" => FinalActivation::Softmax,
            "LOGISTIC" => FinalActivation::Sigmoid,
            other => return Err(node.form("post_transform NONE, SOFTMAX or LOGISTIC", other)),
        };
        self.class_labels(node, ["classlabels_strings", "classlabels_ints"])?;
        // Two rows of which one is the other with the sign turned are one score.
        let layer = match activation {
            FinalActivation::Sigmoid => second_of_opposites(layer),
            _ => layer,
        };
        let rows = layer.rows;
        let source = self.push(&node.name, Operator::Dense(layer), vec![source])?;
        let scores = Rc::new(Tensor::of(source, vec![rows], &node.name));
        let value = FinalValue { scores, activation, operator: node.operator(), node: node.name.clone() };
        self.bind_final(node, 0, FinalValue { activation: FinalActivation::ArgMax, ..value.clone() })?;
        self.bind_final(node, 1, value)
    }

    /// A linear regression.
    pub(super) fn linear_regressor(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &["coefficients", "intercepts", "post_transform", "targets"])?;
        let transform = node.string("post_transform", "NONE")?;
        if transform != "NONE" {
            return Err(node.form("post_transform NONE", transform));
        }
        let (source, layer) = self.linear_model(node, "coefficients", "intercepts")?;
        self.push_bound(node, Operator::Dense(layer), vec![source], |shape| vec![shape.channels])
    }

    /// The dense layer whose weights are a node's attributes, and what it reads.
    fn linear_model(&mut self, node: &Node<'a>, weights: &str, bias: &str) -> Result<(Source, Dense), Error> {
        let x = self.tensor(node, 0)?;
        let columns = self.features(node, &x)?;
        let weights = node.floats(weights)?.ok_or_else(|| node.form(weights, "none"))?;
        let rows = weights.len() / columns;
        let bias = node.floats(bias)?.unwrap_or_else(|| vec![0.0; rows]);
        if rows == 0 || product(&[rows, columns]) != weights.len() || bias.len() != rows {
            let expected = format!("so many intercepts, and {columns} coefficients for each");
            return Err(node.form(expected, format!("{} and {}", bias.len(), weights.len())));
        }
        self.reserve(weights.len() + rows)?;
        check_finite(&node.name, &weights)?;
        Ok((self.settle(&x)?, Dense { rows, columns, weights, bias }))
    }
}

/// The second row of two of which it is the first with the sign turned; other layers as they are.
fn second_of_opposites(layer: Dense) -> Dense {
    let opposite = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| *a == -*b);
    if layer.rows != 2
        || !opposite(layer.row(0), layer.row(1))
        || !opposite(&layer.bias[..1], &layer.bias[1..])
    {
        return layer;
    }
    Dense { rows: 1, columns: layer.columns, weights: layer.row(1).to_vec(), bias: vec![layer.bias[1]] }
}
