//! Linear maps as sparse matrices: what every kernel needs to know of a convolution or a dense layer.

use blindsight_layout::coordinates;
use blindsight_network::{Affine, Bias, Convolution, Dense, LinearMap, Padding, Shape, Sparse};
use std::collections::HashMap;
use std::sync::OnceLock;

/// A linear map: each element of its output, a *row*, is a weighted sum of elements of its input, the
/// *columns*; both in the order channel, row, column.
#[derive(Debug, Clone)]
pub struct Linear {
    /// The input's shape.
    pub input: Shape,
    /// The output's shape.
    pub output: Shape,
    map: Map,
    supports: OnceLock<Vec<Support>>,
}

/// Rows that see the same columns: those whose weights are not zero.
#[derive(Debug, Clone)]
pub struct Support {
    pub rows: Vec<usize>,
    pub columns: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Map {
    Convolution(Windowed),
    Dense(Dense),
    Sparse(Sparse),
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
    /// A term's map between these shapes.
    pub fn new(map: &LinearMap, input: Shape, output: Shape) -> Self {
        let map = match map {
            LinearMap::Convolution(c) => Map::Convolution(Windowed::new(c.clone(), input, output)),
            LinearMap::Dense(d) => Map::Dense(d.clone()),
            LinearMap::Sparse(s) => Map::Sparse(s.clone()),
        };
        Self::of([input, output], map)
    }

    fn of([input, output]: [Shape; 2], map: Map) -> Self {
        Self { input, output, map, supports: OnceLock::new() }
    }

    /// The identity: what stands where a network has no linear layer.
    pub fn identity(shape: Shape) -> Self {
        let (scale, shift) = (vec![1.0; shape.channels], vec![0.0; shape.channels]);
        let convolution = Convolution::pointwise(&Affine { scale, shift });
        Self::of([shape, shape], Map::Convolution(Windowed::new(convolution, shape, shape)))
    }

    /// A dense map of this one's input with these rows, one after another.
    pub fn with_rows(&self, count: usize, weights: Vec<f64>) -> Self {
        let bias = vec![0.0; count];
        let map = Map::Dense(Dense { rows: count, columns: self.columns(), weights, bias });
        Self::of([self.input, Shape::vector(count)], map)
    }

    /// How many elements the output has.
    pub fn rows(&self) -> usize {
        self.output.elements()
    }

    /// How many elements the input has.
    pub fn columns(&self) -> usize {
        self.input.elements()
    }

    /// The map as a convolution: a dense layer is one whose window is the whole image. `None` where it is
    /// neither.
    pub fn as_convolution(&self) -> Option<Convolution> {
        match &self.map {
            Map::Convolution(windowed) => Some(windowed.convolution.clone()),
            Map::Dense(dense) => Some(Convolution {
                input_channels: self.input.channels,
                output_channels: dense.rows,
                groups: 1,
                kernel: [self.input.height, self.input.width],
                stride: [1, 1],
                dilation: [1, 1],
                padding: Padding::default(),
                weights: dense.weights.clone(),
                bias: Bias::PerChannel(dense.bias.clone()),
            }),
            Map::Sparse(_) => None,
        }
    }

    /// The convolution that it is, if it is one.
    pub fn convolution(&self) -> Option<&Convolution> {
        match &self.map {
            Map::Convolution(windowed) => Some(&windowed.convolution),
            Map::Dense(_) | Map::Sparse(_) => None,
        }
    }

    /// Whether rows see all columns, so that there is nothing to gain by looking for the best of many
    /// diagonals.
    pub fn is_dense(&self) -> bool {
        matches!(self.map, Map::Dense(_))
    }

    /// How many products a row is the sum of, at most.
    pub fn most_weights_of_a_row(&self) -> usize {
        match &self.map {
            Map::Convolution(windowed) => windowed.convolution.taps(),
            Map::Dense(_) => self.columns(),
            Map::Sparse(s) => s.starts.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(1).max(1),
        }
    }

    /// How many weights of its matrix are not zero: products of a run.
    pub fn products(&self) -> usize {
        let mut products = 0;
        (0..self.rows()).for_each(|row| self.for_each_weight(row, |_, _| products += 1));
        products
    }

    /// Whether both have weights that are not zero in the same places, whatever these are.
    pub fn has_pattern_of(&self, other: &Self) -> bool {
        let alike = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (*a == 0.0) == (*b == 0.0));
        let shapes = [self.input, self.output] == [other.input, other.output];
        shapes
            && match (&self.map, &other.map) {
                (Map::Convolution(a), Map::Convolution(b)) => {
                    a.convolution.has_figures_of(&b.convolution)
                        && alike(&a.convolution.weights, &b.convolution.weights)
                }
                (Map::Dense(a), Map::Dense(b)) => alike(&a.weights, &b.weights),
                (Map::Sparse(a), Map::Sparse(b)) => {
                    (&a.starts, &a.columns) == (&b.starts, &b.columns) && alike(&a.weights, &b.weights)
                }
                _ => false,
            }
    }

    /// One weight; zero where the row does not see the column.
    pub fn weight(&self, row: usize, column: usize) -> f64 {
        match &self.map {
            Map::Dense(dense) => dense.row(row)[column],
            Map::Convolution(windowed) => windowed.weight(row, column).unwrap_or(0.0),
            Map::Sparse(s) => {
                let range = s.starts[row]..s.starts[row + 1];
                let found = s.columns[range.clone()].binary_search(&(column as u32));
                found.map_or(0.0, |at| s.weights[range.start + at])
            }
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

    /// Rows that see the same columns: of a convolution channels at the same place whose kernels are zero in
    /// the same places.
    fn alike(&self) -> Vec<Vec<usize>> {
        let (weights, outputs, positions): (&[f64], usize, usize) = match &self.map {
            Map::Convolution(w) => {
                (&w.convolution.weights, w.convolution.output_channels, self.output.positions())
            }
            Map::Dense(d) => (&d.weights, d.rows, 1),
            Map::Sparse(_) => return (0..self.rows()).map(|row| vec![row]).collect(),
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
            Map::Sparse(s) => s.row(row).filter(|(_, w)| *w != 0.0).for_each(|(column, w)| visit(column, w)),
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
