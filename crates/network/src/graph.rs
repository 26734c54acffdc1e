use crate::error::check_length;
use crate::{Error, Layer, Shape, infer, limits};

/// A network: one chain of layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The input's shape.
    pub input: Shape,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
}

impl Graph {
    /// The shape of each layer's output. Checks that every layer is consistent in itself and fits the one before it,
    /// and that the whole is within [`limits`]; a graph that passes can be run.
    pub fn shapes(&self) -> Result<Vec<Shape>, Error> {
        self.input.check("the input")?;
        let (mut shape, mut elements) = (self.input, 0u64);
        let mut shapes = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            shape = layer.output_shape(shape)?;
            elements = elements.saturating_add(shape.elements() as u64);
            shapes.push(shape);
        }
        let parameters = self.parameters() as u64;
        limits::check(|| "weights of the network".into(), parameters, limits::PARAMETERS as u64)?;
        limits::check(|| "elements of all layers' outputs".into(), elements, limits::TOTAL_ELEMENTS as u64)?;
        limits::check(
            || "multiplications of one inference".into(),
            self.multiplications()?,
            limits::MULTIPLICATIONS,
        )?;
        Ok(shapes)
    }

    /// The shape of the scores; the input's where there are no layers.
    pub fn output_shape(&self) -> Result<Shape, Error> {
        Ok(self.shapes()?.last().copied().unwrap_or(self.input))
    }

    /// Multiplications of one inference; see [`Layer::multiplications`]. Fails on a graph that does not fit together.
    pub fn multiplications(&self) -> Result<u64, Error> {
        let (mut shape, mut sum) = (self.input, 0u64);
        for layer in &self.layers {
            sum = sum.saturating_add(layer.multiplications(shape)?);
            shape = layer.output_shape(shape)?;
        }
        Ok(sum)
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|l| l.kind.parameters()).sum()
    }

    /// The scores of one input, in the order channel, row, column.
    ///
    /// Fails where the graph is inconsistent or the input's length is not that of its shape.
    pub fn infer(&self, input: &[f64]) -> Result<Vec<f64>, Error> {
        let shapes = self.shapes()?;
        check_length(|| format!("input values ({})", self.input), self.input.elements(), input.len())?;
        let mut values = input.to_vec();
        for (layer, (from, to)) in self.layers.iter().zip(self.steps(&shapes)) {
            values = infer::apply(&layer.kind, from, to, values);
        }
        Ok(values)
    }

    /// The outputs of all layers, first to last, for one input; fails as [`Graph::infer`] does.
    pub fn trace(&self, input: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        let shapes = self.shapes()?;
        check_length(|| format!("input values ({})", self.input), self.input.elements(), input.len())?;
        let mut outputs: Vec<Vec<f64>> = Vec::with_capacity(self.layers.len());
        for (layer, (from, to)) in self.layers.iter().zip(self.steps(&shapes)) {
            let values = outputs.last().map_or(input, Vec::as_slice).to_vec();
            outputs.push(infer::apply(&layer.kind, from, to, values));
        }
        Ok(outputs)
    }

    /// The scores of each of `inputs`, computed in parallel on rayon's current pool; fails as [`Graph::infer`] does.
    pub fn infer_batch(&self, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Error> {
        use rayon::prelude::*;
        inputs.par_iter().map(|input| self.infer(input)).collect()
    }

    /// The shapes that each layer maps from and to, given those of the outputs.
    fn steps<'a>(&self, shapes: &'a [Shape]) -> impl Iterator<Item = (Shape, Shape)> + 'a {
        std::iter::once(self.input).chain(shapes.iter().copied()).zip(shapes.iter().copied())
    }
}

#[cfg(test)]
mod tests;
