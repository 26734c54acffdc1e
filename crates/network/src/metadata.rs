use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{check_finite, check_length};
use crate::{Error, Image, Shape};

mod sample;

pub use sample::Sample;

/// What a client needs to know of a model beside its weights, as the model's file says it under keys that
/// begin with `blindsight.`. What a file leaves out has the default named below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The data set that the model was trained on (`mnist`, ...), if known.
    pub dataset: Option<String>,
    /// One line on the model, if given.
    pub description: Option<String>,
    /// The share of the data set's test images that are classified rightly, from 0 to 1, if known.
    pub accuracy: Option<f64>,
    /// What is subtracted from each channel's pixels, as a share of 255. Default 0.
    pub mean: Vec<f64>,
    /// What each channel is divided by after that. Default 1.
    pub std: Vec<f64>,
    /// Whether the file says a mean or a deviation; otherwise what mean and std are is assumed. Default no.
    pub is_normalised: bool,
    /// A name for each score, or two for one score: that of a negative one first. Default what the file's
    /// operators say, else their indices.
    pub labels: Vec<String>,
    /// The least and the largest value of a normalised input. Default what pixels from 0 to 255 can give.
    pub input_range: (f64, f64),
    /// What no score's magnitude should exceed, if known.
    pub score_bound: Option<f64>,
    /// For each layer by name, how large its outputs were over the training images. Default none.
    pub ranges: BTreeMap<String, ValueRange>,
    /// How many times as large the errors of an encrypted run are on data as on the planner's probe, if
    /// known.
    pub error_ratio: Option<f64>,
    /// For a network of numbers what each of them is called, if known.
    pub features: Option<Vec<String>>,
    /// Inputs to try the model with. Default none.
    pub samples: Vec<Sample>,
    /// For a network of numbers what each of them usually is, if known: features of a table have ranges of
    /// their own. Default none.
    pub usual_input: Option<Vec<f64>>,
}

/// How large a layer's outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueRange {
    /// The largest magnitude.
    pub max: f64,
    /// The root mean square.
    pub rms: f64,
}

impl Metadata {
    /// The metadata of a model without any entry, for images of `input` and a number of scores.
    pub fn new(input: Shape, scores: usize) -> Self {
        Self {
            dataset: None,
            description: None,
            accuracy: None,
            mean: vec![0.0; input.channels],
            std: vec![1.0; input.channels],
            is_normalised: false,
            labels: (0..scores).map(|i| i.to_string()).collect(),
            input_range: (0.0, 1.0),
            score_bound: None,
            ranges: BTreeMap::new(),
            error_ratio: None,
            features: None,
            samples: vec![],
            usual_input: None,
        }
    }

    /// Reads a model's entries (keys and values), with these labels where there is no entry for them; keys
    /// outside `blindsight.` are left alone, unknown ones within it too. Refuses values of the wrong form,
    /// count or range.
    pub(crate) fn parse<'a>(
        input: Shape,
        scores: usize,
        labels: Vec<String>,
        entries: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let entries: BTreeMap<&str, &str> = entries.collect();
        let entry = |key: &'static str| entries.get(key).map(|&value| Entry { key, value });
        let mut parsed = Self { labels, ..Self::new(input, scores) };
        parsed.dataset = entry("blindsight.dataset").map(|e| e.value.to_string());
        parsed.description = entry("blindsight.description").map(|e| e.value.to_string());
        parsed.accuracy = entry("blindsight.accuracy")
            .map(|e| e.number("a share from 0 to 1", |v| (0.0..=1.0).contains(&v)))
            .transpose()?;
        if let Some(e) = entry("blindsight.mean") {
            parsed.mean = e.numbers(input.channels, "finite numbers", f64::is_finite)?;
        }
        if let Some(e) = entry("blindsight.std") {
            parsed.std = e.numbers(input.channels, "positive numbers", |v| v.is_finite() && v > 0.0)?;
        }
        parsed.is_normalised = entry("blindsight.mean").or(entry("blindsight.std")).is_some();
        if let Some(e) = entry("blindsight.labels") {
            parsed.labels = e.labels(scores)?;
        }
        parsed.input_range = match entry("blindsight.input_range") {
            Some(e) => e.range()?,
            None => parsed.pixel_range(),
        };
        parsed.score_bound = entry("blindsight.score_bound")
            .map(|e| e.number("a positive number", |v| v.is_finite() && v > 0.0))
            .transpose()?;
        if let Some(e) = entry("blindsight.ranges") {
            parsed.ranges = e.ranges()?;
        }
        parsed.usual_input = entry("blindsight.usual_input")
            .map(|e| e.numbers(input.elements(), "finite numbers", f64::is_finite))
            .transpose()?;
        parsed.error_ratio = entry("blindsight.error_ratio")
            .map(|e| e.number("a number from 0.01 to 100", |v| (0.01..=100.0).contains(&v)))
            .transpose()?;
        parsed.features = entry("blindsight.features").map(|e| e.features(input.elements())).transpose()?;
        if let Some(e) = entry("blindsight.samples") {
            parsed.samples = e.samples(input)?;
        }
        Ok(parsed)
    }

    /// Refuses ranges of what the network has not: `is_known` says which names it has.
    pub(crate) fn check_ranges(&self, is_known: impl Fn(&str) -> bool) -> Result<(), Error> {
        let Some(unknown) = self.ranges.keys().find(|name| !is_known(name)) else { return Ok(()) };
        let (key, value) = ("blindsight.ranges".into(), unknown.chars().take(80).collect());
        Err(Error::Metadata { key, value, expected: "names of the graph's nodes or of their outputs".into() })
    }

    /// The entries of a model's file that say the same, keys and values: what is read from them are these
    /// metadata again.
    pub(crate) fn entries(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let numbers = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let ranges = json_entry("blindsight.ranges", &self.ranges)?;
        let samples = json_entry("blindsight.samples", &self.samples)?;
        let entries = [
            ("blindsight.dataset", self.dataset.clone()),
            ("blindsight.description", self.description.clone()),
            ("blindsight.accuracy", self.accuracy.map(|a| a.to_string())),
            ("blindsight.mean", self.is_normalised.then(|| numbers(&self.mean))),
            ("blindsight.std", self.is_normalised.then(|| numbers(&self.std))),
            ("blindsight.labels", Some(names_entry(&self.labels))),
            ("blindsight.input_range", Some(numbers(&[self.input_range.0, self.input_range.1]))),
            ("blindsight.score_bound", self.score_bound.map(|b| b.to_string())),
            ("blindsight.ranges", (!self.ranges.is_empty()).then_some(ranges)),
            ("blindsight.usual_input", self.usual_input.as_deref().map(numbers)),
            ("blindsight.error_ratio", self.error_ratio.map(|ratio| ratio.to_string())),
            ("blindsight.features", self.features.as_deref().map(names_entry)),
            ("blindsight.samples", (!self.samples.is_empty()).then_some(samples)),
        ];
        Ok(entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }

    /// The same metadata for pixels that are normalised otherwise, and the range of inputs that follows from
    /// it.
    ///
    /// Refuses other than one finite mean and one positive deviation for each of the channels there were.
    pub fn with_normalisation(mut self, mean: Vec<f64>, std: Vec<f64>) -> Result<Self, Error> {
        for (what, values) in [("means", &mean), ("deviations", &std)] {
            check_length(|| format!("{what} of the channels"), self.mean.len(), values.len())?;
            check_finite(&format!("{what} of the channels"), values)?;
        }
        if let Some(deviation) = std.iter().find(|s| **s <= 0.0) {
            let (what, expected) = ("deviations of the channels".into(), "positive numbers".into());
            return Err(Error::Mismatch { what, expected, actual: deviation.to_string() });
        }
        (self.mean, self.std, self.is_normalised) = (mean, std, true);
        self.input_range = self.pixel_range();
        Ok(self)
    }

    /// The values that pixels from 0 to 255 have once normalised.
    fn pixel_range(&self) -> (f64, f64) {
        let channels = || self.mean.iter().zip(&self.std);
        let least = channels().map(|(m, s)| -m / s).fold(f64::INFINITY, f64::min);
        let largest = channels().map(|(m, s)| (1.0 - m) / s).fold(f64::NEG_INFINITY, f64::max);
        (least, largest)
    }

    /// The network's input for an image: `(pixel / 255 - mean) / std`, in the order channel, row, column.
    /// Refuses an image with another number of channels than the metadata describe.
    pub fn normalise(&self, image: &Image) -> Result<Vec<f64>, Error> {
        let shape = image.shape();
        if shape.channels != self.mean.len() || shape.channels != self.std.len() {
            let (expected, actual) = (format!("{} channels", self.mean.len()), image.to_string());
            return Err(Error::Image { expected, actual });
        }
        let planes = image.pixels().chunks(shape.positions()).zip(self.mean.iter().zip(&self.std));
        Ok(planes
            .flat_map(|(plane, (m, s))| plane.iter().map(move |&p| (f64::from(p) / 255.0 - m) / s))
            .collect())
    }
}

/// Figures as an entry.
fn json_entry(key: &str, figures: &impl Serialize) -> Result<String, Error> {
    let unwritable = |e: serde_json::Error| Error::Metadata {
        key: key.into(),
        value: e.to_string(),
        expected: "finite figures".into(),
    };
    serde_json::to_string(figures).map_err(unwritable)
}

/// Names as an entry: separated by commas, or as a JSON list where that would be read as others.
fn names_entry(names: &[String]) -> String {
    let joined = names.join(",");
    if separated(&joined) == names { joined } else { serde_json::Value::from(names).to_string() }
}

/// The names of an entry: a JSON list of texts, or what stands between commas.
fn separated(value: &str) -> Vec<String> {
    let listed = value.trim_start().starts_with('[').then(|| serde_json::from_str(value).ok()).flatten();
    listed.unwrap_or_else(|| value.split(',').map(|label| label.trim().to_string()).collect())
}

/// One entry of the metadata.
struct Entry<'a> {
    key: &'static str,
    value: &'a str,
}

impl Entry<'_> {
    fn error(&self, expected: impl Into<String>) -> Error {
        Error::Metadata {
            key: self.key.into(),
            value: self.value.chars().take(80).collect(),
            expected: expected.into(),
        }
    }

    fn number(&self, expected: &str, accept: impl Fn(f64) -> bool) -> Result<f64, Error> {
        self.value.trim().parse().ok().filter(|&v| accept(v)).ok_or_else(|| self.error(expected))
    }

    fn numbers(&self, count: usize, expected: &str, accept: impl Fn(f64) -> bool) -> Result<Vec<f64>, Error> {
        let numbers = self
            .value
            .split(',')
            .map(|v| v.trim().parse().ok().filter(|&v| accept(v)))
            .collect::<Option<Vec<f64>>>();
        let numbers = numbers.filter(|n| n.len() == count);
        numbers.ok_or_else(|| self.error(format!("{count} {expected}, separated by commas")))
    }

    fn labels(&self, count: usize) -> Result<Vec<String>, Error> {
        let labels = separated(self.value);
        if labels.len() == count || (labels.len() == 2 && count == 1) {
            return Ok(labels);
        }
        let or_two = if count == 1 { " (or two, for its signs)" } else { "" };
        Err(self.error(format!(
            "{count} labels, separated by commas, one for each score{or_two}; it has {}",
            labels.len()
        )))
    }

    fn features(&self, count: usize) -> Result<Vec<String>, Error> {
        let names = separated(self.value);
        let found = names.len();
        let fit = found == count;
        fit.then_some(names).ok_or_else(|| {
            self.error(format!("{count} names, separated by commas, one for each number; it has {found}"))
        })
    }

    fn range(&self) -> Result<(f64, f64), Error> {
        match self.numbers(2, "finite numbers, the least and the largest", f64::is_finite)?.as_slice() {
            &[least, largest] if least < largest => Ok((least, largest)),
            _ => Err(self.error("the least value before the largest")),
        }
    }

    fn ranges(&self) -> Result<BTreeMap<String, ValueRange>, Error> {
        let expected = r#"JSON of the form {"layer": {"max": 1.5, "rms": 0.5}, ...}, no figure negative"#;
        let ranges: BTreeMap<String, ValueRange> =
            serde_json::from_str(self.value).map_err(|e| self.error(format!("{expected} ({e})")))?;
        let sound = |v: f64| v.is_finite() && v >= 0.0;
        if ranges.values().all(|r| sound(r.max) && sound(r.rms)) {
            Ok(ranges)
        } else {
            Err(self.error(expected))
        }
    }
}

#[cfg(test)]
mod tests;
