//! Symmetric positive definite systems, by Cholesky's factorisation in blocks (Golub and Van Loan, Matrix
//! Computations, 4.2.9), and ridge regression on top of it.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

/// Columns that are factored at once.
const BLOCK: usize = 64;

/// The lower triangle `L` of `A = L L^T`.
#[derive(Debug)]
pub(crate) struct Cholesky {
    lower: Array2<f64>,
}

impl Cholesky {
    /// Factors a symmetric matrix, of which the lower triangle is read. `None` where it is not positive
    /// definite to working precision, or holds what is no number.
    pub fn new(mut matrix: Array2<f64>) -> Option<Self> {
        let n = matrix.nrows();
        let least = f64::EPSILON * matrix.diag().iter().fold(0.0, |m: f64, d| m.max(d.abs()));
        for first in (0..n).step_by(BLOCK) {
            let end = n.min(first + BLOCK);
            let (done, mut rest) = matrix.view_mut().split_at(Axis(1), first);
            let head = done.slice(s![first..end, ..]);
            let mut panel = rest.slice_mut(s![first.., ..end - first]);
            let rows = panel.axis_chunks_iter_mut(Axis(0), BLOCK).collect::<Vec<_>>();
            rows.into_par_iter().enumerate().for_each(|(chunk, mut rows)| {
                let from = first + chunk * BLOCK;
                let left = done.slice(s![from..from + rows.nrows(), ..]);
                general_mat_mul(-1.0, &left, &head.t(), 1.0, &mut rows);
            });
            for j in 0..end - first {
                let known: f64 = (0..j).map(|k| panel[[j, k]] * panel[[j, k]]).sum();
                let pivot = panel[[j, j]] - known;
                // Not `pivot <= least`: that would let pass what is no number.
                if !(pivot > least && pivot.is_finite()) {
                    return None;
                }
                panel[[j, j]] = pivot.sqrt();
                for i in j + 1..end - first {
                    let known: f64 = (0..j).map(|k| panel[[i, k]] * panel[[j, k]]).sum();
                    panel[[i, j]] = (panel[[i, j]] - known) / panel[[j, j]];
                }
            }
            let (top, below) = panel.split_at(Axis(0), end - first);
            let rows = below.into_iter_rows();
            rows.into_par_iter().for_each(|mut row| {
                for j in 0..end - first {
                    let known: f64 = (0..j).map(|k| row[k] * top[[j, k]]).sum();
                    row[j] = (row[j] - known) / top[[j, j]];
                }
            });
        }
        Some(Self { lower: matrix })
    }

    /// `X` of `A X = B`, column by column.
    pub fn solve(&self, right: ArrayView2<'_, f64>) -> Array2<f64> {
        let (n, mut x) = (self.lower.nrows(), right.to_owned());
        for i in 0..n {
            let (known, mut rest) = x.view_mut().split_at(Axis(0), i);
            let mut row = rest.row_mut(0);
            row -= &self.lower.slice(s![i, ..i]).dot(&known);
            row /= self.lower[[i, i]];
        }
        for i in (0..n).rev() {
            let (mut rest, known) = x.view_mut().split_at(Axis(0), i + 1);
            let mut row = rest.row_mut(i);
            row -= &self.lower.slice(s![i + 1.., i]).dot(&known);
            row /= self.lower[[i, i]];
        }
        x
    }
}

/// The rows of a matrix, to be worked on side by side.
trait IntoRows<'a> {
    fn into_iter_rows(self) -> Vec<ndarray::ArrayViewMut1<'a, f64>>;
}

impl<'a> IntoRows<'a> for ndarray::ArrayViewMut2<'a, f64> {
    fn into_iter_rows(mut self) -> Vec<ndarray::ArrayViewMut1<'a, f64>> {
        let mut rows = Vec::with_capacity(self.nrows());
        while self.nrows() > 0 {
            let (first, rest) = self.split_at(Axis(0), 1);
            rows.push(first.index_axis_move(Axis(0), 0));
            self = rest;
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn solutions_solve(n in 1usize..200, columns in 1usize..4, seed in any::<u64>()) {
            let number = |i: usize, j: usize| crate::data::share(seed, (i * 1000 + j) as u64) - 0.5;
            let factor = Array2::from_shape_fn((n, n + 3), |(i, j)| number(i, j));
            let mut matrix = factor.dot(&factor.t());
            matrix.diag_mut().iter_mut().for_each(|d| *d += 0.1);
            let expected = Array2::from_shape_fn((n, columns), |(i, j)| number(i + 500, j));
            let right = matrix.dot(&expected);
            let found = Cholesky::new(matrix).expect("positive definite").solve(right.view());
            let apart = (&found - &expected).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            prop_assert!(apart < 1e-8, "{} of {}", apart, n);
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let refused = |values: [f64; 4]| {
            Cholesky::new(Array2::from_shape_vec((2, 2), values.to_vec()).expect("four")).is_none()
        };
        assert!(refused([1.0, 2.0, 2.0, 1.0]));
        assert!(refused([1.0, 1.0, 1.0, 1.0]));
        assert!(refused([f64::NAN, 0.0, 0.0, 1.0]));
        assert!(refused([f64::INFINITY, 0.0, 0.0, 1.0]));
        assert!(!refused([2.0, 1.0, 1.0, 1.0]));
    }
}
