//! Folding: the same function with fewer layers.
//!
//! Between two squares everything is linear. First every layer is rewritten as a convolution, a dense layer or a
//! square ([`Rewriter`]): pooling is a convolution, an affine map a 1x1 depthwise one, and a quadratic activation is
//! an affine map, a square and an affine map. Then neighbouring linear layers are merged where one layer computes
//! their composition at no greater cost ([`merge`]), and units that are constant or that nothing reads are dropped
//! ([`dead`]); narrower layers may be merged where wider ones were not, so both are repeated until nothing changes.

mod dead;
mod merge;
mod square;
#[cfg(test)]
mod tests;

use crate::layer::{Affine, AveragePool, Bias, Convolution, LayerKind, Padding, per_channel};
use crate::{Error, Graph, Layer, Shape};

impl Graph {
    /// The equal graph that an encrypted plan is made of: linear layers ([`LayerKind::Convolution`] and
    /// [`LayerKind::Dense`]) and pure squares ([`LayerKind::Square`]).
    ///
    /// - Batch normalisation, other affine maps and average pooling become part of the neighbouring linear layer;
    ///   where there is none, a 1x1 depthwise convolution, or a depthwise one, is left.
    /// - Neighbouring linear layers are merged where that is sound at the padding and takes no more multiplications;
    ///   pooling is merged into what follows it in any case.
    ///   A constant that enters a zero-padded convolution becomes a bias that depends on the position
    ///   ([`Bias::PerElement`]).
    /// - `a x^2 + b x + c` is `s (sqrt|a| x + s sqrt|a| b/2a)^2 + (c - b^2/4a)` with `s` the sign of `a`: what is
    ///   before and after the square becomes affine. `x^2` itself is left exactly as it is.
    /// - Units of a linear layer, other than the last, that are constant or that nothing reads are left out: what a
    ///   pruned network does not need is not computed.
    /// - [`LayerKind::Flatten`] is dropped, for a dense layer reads its input in that order anyway. It stays before a
    ///   scaling that differs within a channel, which no convolution computes.
    ///
    /// Squares may still follow each other, and linear layers, where merging is not sound or costs more.
    ///
    /// A merged layer has the name of the part with the most multiplications.
    ///
    /// Fails on a graph that [`Graph::shapes`] refuses; on an activation whose vertex `|b/2a|` is too far out to
    /// complete the square ([`Error::Vertex`]); on padded pooling that leaves the padding out of the mean (no
    /// convolution); and where merged weights overflow.
    pub fn folded(&self) -> Result<Graph, Error> {
        let shapes = self.shapes()?;
        let inputs = std::iter::once(self.input).chain(shapes);
        let mut rewriter = Rewriter { shape: self.input, layers: vec![] };
        for (layer, input) in self.layers.iter().zip(inputs) {
            rewriter.layer(layer, input)?;
        }
        let folded = Graph { input: self.input, layers: reduced(self.input, rewriter.layers)? };
        folded.shapes()?;
        Ok(folded)
    }
}

/// Merged, and without units that need not be computed. Every round but the last leaves fewer layers, units or
/// weights. Fails where weights overflow.
fn reduced(input: Shape, mut layers: Vec<Layer>) -> Result<Vec<Layer>, Error> {
    loop {
        let next = dead::dropped(input, merge::all(input, layers.clone())?)?;
        // What is not a number equals nothing, itself neither: without this, the rounds would not end.
        next.iter().try_for_each(Layer::check_finite)?;
        if next == layers {
            return Ok(layers);
        }
        layers = next;
    }
}

/// Rewrites layers as convolutions, dense layers and squares.
struct Rewriter {
    /// The shape so far; an image where the original graph has flattened one and nothing has asked for that yet.
    shape: Shape,
    layers: Vec<Layer>,
}

impl Rewriter {
    /// Appends the rewritten `layer`, whose input in the original graph has the shape `input`.
    fn layer(&mut self, layer: &Layer, input: Shape) -> Result<(), Error> {
        let name = &layer.name;
        match &layer.kind {
            LayerKind::Flatten => Ok(()),
            LayerKind::Square | LayerKind::Dense(_) => self.push(name, layer.kind.clone()),
            LayerKind::Convolution(_) => {
                self.flatten_to(input)?;
                self.push(name, layer.kind.clone())
            }
            LayerKind::AveragePool(pool) => {
                self.flatten_to(input)?;
                self.push(name, LayerKind::Convolution(pooling(name, pool, input.channels)?))
            }
            LayerKind::Affine(affine) => self.affine(name, affine, input),
            LayerKind::Quadratic(quadratic) => {
                let (before, after) = square::complete(name, quadratic)?;
                self.affine(name, &before, input)?;
                self.push(name, LayerKind::Square)?;
                self.affine(name, &after, input)
            }
        }
    }

    fn push(&mut self, name: &str, kind: LayerKind) -> Result<(), Error> {
        let layer = Layer { name: name.to_string(), kind };
        self.shape = layer.output_shape(self.shape)?;
        self.layers.push(layer);
        Ok(())
    }

    /// Makes the shape `input`, by flattening, where it is not.
    fn flatten_to(&mut self, input: Shape) -> Result<(), Error> {
        if self.shape == input { Ok(()) } else { self.push("flatten", LayerKind::Flatten) }
    }

    /// Appends a map with one scale and shift for each channel of `input`. On an image that the original graph has
    /// flattened these are one for each element: one for each channel will do where a channel's are all equal.
    fn affine(&mut self, name: &str, affine: &Affine, input: Shape) -> Result<(), Error> {
        if affine.scale.iter().all(|&s| s == 1.0) && affine.shift.iter().all(|&s| s == 0.0) {
            return Ok(());
        }
        if self.shape != input {
            let channels = |values: &[f64]| per_channel(values, self.shape);
            if let (Some(scale), Some(shift)) = (channels(&affine.scale), channels(&affine.shift)) {
                return self
                    .push(name, LayerKind::Convolution(Convolution::pointwise(&Affine { scale, shift })));
            }
            self.flatten_to(input)?;
        }
        self.push(name, LayerKind::Convolution(Convolution::pointwise(affine)))
    }
}

/// Average pooling as a depthwise convolution.
fn pooling(name: &str, pool: &AveragePool, channels: usize) -> Result<Convolution, Error> {
    if !pool.include_padding && pool.padding != Padding::default() {
        return Err(Error::Mismatch {
            what: format!("padding of average pool {name}"),
            expected: "none, or padding that counts in the mean (count_include_pad)".into(),
            actual: format!("{:?} that is left out of the mean", pool.padding),
        });
    }
    let taps = pool.kernel[0] * pool.kernel[1];
    Ok(Convolution {
        input_channels: channels,
        output_channels: channels,
        groups: channels,
        kernel: pool.kernel,
        stride: pool.stride,
        dilation: [1, 1],
        padding: pool.padding,
        weights: vec![1.0 / taps as f64; channels * taps],
        bias: Bias::PerChannel(vec![0.0; channels]),
    })
}
