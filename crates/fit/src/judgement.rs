//! How a fitted network is judged.

use serde::{Deserialize, Serialize};

/// How a network compares with the one before, on the inputs held back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judgement {
    pub accuracy: f64,
    /// What is lost, as a share.
    pub drop: f64,
    /// The standard error of that.
    pub deviation: f64,
    /// How far scores are from those before, as a share of what these vary by. It tells networks apart that a
    /// few hundred classes do not.
    pub distance: f64,
}

impl Judgement {
    /// From which inputs were classified rightly, before and after, and how far scores are from those before.
    pub fn new(rights: impl Iterator<Item = (bool, bool)>, distance: f64) -> Self {
        let (mut count, mut after, mut lost, mut changed) = (0.0, 0.0, 0.0, 0.0);
        for (right_before, right_after) in rights {
            let change = f64::from(u8::from(right_before)) - f64::from(u8::from(right_after));
            count += 1.0;
            after += f64::from(u8::from(right_after));
            lost += change;
            changed += change * change;
        }
        let drop = lost / count;
        let variance = (changed / count - drop * drop).max(0.0);
        Self { accuracy: after / count, drop, deviation: (variance / count).sqrt(), distance }
    }

    /// Whether no more than so many points are lost.
    pub fn keeps(self, points: f64, certainty: Certainty) -> bool {
        let drop = match certainty {
            Certainty::Margin => self.drop + self.deviation,
            Certainty::Counted => self.drop,
            Certainty::Possible => self.drop - self.deviation,
        };
        100.0 * drop <= points
    }
}

/// How sure it is to be that no more is lost than is allowed: few inputs tell accuracies apart badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// By a standard error more than was counted.
    Margin,
    /// As it was counted.
    Counted,
    /// Within a standard error of what was counted.
    Possible,
}
