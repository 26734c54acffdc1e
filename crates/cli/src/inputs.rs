//! Inputs: read for a model or a plan, with what is to be said of them.

use crate::failure::{During, Outcome};
use blindsight_client::printable;
use blindsight_data::{Dataset, Input, InputSource, InputSpec, Samples, Split};
use blindsight_layout::PublicPlan;
use blindsight_network::{Image, Metadata, Model};
use std::path::Path;

/// What a plan's client gives: as its public part says.
pub fn spec_of(plan: &PublicPlan) -> InputSpec {
    let shape = plan.input.shape();
    let metadata = Metadata {
        mean: plan.mean.clone(),
        std: plan.std.clone(),
        labels: plan.labels.clone(),
        input_range: plan.input_range,
        ..Metadata::new(shape, plan.labels.len())
    };
    InputSpec::new(shape, metadata)
}

/// Reads an input; how an image was converted is said on stderr.
pub fn load(source: &InputSource, spec: &InputSpec) -> Outcome<Vec<f64>> {
    let mut notes = Notes::default();
    Ok(notes.values(source.load(spec)?))
}

/// The test part of a data set.
pub fn data_set(path: &Path, spec: &InputSpec) -> Outcome<Dataset> {
    Dataset::open(path, Split::Test, spec).during(|| format!("data set {}", path.display()))
}

/// A black image, or a vector that stands for one.
pub fn black(model: &Model) -> Outcome<Vec<f64>> {
    let shape = model.graph.input;
    Ok(model.input(&Image::new(shape, vec![0; shape.elements()])?)?)
}

/// What is said of inputs, on stderr: of the first few each, of the others how many there are.
#[derive(Debug, Default)]
pub struct Notes {
    count: usize,
}

impl Notes {
    /// Of how many each.
    const MOST: usize = 3;

    /// The values of an input, after it was said how an image was converted.
    pub fn values(&mut self, input: Input) -> Vec<f64> {
        if let Some(conversion) = input.conversion {
            self.say(&conversion.to_string());
        }
        input.values
    }

    /// Says something of one input.
    pub fn say(&mut self, what: &str) {
        self.count += 1;
        if self.count <= Self::MOST {
            eprintln!("{}", printable(what));
        }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        if self.count > Self::MOST {
            eprintln!("... and the like of {} more inputs", self.count - Self::MOST);
        }
    }
}

/// Inputs from several places, one after the other: files, rows and samples, and whole data sets.
pub struct Inputs {
    places: Vec<Place>,
    spec: InputSpec,
}

/// Where inputs come from.
enum Place {
    One(InputSource),
    Many { samples: Box<Samples>, count: usize },
}

impl Inputs {
    /// Opens what `sources` name; at most `count` samples of each data set.
    pub fn open(sources: &[InputSource], count: Option<u64>, spec: InputSpec) -> Outcome<Self> {
        let most = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
        let place = |source: &InputSource| match source.data_set() {
            None => Ok(Place::One(source.clone())),
            Some(path) => {
                let samples = Box::new(Samples::open(path, Split::Test, &spec)?);
                let count = samples.len().min(most);
                Ok(Place::Many { samples, count })
            }
        };
        let places = sources.iter().map(place).collect::<Outcome<_>>()?;
        Ok(Self { places, spec })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.iter().map(Place::len).sum()
    }

    /// Each in turn, read when it is asked for.
    pub fn iter(&self) -> impl Iterator<Item = Outcome<Input>> {
        self.places.iter().flat_map(|place| (0..place.len()).map(|n| place.read(n, &self.spec)))
    }
}

impl Place {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many { count, .. } => *count,
        }
    }

    fn read(&self, n: usize, spec: &InputSpec) -> Outcome<Input> {
        Ok(match self {
            Self::One(source) => source.load(spec)?,
            Self::Many { samples, .. } => samples.input(n)?,
        })
    }
}
