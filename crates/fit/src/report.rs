//! What a fit tells.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// What was done to a network, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many inputs there were.
    pub count: usize,
    /// How many of them were held back: everything below was judged on them.
    pub held_back: usize,
    /// The share that the network classified rightly before; `None` without labels.
    pub accuracy_before: Option<f64>,
    /// The share that the fitted network classifies rightly; `None` without labels.
    pub accuracy_after: Option<f64>,
    /// The share that both give the same class.
    pub agree: f64,
    /// What no score's magnitude should exceed.
    pub score_bound: f64,
    /// The root mean square of the scores, over all inputs.
    pub score_rms: f64,
    /// The root mean square of the scores about the mean of each input's: what tells classes apart.
    pub score_spread: f64,
    /// Levels of the plan.
    pub levels: usize,
    /// Predicted time of an encrypted inference on one core, in milliseconds.
    pub predicted_ms: f64,
    /// The activations, in the order in which they are computed.
    pub activations: Vec<FittedActivation>,
    /// What was tried, the first choice first.
    pub tried: Vec<Trial>,
}

/// An activation and the polynomial in its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FittedActivation {
    /// The node.
    pub name: String,
    /// The activation that it computed.
    pub function: &'static str,
    /// The polynomial's degree.
    pub degree: usize,
    /// The least value that arrived there, over all channels and the inputs that were learned from.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// How far the polynomial is off what the activation makes of these values, root mean square.
    pub rms_error: f64,
}

/// Degrees that were tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// One for each activation.
    pub degrees: Vec<usize>,
    /// The share of the inputs held back that is classified rightly; without labels, as before.
    pub accuracy: f64,
    /// Predicted time of an encrypted inference on one core, in milliseconds; `None` where no plan fits,
    /// and where the accuracy ruled it out.
    pub predicted_ms: Option<f64>,
}

impl Trial {
    /// The highest degree, 1 where there is none.
    pub fn degree(&self) -> usize {
        self.degrees.iter().copied().max().unwrap_or(1)
    }
}

impl Serialize for Trial {
    /// With the highest degree, for whoever compares uniform ones.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Trial", 4)?;
        fields.serialize_field("degree", &self.degree())?;
        fields.serialize_field("degrees", &self.degrees)?;
        fields.serialize_field("accuracy", &self.accuracy)?;
        fields.serialize_field("predicted_ms", &self.predicted_ms)?;
        fields.end()
    }
}
