//! Linear maps as lists of weights.

use crate::layer::{AveragePool, Convolution, Padding};
use crate::{LinearMap, Selection, Shape, Sparse};

impl Sparse {
    /// The map of these rows, each the columns, rising, and their weights.
    pub(super) fn of_rows(rows: impl Iterator<Item = Vec<(u32, f64)>>) -> Self {
        let mut sparse = Self { starts: vec![0], columns: vec![], weights: vec![] };
        for row in rows {
            for (column, weight) in row {
                sparse.columns.push(column);
                sparse.weights.push(weight);
            }
            sparse.starts.push(sparse.columns.len());
        }
        sparse
    }

    /// Element for element the same.
    pub(super) fn identity(elements: usize) -> Self {
        Self::of_rows((0..elements).map(|e| vec![(e as u32, 1.0)]))
    }

    pub(super) fn of_selection(selection: &Selection) -> Self {
        Self::of_rows(selection.elements.iter().map(|e| e.iter().map(|e| (*e, 1.0)).collect()))
    }

    /// Elements from `first` on of a tensor with so many rows.
    pub(super) fn embedding(first: usize, elements: usize, rows: usize) -> Self {
        let within = |row: usize| row.checked_sub(first).filter(|e| *e < elements);
        Self::of_rows((0..rows).map(|row| within(row).map(|e| (e as u32, 1.0)).into_iter().collect()))
    }

    /// A pool whose padding does not count in the mean.
    pub(super) fn of_pool(pool: &AveragePool, from: Shape, to: Shape) -> Self {
        let Padding { top, left, .. } = pool.padding;
        let range = |o: usize, axis: usize, before: usize, extent: usize| {
            let start = o * pool.stride[axis];
            start.saturating_sub(before)..(start + pool.kernel[axis]).saturating_sub(before).min(extent)
        };
        Self::of_rows((0..to.elements()).map(|row| {
            let (channel, y, x) = (row / to.positions(), row / to.width % to.height, row % to.width);
            let (rows, columns) = (range(y, 0, top, from.height), range(x, 1, left, from.width));
            let counted = (rows.len() * columns.len()) as f64;
            let at = move |y: usize, x: usize| ((channel * from.height + y) * from.width + x) as u32;
            rows.flat_map(|y| columns.clone().map(move |x| (at(y, x), 1.0 / counted))).collect()
        }))
    }

    fn of_convolution(c: &Convolution, from: Shape, to: Shape) -> Self {
        let [height, width] = c.kernel;
        let inside = |at: usize, axis: usize, tap: usize, before: usize, extent: usize| {
            (at * c.stride[axis] + tap * c.dilation[axis]).checked_sub(before).filter(|p| *p < extent)
        };
        Self::of_rows((0..to.elements()).map(|row| {
            let (o, y, x) = (row / to.positions(), row / to.width % to.height, row % to.width);
            let first = o / c.group_outputs() * c.group_inputs();
            let mut weights = vec![];
            for (tap, w) in c.channel_weights(o).iter().enumerate().filter(|(_, w)| **w != 0.0) {
                let (i, ky, kx) = (first + tap / (height * width), tap / width % height, tap % width);
                if let (Some(iy), Some(ix)) = (
                    inside(y, 0, ky, c.padding.top, from.height),
                    inside(x, 1, kx, c.padding.left, from.width),
                ) {
                    weights.push((((i * from.height + iy) * from.width + ix) as u32, *w));
                }
            }
            weights
        }))
    }
}

impl LinearMap {
    /// The same map as a list of weights.
    pub(super) fn to_sparse(&self, from: Shape, to: Shape) -> Sparse {
        match self {
            Self::Sparse(s) => s.clone(),
            Self::Convolution(c) => Sparse::of_convolution(c, from, to),
            Self::Dense(d) => Sparse::of_rows((0..d.rows).map(|r| {
                let weights = d.row(r).iter().enumerate().filter(|(_, w)| **w != 0.0);
                weights.map(|(column, w)| (column as u32, *w)).collect()
            })),
        }
    }

    /// At most how many weights a row has.
    fn row_weights(&self, row: usize, positions: usize) -> usize {
        match self {
            Self::Sparse(s) => s.starts[row + 1] - s.starts[row],
            Self::Convolution(c) => {
                let taps = c.channel_weights((row / positions).min(c.output_channels - 1));
                taps.iter().filter(|w| **w != 0.0).count()
            }
            Self::Dense(d) => d.columns,
        }
    }
}

/// At most how many weights the list of `second` after `first` has.
pub(super) fn most_weights(first: &LinearMap, second: &LinearMap, middle: Shape, output: Shape) -> u64 {
    let first_most = match first {
        LinearMap::Sparse(s) => s.starts.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0),
        _ => (0..middle.channels)
            .map(|c| first.row_weights(c * middle.positions(), middle.positions()))
            .max()
            .unwrap_or(0),
    } as u64;
    let of_second: u64 = match second {
        LinearMap::Sparse(s) => s.weights.len() as u64,
        _ => (0..output.channels)
            .map(|c| second.row_weights(c * output.positions(), output.positions()) as u64)
            .sum::<u64>()
            .saturating_mul(output.positions() as u64),
    };
    of_second.saturating_mul(first_most)
}

/// `second` after `first`, a map of so many columns.
pub(super) fn product(first: &Sparse, second: &Sparse, columns: usize) -> Sparse {
    let mut sums = vec![0.0; columns];
    let mut seen = vec![false; columns];
    Sparse::of_rows((0..second.starts.len() - 1).map(|r| {
        let mut touched: Vec<u32> = vec![];
        for (m, w) in second.row(r) {
            for (c, v) in first.row(m) {
                if !std::mem::replace(&mut seen[c], true) {
                    touched.push(c as u32);
                }
                sums[c] += w * v;
            }
        }
        touched.sort_unstable();
        let take = |c: &u32| {
            seen[*c as usize] = false;
            (*c, std::mem::take(&mut sums[*c as usize]))
        };
        touched.iter().map(take).filter(|(_, w)| *w != 0.0).collect()
    }))
}

/// The sum of two maps of as many rows.
pub(super) fn sum(a: &Sparse, b: &Sparse) -> Sparse {
    Sparse::of_rows((0..a.starts.len() - 1).map(|r| {
        let mut row: Vec<(u32, f64)> = a.row(r).chain(b.row(r)).map(|(c, w)| (c as u32, w)).collect();
        row.sort_unstable_by_key(|(c, _)| *c);
        row.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0.0 };
            same
        });
        row
    }))
}
