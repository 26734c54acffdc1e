//! What a network's file applies to its scores at the very end. It is no part of the encrypted network: the
//! client applies it to the scores that it decrypts.

use serde::{Deserialize, Serialize};

/// What a file applies to the scores at the end of its network, and the client applies in its stead.
///
/// # Examples
///
/// ```
/// use blindsight_network::FinalActivation;
///
/// let scores = [1.0, 3.0];
/// let probabilities = FinalActivation::Softmax.probabilities(&scores, 2).expect("a softmax gives some");
/// assert!((probabilities[1] - 1.0 / (1.0 + (-2.0f64).exp())).abs() < 1e-12);
/// assert_eq!(FinalActivation::ArgMax.probabilities(&scores, 2), None);
/// // One score for two classes: the second one where the score is positive.
/// assert_eq!(FinalActivation::class_of(&[0.3], 2), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalActivation {
    /// Nothing: the network ends in its scores.
    #[default]
    None,
    /// `exp(x_i) / sum over j of exp(x_j)`.
    Softmax,
    /// The logarithm of the softmax.
    LogSoftmax,
    /// `1 / (1 + exp(-x))` of each score.
    Sigmoid,
    /// The index of the largest score.
    ArgMax,
}

impl FinalActivation {
    /// The operator's name, as ONNX has it; `none` where there is none.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Softmax => "Softmax",
            Self::LogSoftmax => "LogSoftmax",
            Self::Sigmoid => "Sigmoid",
            Self::ArgMax => "ArgMax",
        }
    }

    /// The score of each of so many classes. One score for two classes is that of the second one; the first
    /// one has zero, which gives the same probabilities and the same decision.
    pub fn class_scores(scores: &[f64], classes: usize) -> Vec<f64> {
        match scores {
            &[score] if classes == 2 => vec![0.0, score],
            _ => scores.to_vec(),
        }
    }

    /// The probability of each of so many classes; `None` where the network does not say how scores become
    /// probabilities.
    ///
    /// Softmax and its logarithm give probabilities whose sum is one, a sigmoid one for each score by
    /// itself; one score of a sigmoid for two classes gives both.
    pub fn probabilities(self, scores: &[f64], classes: usize) -> Option<Vec<f64>> {
        match (self, scores.len()) {
            (Self::None | Self::ArgMax, _) => None,
            (Self::Sigmoid, 1) if classes == 2 => Some(softmax(&Self::class_scores(scores, classes))),
            (Self::Sigmoid, _) => Some(scores.iter().map(|score| sigmoid(*score)).collect()),
            (Self::Softmax | Self::LogSoftmax, _) => Some(softmax(&Self::class_scores(scores, classes))),
        }
    }

    /// The class that scores mean, of so many: that of the largest score, the first of equals. For one
    /// score and two classes that is the second one where the score is positive, a probability above one
    /// half. Zero where there are none.
    pub fn class_of(scores: &[f64], classes: usize) -> usize {
        let scores = Self::class_scores(scores, classes);
        (1..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
    }

    /// How many classes so many scores stand for, where the file does not say it: a sigmoid's only score
    /// stands for two.
    pub const fn classes(self, scores: usize) -> usize {
        match (self, scores) {
            (Self::Sigmoid, 1) => 2,
            _ => scores,
        }
    }
}

/// Without overflow, however large the scores are.
fn softmax(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |most, score| most.max(*score));
    let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn large_scores_have_probabilities() {
        let probabilities = FinalActivation::Softmax.probabilities(&[1e4, 1e4, -1e300], 3);
        assert_eq!(probabilities, Some(vec![0.5, 0.5, 0.0]));
        assert_eq!(FinalActivation::Sigmoid.probabilities(&[-1e5], 2), Some(vec![1.0, 0.0]));
    }

    #[test]
    fn one_score_stands_for_two_classes_or_for_one() {
        assert_eq!([-0.1, 0.0, 0.1].map(|s| FinalActivation::class_of(&[s], 2)), [0, 0, 1]);
        assert_eq!(FinalActivation::class_of(&[5.0], 1), 0);
        assert_eq!(FinalActivation::Sigmoid.probabilities(&[0.0], 1), Some(vec![0.5]));
        assert_eq!([FinalActivation::Sigmoid.classes(1), FinalActivation::None.classes(1)], [2, 1]);
    }

    proptest! {
        #[test]
        fn probabilities_follow_the_scores(scores in prop::collection::vec(-50.0f64..50.0, 2..9)) {
            for form in [FinalActivation::Softmax, FinalActivation::LogSoftmax] {
                let probabilities = form.probabilities(&scores, scores.len()).expect("probabilities");
                prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                let class = |values: &[f64]| FinalActivation::class_of(values, scores.len());
                prop_assert_eq!(class(&probabilities), class(&scores));
                for (p, s) in probabilities.iter().zip(&scores) {
                    let plain = s.exp() / scores.iter().map(|s| s.exp()).sum::<f64>();
                    prop_assert!((p - plain).abs() < 1e-12);
                }
            }
        }
    }
}
