//! Inputs to try a model with, which its file may bring along.

use super::Entry;
use crate::{Error, Shape};
use serde::{Deserialize, Serialize};

/// An input to try a model with, and what it is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What it shows.
    pub name: String,
    /// In the order channel, row, column: pixels from 0 to 255 for a network of images, else numbers as they
    /// stand in a table, before the mean is subtracted.
    pub values: Vec<f64>,
}

/// No model brings more samples.
pub(super) const MOST_SAMPLES: usize = 16;

impl Entry<'_> {
    /// The samples of an entry, each of as many values as an input has.
    pub(super) fn samples(&self, input: Shape) -> Result<Vec<Sample>, Error> {
        let count = input.elements();
        let expected = format!(
            r#"JSON of the form [{{"name": "a cat", "values": [...]}}, ...], at most {MOST_SAMPLES} of {count} values each"#
        );
        let samples: Vec<Sample> =
            serde_json::from_str(self.value).map_err(|e| self.error(format!("{expected} ({e})")))?;
        let fit = samples.len() <= MOST_SAMPLES && samples.iter().all(|s| s.values.len() == count);
        if fit { Ok(samples) } else { Err(self.error(expected)) }
    }
}
