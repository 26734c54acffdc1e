//! What fusion asks of linear maps.

use super::sparse;
use crate::layer::{Affine, Bias, Convolution, Dense, Padding};
use crate::{LinearMap, Shape};

impl LinearMap {
    /// A factor for each channel.
    pub(super) fn of_factors(factors: Vec<f64>) -> Self {
        let shift = vec![0.0; factors.len()];
        Self::Convolution(Convolution::pointwise(&Affine { scale: factors, shift }))
    }

    /// The factor of each channel, where that is all that the map is.
    pub(crate) fn channel_factors(&self) -> Option<&[f64]> {
        match self {
            Self::Convolution(c)
                if c.kernel == [1, 1]
                    && c.stride == [1, 1]
                    && c.padding == Padding::default()
                    && c.groups == c.input_channels
                    && c.groups == c.output_channels =>
            {
                Some(&c.weights)
            }
            _ => None,
        }
    }

    /// Whether it scales the mean over a window of each channel.
    pub(super) fn is_pooling(&self) -> bool {
        let Self::Convolution(c) = self else { return false };
        let depthwise = c.groups == c.input_channels && c.groups == c.output_channels;
        depthwise && c.weights.chunks(c.taps()).all(|taps| taps.iter().all(|w| *w == taps[0]))
    }

    /// The weights as they are stored.
    pub(super) fn weights(&self) -> &[f64] {
        match self {
            Self::Convolution(c) => &c.weights,
            Self::Dense(d) => &d.weights,
            Self::Sparse(s) => &s.weights,
        }
    }

    /// Multiplications to make an output of this shape.
    pub(super) fn multiplications(&self, to: Shape) -> u64 {
        match self {
            Self::Convolution(c) => (to.elements() as u64).saturating_mul(c.taps() as u64),
            Self::Dense(d) => (to.elements() as u64).saturating_mul(d.columns as u64),
            Self::Sparse(s) => s.weights.len() as u64,
        }
    }

    /// The map with every input multiplied by its channel's factor first.
    pub(super) fn with_scaled_inputs(&self, factors: &[f64], from: Shape) -> Self {
        let mut map = self.clone();
        let positions = from.positions();
        match &mut map {
            Self::Convolution(c) => {
                let window = c.kernel[0] * c.kernel[1];
                let (inputs, outputs) = (c.group_inputs(), c.group_outputs());
                for (index, taps) in c.weights.chunks_mut(window).enumerate() {
                    let factor = factors[index / inputs / outputs * inputs + index % inputs];
                    taps.iter_mut().for_each(|w| *w *= factor);
                }
            }
            Self::Dense(d) => {
                let columns = d.columns;
                let scaled = d.weights.iter_mut().enumerate();
                scaled.for_each(|(i, w)| *w *= factors[i % columns / positions]);
            }
            Self::Sparse(s) => {
                let scaled = s.weights.iter_mut().zip(&s.columns);
                scaled.for_each(|(w, column)| *w *= factors[*column as usize / positions]);
            }
        }
        map
    }

    /// The map with every output multiplied by its channel's factor.
    pub(super) fn with_scaled_outputs(&self, factors: &[f64], to: Shape) -> Self {
        let mut map = self.clone();
        let positions = to.positions();
        match &mut map {
            Self::Convolution(c) => {
                let taps = c.taps();
                let rows = c.weights.chunks_mut(taps).zip(factors);
                rows.for_each(|(row, factor)| row.iter_mut().for_each(|w| *w *= factor));
            }
            Self::Dense(d) => {
                let rows = d.weights.chunks_mut(d.columns).enumerate();
                rows.for_each(|(r, row)| row.iter_mut().for_each(|w| *w *= factors[r / positions]));
            }
            Self::Sparse(s) => {
                for row in 0..s.starts.len() - 1 {
                    let range = s.starts[row]..s.starts[row + 1];
                    s.weights[range].iter_mut().for_each(|w| *w *= factors[row / positions]);
                }
            }
        }
        map
    }

    /// The sum of two maps, where one map is as cheap.
    pub(super) fn sum(&self, other: &Self, from: Shape, to: Shape) -> Option<Self> {
        let sum = match (self, other) {
            (Self::Convolution(a), Self::Convolution(b)) => {
                Self::Convolution(sum_of_windows(a, b, from, to)?)
            }
            (Self::Dense(a), Self::Dense(b)) => {
                let weights = a.weights.iter().zip(&b.weights).map(|(a, b)| a + b).collect();
                Self::Dense(Dense { weights, ..a.clone() })
            }
            (Self::Sparse(a), Self::Sparse(b)) => Self::Sparse(sparse::sum(a, b)),
            (Self::Dense(d), _) => sum_with_dense(d, other, from, to),
            (_, Self::Dense(d)) => sum_with_dense(d, self, from, to),
            _ => return None,
        };
        let both = self.multiplications(to).saturating_add(other.multiplications(to));
        (sum.multiplications(to) <= both).then_some(sum)
    }
}

fn sum_with_dense(dense: &Dense, other: &LinearMap, from: Shape, to: Shape) -> LinearMap {
    let mut sum = dense.clone();
    let other = other.to_sparse(from, to);
    for (r, row) in sum.weights.chunks_mut(dense.columns).enumerate() {
        other.row(r).for_each(|(c, w)| row[c] += w);
    }
    LinearMap::Dense(sum)
}

/// One convolution for two of the same input and output.
fn sum_of_windows(a: &Convolution, b: &Convolution, from: Shape, to: Shape) -> Option<Convolution> {
    let groups = if a.groups == b.groups {
        a.groups
    } else if a.groups.is_multiple_of(b.groups) {
        b.groups
    } else if b.groups.is_multiple_of(a.groups) {
        a.groups
    } else {
        1
    };
    let before = |c: &Convolution| [c.padding.top, c.padding.left];
    let mut axes = [(1, 1, 0, 0); 2];
    for (axis, found) in axes.iter_mut().enumerate() {
        let outputs = [to.height, to.width][axis];
        if a.stride[axis] != b.stride[axis] && outputs > 1 {
            return None;
        }
        let dilation = common_dilation(a, b, axis, before(a)[axis].abs_diff(before(b)[axis]));
        let first = before(a)[axis].max(before(b)[axis]);
        // Where each window ends, counted from the first tap of the two.
        let end = |c: &Convolution| first - before(c)[axis] + c.extent(axis);
        let span = end(a).max(end(b));
        let used = (outputs - 1) * a.stride[axis] + span;
        let after = used.saturating_sub([from.height, from.width][axis] + first);
        *found = ((span - 1) / dilation + 1, dilation, first, after);
    }
    let [(height, down, top, bottom), (width, right, left, after)] = axes;
    let mut sum = Convolution {
        groups,
        kernel: [height, width],
        dilation: [down, right],
        padding: Padding { top, left, bottom, right: after },
        weights: vec![],
        ..a.clone()
    };
    let fits = sum.taps() <= (a.taps() + b.taps()) && outputs_of(&sum, from) == [to.height, to.width];
    if !fits {
        return None;
    }
    sum.weights = vec![0.0; sum.output_channels * sum.taps()];
    add_window(&mut sum, a);
    add_window(&mut sum, b);
    Some(sum)
}

fn outputs_of(c: &Convolution, from: Shape) -> [usize; 2] {
    let Padding { top, left, bottom, right } = c.padding;
    let steps = |axis: usize, padded: usize| {
        padded.checked_sub(c.extent(axis)).map_or(0, |rest| rest / c.stride[axis] + 1)
    };
    [steps(0, from.height + top + bottom), steps(1, from.width + left + right)]
}

/// The distance of taps among which both windows' taps lie, their beginnings being so far apart.
fn common_dilation(a: &Convolution, b: &Convolution, axis: usize, apart: usize) -> usize {
    let own = |c: &Convolution| (c.kernel[axis] > 1).then_some(c.dilation[axis]);
    let steps = [own(a), own(b), (apart > 0).then_some(apart)];
    let divisor = |a: usize, b: usize| {
        (1..=a).rev().find(|d| a.is_multiple_of(*d) && b.is_multiple_of(*d)).unwrap_or(1)
    };
    steps.into_iter().flatten().reduce(divisor).unwrap_or(1)
}

/// Adds a convolution's weights to one whose window holds its.
fn add_window(sum: &mut Convolution, part: &Convolution) {
    let shift = [sum.padding.top - part.padding.top, sum.padding.left - part.padding.left];
    let [height, width] = part.kernel;
    let taps = sum.taps();
    for o in 0..part.output_channels {
        let first = o / part.group_outputs() * part.group_inputs();
        let first_of_sum = o / sum.group_outputs() * sum.group_inputs();
        for (tap, w) in part.channel_weights(o).iter().enumerate() {
            let (i, ky, kx) = (first + tap / (height * width), tap / width % height, tap % width);
            let y = (shift[0] + ky * part.dilation[0]) / sum.dilation[0];
            let x = (shift[1] + kx * part.dilation[1]) / sum.dilation[1];
            let at = ((i - first_of_sum) * sum.kernel[0] + y) * sum.kernel[1] + x;
            sum.weights[o * taps + at] += w;
        }
    }
}

/// A bias of zeros.
pub(super) fn no_bias(shape: Shape) -> Bias {
    Bias::PerChannel(vec![0.0; shape.channels])
}
