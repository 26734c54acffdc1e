//! Linear layers as sparse matrices: what every kernel needs to know of a convolution or a dense layer.

use blindsight_network::{Bias, Convolution, Dense, Operator, Padding, Shape};
use std::collections::HashMap;
use std::sync::OnceLock;

/// A linear layer: each element of its output, a *row*, is a bias and a weighted sum of elements of its input, the *columns*; both in the
/// order channel, row, column.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub name: String,
    pub kind: &'static str,
    pub input: Shape,
    pub output: Shape,
    map: Map,
    bias: Vec<f64>,
    supports: OnceLock<Vec<Support>>,
}

/// Rows that see the same columns: those whose weights are not zero.
#[derive(Debug, Clone)]
pub(crate) struct Support {
    pub rows: Vec<usize>,
    pub columns: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Map {
    Convolution(Windowed),
    Dense(Dense),
}

/// A convolution, and what would take divisions to find again for each weight.
#[derive(Debug, Clone)]
struct Windowed {
    convolution: Convolution,
    /// Input channels of a group.
    channels: usize,
    /// Channel, row and column of each element.
    inputs: Vec<[usize; 3]>,
    outputs: Vec<[usize; 3]>,
}

impl Windowed {
    fn new(convolution: Convolution, input: Shape, output: Shape) -> Self {
        let all = |shape: Shape| (0..shape.elements()).map(|element| coordinates(element, shape)).collect();
        let channels = convolution.group_inputs();
        Self { convolution, channels, inputs: all(input), outputs: all(output) }
    }

    /// The weight with which a row sees a column; `None` where it does not.
    fn weight(&self, row: usize, column: usize) -> Option<f64> {
        let (c, [o, y, x], [i, row, column]) = (&self.convolution, self.outputs[row], self.inputs[column]);
        let first = if c.groups == 1 { 0 } else { o / c.group_outputs() * self.channels };
        let channel = i.checked_sub(first).filter(|channel| *channel < self.channels)?;
        let before = [c.padding.top, c.padding.left];
        let tap = |axis: usize, at: usize, from: usize| {
            let (distance, dilation) =
                ((from + before[axis]).checked_sub(at * c.stride[axis])?, c.dilation[axis]);
            let k = if dilation == 1 { distance } else { distance / dilation };
            (k < c.kernel[axis] && k * dilation == distance).then_some(k)
        };
        let (ky, kx) = (tap(0, y, row)?, tap(1, x, column)?);
        Some(c.weights[((o * self.channels + channel) * c.kernel[0] + ky) * c.kernel[1] + kx])
    }
}

impl Linear {
    /// The layer of a fused network; `None` where it is not linear.
    pub fn new(name: &str, operator: &Operator, input: Shape, output: Shape) -> Option<Self> {
        let (map, bias) = match operator {
            Operator::Convolution(c) => {
                (Map::Convolution(Windowed::new(c.clone(), input, output)), c.bias.elements(output))
            }
            Operator::Dense(d) => (Map::Dense(d.clone()), d.bias.clone()),
            _ => return None,
        };
        Some(Self::of(name.into(), operator.name(), [input, output], map, bias))
    }

    fn of(name: String, kind: &'static str, [input, output]: [Shape; 2], map: Map, bias: Vec<f64>) -> Self {
        Self { name, kind, input, output, map, bias, supports: OnceLock::new() }
    }

    /// The identity: what stands where a network has no linear layer.
    pub fn identity(shape: Shape) -> Self {
        let (scale, shift) = (vec![1.0; shape.channels], vec![0.0; shape.channels]);
        let convolution = Convolution::pointwise(&blindsight_network::Affine { scale, shift });
        let bias = convolution.bias.elements(shape);
        let map = Map::Convolution(Windowed::new(convolution, shape, shape));
        Self::of("identity".into(), "identity", [shape, shape], map, bias)
    }

    /// A dense layer with these rows, each its weights and its bias.
    pub fn with_rows(&self, rows: Vec<(Vec<f64>, f64)>) -> Self {
        let (weights, bias): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let output = Shape::vector(bias.len());
        let map = Map::Dense(Dense {
            rows: bias.len(),
            columns: self.columns(),
            weights: weights.concat(),
            bias: bias.clone(),
        });
        Self::of(self.name.clone(), self.kind, [self.input, output], map, bias)
    }

    pub fn rows(&self) -> usize {
        self.output.elements()
    }

    pub fn columns(&self) -> usize {
        self.input.elements()
    }

    pub fn bias(&self) -> &[f64] {
        &self.bias
    }

    /// Whether no row has a bias.
    pub fn is_unbiased(&self) -> bool {
        self.bias.iter().all(|b| *b == 0.0)
    }

    /// The layer as a convolution: a dense layer is one whose window is the whole image.
    pub fn as_convolution(&self) -> Convolution {
        match &self.map {
            Map::Convolution(windowed) => windowed.convolution.clone(),
            Map::Dense(dense) => Convolution {
                input_channels: self.input.channels,
                output_channels: dense.rows,
                groups: 1,
                kernel: [self.input.height, self.input.width],
                stride: [1, 1],
                dilation: [1, 1],
                padding: Padding::default(),
                weights: dense.weights.clone(),
                bias: Bias::PerChannel(dense.bias.clone()),
            },
        }
    }

    /// Whether it is a convolution.
    pub fn convolution(&self) -> Option<&Convolution> {
        match &self.map {
            Map::Convolution(windowed) => Some(&windowed.convolution),
            Map::Dense(_) => None,
        }
    }

    /// One weight; zero where the row does not see the column.
    pub fn weight(&self, row: usize, column: usize) -> f64 {
        match &self.map {
            Map::Dense(dense) => dense.row(row)[column],
            Map::Convolution(windowed) => windowed.weight(row, column).unwrap_or(0.0),
        }
    }

    /// All rows, by the columns that they see.
    pub fn supports(&self) -> &[Support] {
        self.supports.get_or_init(|| {
            let alike = self.alike().into_iter();
            let support = |rows: Vec<usize>| {
                let mut columns = vec![];
                self.for_each_weight(rows[0], |column, _| columns.push(column));
                Support { rows, columns }
            };
            alike.map(support).collect()
        })
    }

    /// Rows that see the same columns: of a convolution channels at the same place whose kernels are zero in the same places.
    fn alike(&self) -> Vec<Vec<usize>> {
        let (weights, outputs, positions): (&[f64], usize, usize) = match &self.map {
            Map::Convolution(w) => {
                (&w.convolution.weights, w.convolution.output_channels, self.output.positions())
            }
            Map::Dense(d) => (&d.weights, d.rows, 1),
        };
        let groups = self.convolution().map_or(1, |c| c.groups);
        let mut kinds: HashMap<(usize, Vec<bool>), usize> = HashMap::new();
        let mut channels: Vec<Vec<usize>> = vec![];
        for (channel, kernel) in weights.chunks(weights.len() / outputs).enumerate() {
            let zeros = kernel.iter().map(|weight| *weight == 0.0).collect();
            let kind = *kinds.entry((channel * groups / outputs, zeros)).or_insert(channels.len());
            channels.resize(channels.len().max(kind + 1), vec![]);
            channels[kind].push(channel);
        }
        let at =
            |place: usize| channels.iter().map(move |of| of.iter().map(|c| c * positions + place).collect());
        (0..positions).flat_map(at).collect()
    }

    /// Calls `visit(column, weight)` for each weight of a row that is not zero.
    pub fn for_each_weight(&self, row: usize, mut visit: impl FnMut(usize, f64)) {
        match &self.map {
            Map::Dense(dense) => {
                let weights = dense.row(row).iter().enumerate();
                weights.filter(|(_, w)| **w != 0.0).for_each(|(column, w)| visit(column, *w));
            }
            Map::Convolution(windowed) => self.for_each_tap(&windowed.convolution, row, visit),
        }
    }

    fn for_each_tap(&self, c: &Convolution, row: usize, mut visit: impl FnMut(usize, f64)) {
        let [o, y, x] = coordinates(row, self.output);
        let weights = c.channel_weights(o);
        let first = o / c.group_outputs() * c.group_inputs();
        let before = [c.padding.top, c.padding.left];
        let position = |axis: usize, at: usize, k: usize, extent: usize| {
            (at * c.stride[axis] + k * c.dilation[axis]).checked_sub(before[axis]).filter(|p| *p < extent)
        };
        for ky in 0..c.kernel[0] {
            let Some(row) = position(0, y, ky, self.input.height) else { continue };
            for kx in 0..c.kernel[1] {
                let Some(column) = position(1, x, kx, self.input.width) else { continue };
                for i in 0..c.group_inputs() {
                    let weight = weights[(i * c.kernel[0] + ky) * c.kernel[1] + kx];
                    if weight != 0.0 {
                        visit(((first + i) * self.input.height + row) * self.input.width + column, weight);
                    }
                }
            }
        }
    }
}

/// Channel, row and column of an element.
pub(crate) fn coordinates(element: usize, shape: Shape) -> [usize; 3] {
    [element / shape.positions(), element / shape.width % shape.height, element % shape.width]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{figures, model};
    use proptest::prelude::*;

    proptest! {
        /// Rows times a vector are what plain inference gives, by both ways to look at weights.
        #[test]
        fn rows_compute_the_layer(f in figures()) {
            let Some(model) = model(&f) else { return Ok(()) };
            let shapes = model.graph.shapes().unwrap();
            let layer = &model.graph.nodes[0];
            let linear = Linear::new("conv", &layer.operator, model.graph.input, shapes[0]).unwrap();
            let image = crate::tests::image(&f);
            let expected = &model.graph.trace(&image).unwrap()[0];
            for (row, expected) in expected.iter().enumerate() {
                let (mut sum, mut seen) = (linear.bias()[row], 0);
                linear.for_each_weight(row, |column, w| {
                    assert_eq!(linear.weight(row, column), w);
                    sum += w * image[column];
                    seen += 1;
                });
                prop_assert!((sum - expected).abs() < 1e-9);
                let supports: Vec<_> = linear.supports().iter().filter(|s| s.rows.contains(&row)).collect();
                prop_assert_eq!(supports.len(), 1);
                prop_assert_eq!(supports[0].columns.len(), seen);
                prop_assert!(supports[0].columns.iter().all(|c| linear.weight(row, *c) != 0.0));
                let all = (0..linear.columns()).filter(|c| linear.weight(row, *c) != 0.0).count();
                prop_assert_eq!(all, seen);
            }
        }
    }
}
