//! Arithmetic of a tensor and a constant that has a number for each element: a mean image, a bias of images
//! whose channels come last.

use super::array::{broadcast, broadcast_places};
use super::import::{Importer, is_per_channel, shape_of};
use super::node::Node;
use super::polynomial::Polynomial;
use super::tensor::Constant;
use super::value::Tensor;
use crate::error::check_finite;
use crate::layer::{Affine, Bias, Convolution, product};
use crate::{Error, Operator, Shape, Source};

impl<'a> Importer<'a> {
    /// `operation` of a tensor and the constant at input `at`, the first or the second.
    pub(super) fn with_constant(
        &mut self,
        node: &Node<'a>,
        x: &Tensor,
        constant: &Constant<'a>,
        at: usize,
        operation: &str,
    ) -> Result<(), Error> {
        let name = node.input(at)?;
        if let Some(values) = self.spread(name, constant, &x.dims)? {
            return self.per_element(node, x, values, at == 0, operation);
        }
        let constant = self.per_channel(node, name, constant, &x.dims)?;
        match at {
            0 => self.combine(node, x, &constant, &x.polynomial, operation),
            _ => self.combine(node, x, &x.polynomial, &constant, operation),
        }
    }

    /// A tensor divided by the constant at input 1.
    pub(super) fn divided(
        &mut self,
        node: &Node<'a>,
        x: &Tensor,
        divisor: &Constant<'a>,
    ) -> Result<(), Error> {
        let name = node.input(1)?;
        let inverse = |values: &[f64]| -> Result<Vec<f64>, Error> {
            let inverse: Vec<f64> = values.iter().map(|v| 1.0 / v).collect();
            check_finite(&format!("inverse of the divisor of {}", node.name), &inverse)?;
            Ok(inverse)
        };
        if let Some(values) = self.spread(name, divisor, &x.dims)? {
            return self.per_element(node, x, inverse(&values)?, false, "Mul");
        }
        let divisor = self.per_channel(node, name, divisor, &x.dims)?;
        let factors = inverse(divisor.values().next().unwrap_or(&[]))?;
        self.combine(node, x, &x.polynomial, &Polynomial::constant(factors), "Mul")
    }

    /// The constant's number for each element of a tensor of these dimensions; `None` where it is one number,
    /// or one for each channel, or does not fit.
    fn spread(
        &mut self,
        name: &str,
        constant: &Constant<'a>,
        tensor: &[usize],
    ) -> Result<Option<Vec<f64>>, Error> {
        let (own, all) = (constant.dims(name)?, [&[1], tensor].concat());
        if is_per_channel(&own, tensor)
            || own.len() > all.len()
            || broadcast(&own, &all).as_ref() != Some(&all)
        {
            return Ok(None);
        }
        self.reserve(product(&own).saturating_add(product(&all)))?;
        let values = constant.floats(name)?;
        Ok(Some(broadcast_places(&own, &all).into_iter().map(|place| values[place]).collect()))
    }

    fn per_element(
        &mut self,
        node: &Node<'a>,
        x: &Tensor,
        values: Vec<f64>,
        constant_first: bool,
        operation: &str,
    ) -> Result<(), Error> {
        let (sign, polynomial) = match (operation, constant_first) {
            ("Sub", true) => (1.0, x.polynomial.negated()),
            ("Sub", false) => (-1.0, x.polynomial.clone()),
            _ => (1.0, x.polynomial.clone()),
        };
        let source = self.settle(&Tensor { polynomial, made_by: node.name.clone(), ..x.clone() })?;
        let (shape, values) = (shape_of(&x.dims), values.into_iter().map(|v| sign * v).collect());
        let source = match operation {
            "Mul" => self.scaled_elements(node, source, shape, values)?,
            _ => self.shifted_elements(node, source, shape, values)?,
        };
        self.bind_source(node, source, x.dims.clone())
    }

    /// Each element plus a number of its own: a convolution by a kernel of one, with that bias.
    fn shifted_elements(
        &mut self,
        node: &Node<'a>,
        source: Source,
        shape: Shape,
        shift: Vec<f64>,
    ) -> Result<Source, Error> {
        let channels = shape.channels;
        self.reserve(channels)?;
        let identity = Affine { scale: vec![1.0; channels], shift: vec![0.0; channels] };
        let bias = Bias::from_elements(shift, shape);
        let layer = Convolution { bias, ..Convolution::pointwise(&identity) };
        self.push(&node.name, Operator::Convolution(layer), vec![source])
    }

    /// Each element times a number of its own: as a vector, whose elements are channels.
    fn scaled_elements(
        &mut self,
        node: &Node<'a>,
        source: Source,
        shape: Shape,
        scale: Vec<f64>,
    ) -> Result<Source, Error> {
        self.reserve(scale.len())?;
        let vector = Operator::Reshape(Shape::vector(shape.elements()));
        let source = self.push(&node.name, vector, vec![source])?;
        let shift = vec![0.0; scale.len()];
        let source = self.push(&node.name, Operator::Affine(Affine { scale, shift }), vec![source])?;
        self.push(&node.name, Operator::Reshape(shape), vec![source])
    }
}
