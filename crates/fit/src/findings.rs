//! What a search found out: kept by whoever wants to go on after it was broken off.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::judgement::Judgement;
use crate::price::Price;

/// Something that a search found out, and that holds for the same network, inputs and options: told by
/// [`Step::Found`](crate::Step::Found), taken by [`Options::known`](crate::Options::known).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    degrees: Vec<usize>,
    found: Found,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    /// How the network with these degrees compares with the one before.
    Judged(Judgement),
    /// What it costs; nothing where no plan runs it.
    Priced(Option<Price>),
}

impl Finding {
    pub(crate) fn judged(degrees: &[usize], judgement: Judgement) -> Self {
        Self { degrees: degrees.to_vec(), found: Found::Judged(judgement) }
    }

    pub(crate) fn priced(degrees: &[usize], price: Option<Price>) -> Self {
        Self { degrees: degrees.to_vec(), found: Found::Priced(price) }
    }
}

/// Findings, by degrees.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    judgements: HashMap<Vec<usize>, Judgement>,
    prices: HashMap<Vec<usize>, Option<Price>>,
}

impl Findings {
    pub(crate) fn new(findings: &[Finding]) -> Self {
        let mut all = Self::default();
        for Finding { degrees, found } in findings {
            match *found {
                Found::Judged(judgement) => drop(all.judgements.insert(degrees.clone(), judgement)),
                Found::Priced(price) => drop(all.prices.insert(degrees.clone(), price)),
            }
        }
        all
    }

    pub(crate) fn judgement(&self, degrees: &[usize]) -> Option<Judgement> {
        self.judgements.get(degrees).copied()
    }

    /// What is known of a price: that there is one, or that there is none.
    pub(crate) fn price(&self, degrees: &[usize]) -> Option<Option<Price>> {
        self.prices.get(degrees).copied()
    }
}
