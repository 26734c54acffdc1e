//! Arrays of numpy in and out.

use crate::errors::InputError;
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;

/// The rows of a two-dimensional array, each of so many finite values.
pub fn rows(array: &PyReadonlyArray2<'_, f64>, elements: usize) -> PyResult<Vec<Vec<f64>>> {
    let view = array.as_array();
    if view.ncols() != elements {
        let found = view.ncols();
        return Err(InputError::new_err(format!("an input of {found} values: the network takes {elements}")));
    }
    let row = |(index, row): (usize, numpy::ndarray::ArrayView1<'_, f64>)| match row
        .iter()
        .position(|value| !value.is_finite())
    {
        None => Ok(row.to_vec()),
        Some(place) => Err(InputError::new_err(format!(
            "value {place} of input {index} is {}: finite numbers are expected",
            row[place]
        ))),
    };
    view.outer_iter().enumerate().map(row).collect()
}

/// An array with these rows, which are of one length.
pub fn matrix<'py>(py: Python<'py>, rows: &[Vec<f64>]) -> PyResult<Bound<'py, PyArray2<f64>>> {
    Ok(PyArray2::from_vec2(py, rows)?)
}
