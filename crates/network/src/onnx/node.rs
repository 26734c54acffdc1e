//! A node with its operator's attributes: every one is either understood or refused by name.

use super::proto::{self, attribute_type as kind};
use super::tensor::Constant;
use crate::Error;
use crate::error::check_finite;

/// A node, named as in messages and layers.
pub(super) struct Node<'a> {
    pub(super) proto: &'a proto::Node,
    /// The node's own name, or else its output's.
    pub(super) name: String,
}

impl<'a> Node<'a> {
    pub(super) fn new(proto: &'a proto::Node, index: usize) -> Self {
        let named = [Some(&proto.name), proto.output.first()].into_iter().flatten().find(|n| !n.is_empty());
        Self { proto, name: named.cloned().unwrap_or_else(|| format!("{}#{index}", proto.op_type)) }
    }

    /// The operator, with its domain where that is not ONNX's own.
    pub(super) fn operator(&self) -> String {
        match self.proto.domain.as_str() {
            "" | "ai.onnx" => self.proto.op_type.clone(),
            domain => format!("{domain}::{}", self.proto.op_type),
        }
    }

    /// The error that this form of the operator is not supported.
    pub(super) fn form(&self, expected: impl Into<String>, actual: impl Into<String>) -> Error {
        let (operator, node) = (self.operator(), self.name.clone());
        Error::Form { operator, node, expected: expected.into(), actual: actual.into() }
    }

    /// The name of the input at `index`, where it is given.
    pub(super) fn optional_input(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of the input at `index`.
    pub(super) fn input(&self, index: usize) -> Result<&'a str, Error> {
        let given = self.proto.input.len();
        self.optional_input(index)
            .ok_or_else(|| self.form(format!("an input number {}", index + 1), format!("{given} inputs")))
    }

    /// The name of the one output that is used.
    pub(super) fn output(&self) -> Result<&'a str, Error> {
        match self.proto.output.first() {
            Some(name) if !name.is_empty() => Ok(name),
            _ => Err(self.form("an output", "none")),
        }
    }

    /// Refuses more than `inputs` inputs, and attributes other than `attributes`.
    pub(super) fn only(&self, inputs: usize, attributes: &[&str]) -> Result<(), Error> {
        if self.proto.input.len() > inputs {
            return Err(self.form(format!("at most {inputs} inputs"), self.proto.input.len().to_string()));
        }
        match self.proto.attribute.iter().find(|a| !attributes.contains(&a.name.as_str())) {
            None => Ok(()),
            Some(a) => Err(self.form(format!("no attributes but {attributes:?}"), format!("{:?}", a.name))),
        }
    }

    /// The attribute `name`, which must be of the type `expected`, where it is given.
    pub(super) fn attribute(&self, name: &str, expected: i32) -> Result<Option<&'a proto::Attribute>, Error> {
        match self.proto.attribute.iter().find(|a| a.name == name) {
            Some(a) if a.r#type != expected => {
                Err(self.form(format!("attribute {name:?} of type {expected}"), format!("type {}", a.r#type)))
            }
            found => Ok(found),
        }
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, Error> {
        Ok(self.attribute(name, kind::INT)?.map_or(default, |a| a.i))
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f64, Error> {
        let value = self.attribute(name, kind::FLOAT)?.map_or(default, |a| a.f);
        if value.is_finite() {
            Ok(value.into())
        } else {
            Err(self.form(format!("a finite {name:?}"), value.to_string()))
        }
    }

    /// A number that may be infinite.
    pub(super) fn bound(&self, name: &str, default: f64) -> Result<f64, Error> {
        Ok(self.attribute(name, kind::FLOAT)?.map_or(default, |a| a.f.into()))
    }

    /// Numbers, where they are given; all finite.
    pub(super) fn floats(&self, name: &str) -> Result<Option<Vec<f64>>, Error> {
        let Some(attribute) = self.attribute(name, kind::FLOATS)? else { return Ok(None) };
        let values: Vec<f64> = attribute.floats.iter().map(|&v| v.into()).collect();
        check_finite(&format!("{name} of {}", self.name), &values)?;
        Ok(Some(values))
    }

    /// Texts, where they are given.
    pub(super) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Ok(self.attribute(name, kind::STRINGS)?.map(|a| a.strings.iter().map(text).collect()))
    }

    pub(super) fn string(&self, name: &str, default: &'static str) -> Result<String, Error> {
        let found = self.attribute(name, kind::STRING)?;
        Ok(found.map_or(default.into(), |a| String::from_utf8_lossy(&a.s).into_owned()))
    }

    /// Integers, where they are given.
    pub(super) fn integers(&self, name: &str) -> Result<Option<&'a [i64]>, Error> {
        Ok(self.attribute(name, kind::INTS)?.map(|a| a.ints.as_slice()))
    }

    /// A tensor, where it is given.
    pub(super) fn tensor(&self, name: &str) -> Result<Option<Constant<'a>>, Error> {
        Ok(self.attribute(name, kind::TENSOR)?.and_then(|a| a.t.as_ref()).map(Constant::Tensor))
    }

    /// Sizes, as many as `count`, where they are given.
    pub(super) fn sizes_of(&self, name: &str, count: usize) -> Result<Option<Vec<usize>>, Error> {
        let Some(given) = self.integers(name)? else { return Ok(None) };
        let sizes: Option<Vec<usize>> = given.iter().map(|&i| usize::try_from(i).ok()).collect();
        match sizes.filter(|sizes| sizes.len() == count) {
            Some(sizes) => Ok(Some(sizes)),
            None => Err(self.form(
                format!("{name:?} of {count} sizes of at least 0, for the image's dimensions"),
                format!("{:?}", &given[..given.len().min(8)]),
            )),
        }
    }
}
