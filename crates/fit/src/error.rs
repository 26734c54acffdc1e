use crate::LOWEST_DEGREE;

/// Why a network was not fitted. Every variant names the cause, the figures and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Inputs or labels that are no data for this network.
    #[error("{what}: expected {expected}, got {found}")]
    Data {
        /// What was looked at.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// An option outside its range.
    #[error("{what}: expected {expected}, got {found}")]
    Option {
        /// The option.
        what: &'static str,
        /// Its range.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A pool by the largest value, which no polynomial is.
    #[error(
        "MaxPool (node {node:?}) cannot be computed encrypted: allow it to be replaced by average pooling \
         over the same windows (--replace max-pool), or train with average pooling"
    )]
    MaxPool {
        /// The node.
        node: String,
    },
    /// No choice of degrees loses as little accuracy as was asked for.
    #[error(
        "no degrees up to {highest} keep within {allowed} points of the accuracy before: the best, \
         {degrees:?}, lose {drop:.2} points on {held_back} inputs held back; allow more (--max-drop), or give more data"
    )]
    Accuracy {
        /// The highest degree that was tried.
        highest: usize,
        /// The most points that may be lost.
        allowed: f64,
        /// The degrees that lose least, activation by activation.
        degrees: Vec<usize>,
        /// What they lose, in points.
        drop: f64,
        /// How many inputs this was judged on.
        held_back: usize,
    },
    /// The fitted network has no plan.
    #[error("no plan runs the network with degrees {degrees:?}: {source}; {}", without_plan(degrees))]
    NoPlan {
        /// The degrees, activation by activation.
        degrees: Vec<usize>,
        /// What the planner says.
        source: Box<Error>,
    },
    /// The network left the range of numbers: a polynomial ran away.
    #[error(
        "with degrees {degrees:?} the network's scores are no finite numbers: force another degree (--degree)"
    )]
    RunAway {
        /// The degrees, activation by activation.
        degrees: Vec<usize>,
    },
    /// An error of the network.
    #[error(transparent)]
    Network(#[from] blindsight_network::Error),
    /// An error of the planner.
    #[error(transparent)]
    Planner(#[from] blindsight_planner::Error),
}

/// What helps where no plan runs a network with these degrees.
fn without_plan(degrees: &[usize]) -> String {
    let lower = match degrees.iter().max() {
        Some(highest) if *highest > LOWEST_DEGREE => "force a lower degree (--degree)",
        _ => "no degree is lower: train a network of fewer or narrower layers",
    };
    format!("{lower}, or give more inputs like those it will see (--count)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_one_that_can_be_tried() {
        let of = |degrees: &[usize]| {
            let text = |text: &str| text.to_string();
            let source = Error::Data { what: text("a"), expected: text("b"), found: text("c") };
            Error::NoPlan { degrees: degrees.to_vec(), source: Box::new(source) }.to_string()
        };
        assert!(of(&[2, 7]).contains("force a lower degree (--degree), or give more inputs"));
        let lowest = of(&[2, 2]);
        assert!(!lowest.contains("--degree)") && lowest.contains("fewer or narrower layers"), "{lowest}");
    }
}
