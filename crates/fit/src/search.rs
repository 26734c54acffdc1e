//! Which degrees: the cheapest that keep the accuracy.
//!
//! All activations have one degree first, rung by rung up, until the accuracy is kept. Then groups of
//! activations are lowered as far as it still is: all but the critical ones get along with less. A lower
//! degree is never dearer, so prices are asked for what is accurate enough only.

use std::collections::VecDeque;
use std::ops::Range;

use blindsight_network::{FinalActivation, Graph, Metadata};

use crate::batch::Batch;
use crate::build::{Built, build};
use crate::data::Data;
use crate::findings::{Finding, Findings};
use crate::judgement::{Certainty, Judgement};
use crate::prepare::activations;
use crate::price::{Price, error_ratio, price};
use crate::{Error, LOWEST_DEGREE, Options, Step, Trial, measured};

/// The degrees that are tried: for each number of levels the highest, and some between. Beyond them the
/// powers' coefficients gain nothing over an encrypted run's errors.
const RUNGS: [usize; 6] = [LOWEST_DEGREE, 3, 5, 7, 11, 15];
/// The most walks that lowering may take.
const MOST_LOWERED: usize = 6;
/// How many degrees in a row may be tried that no plan runs.
const MOST_UNPLANNED: usize = 2;
/// On how many inputs errors are predicted.
const ERRORS_ON: usize = 6;

/// The network that was chosen.
pub(crate) struct Chosen {
    pub built: Built,
    pub price: Price,
    /// How many times as large as on the planner's probe errors are on data.
    pub error_ratio: f64,
    pub tried: Vec<Trial>,
}

/// Finds the degrees; `metadata` says all but what a walk measures.
pub(crate) fn chosen(
    graph: &Graph,
    metadata: &Metadata,
    data: &Data,
    options: &Options,
    progress: &mut dyn FnMut(Step<'_>),
) -> Result<Chosen, Error> {
    let known = Findings::new(&options.known);
    let mut search = Search { graph, metadata, data, options, progress, known, tried: vec![] };
    let count = activations(graph);
    let candidate = match options.degree {
        _ if count == 0 => search.candidate(vec![])?,
        Some(degree) => search.candidate(vec![degree; count])?,
        None => {
            let (uniform, certainty) = search.uniform(count)?;
            search.lowered(uniform, certainty)?
        }
    };
    search.settled(candidate)
}

/// Degrees that were tried, and the network with them where it was made: what is known of it from before may
/// be enough.
struct Candidate {
    degrees: Vec<usize>,
    built: Option<Built>,
    judgement: Judgement,
}

struct Search<'a> {
    graph: &'a Graph,
    metadata: &'a Metadata,
    data: &'a Data,
    options: &'a Options,
    progress: &'a mut dyn FnMut(Step<'_>),
    /// What a search that was broken off found out.
    known: Findings,
    tried: Vec<Trial>,
}

impl Search<'_> {
    /// The network with these degrees, judged.
    fn candidate(&mut self, degrees: Vec<usize>) -> Result<Candidate, Error> {
        let (built, judgement) = match self.known.judgement(&degrees) {
            Some(judgement) => (None, judgement),
            None => {
                let built = self.build(&degrees)?;
                let judgement = self.judged(&built);
                (self.progress)(Step::Found(&Finding::judged(&degrees, judgement)));
                (Some(built), judgement)
            }
        };
        let accuracy = judgement.accuracy;
        self.tried.push(Trial { degrees: degrees.clone(), accuracy, predicted_ms: None });
        Ok(Candidate { degrees, built, judgement })
    }

    fn build(&mut self, degrees: &[usize]) -> Result<Built, Error> {
        let nodes = self.graph.nodes.len();
        build(self.graph, self.data, degrees, &mut |node| {
            (self.progress)(Step::Fitting { degrees, node, nodes });
        })
    }

    fn judged(&self, built: &Built) -> Judgement {
        let classes = self.metadata.labels.len();
        let class = |scores: &Batch, n: usize| {
            let scores: Vec<f64> = scores.image(n).iter().map(|s| f64::from(*s)).collect();
            FinalActivation::class_of(&scores, classes)
        };
        let held_back = self.data.calibration..self.data.len();
        let distance = distance(&built.original_scores, &built.scores, held_back.clone());
        let rights = held_back.map(|n| {
            let before = class(&built.original_scores, n);
            let right = self.data.labels.as_ref().map_or(before, |labels| labels[n]);
            let sound = built.scores.image(n).iter().all(|s| s.is_finite());
            (before == right, sound && class(&built.scores, n) == right)
        });
        Judgement::new(rights, distance)
    }

    /// Whether a plan runs a candidate; what that costs is noted beside its accuracy.
    fn has_plan(&mut self, candidate: &mut Candidate) -> Result<bool, Error> {
        let price = match self.known.price(&candidate.degrees) {
            Some(price) => price,
            None => {
                let built = match candidate.built.take() {
                    Some(built) => built,
                    None => self.build(&candidate.degrees)?,
                };
                let price = self.price(&candidate.degrees, &built).ok();
                candidate.built = Some(built);
                (self.progress)(Step::Found(&Finding::priced(&candidate.degrees, price)));
                price
            }
        };
        self.note(&candidate.degrees, price);
        Ok(price.is_some())
    }

    fn note(&mut self, degrees: &[usize], price: Option<Price>) {
        if let Some(trial) = self.tried.iter_mut().find(|trial| trial.degrees == degrees) {
            trial.predicted_ms = price.map(|price| price.milliseconds);
        }
    }

    fn price(&mut self, degrees: &[usize], built: &Built) -> Result<Price, Error> {
        if built.scores.values.iter().any(|s| !s.is_finite()) {
            return Err(Error::RunAway { degrees: degrees.to_vec() });
        }
        (self.progress)(Step::Planning { degrees });
        price(&built.graph, &measured(self.metadata, built), &self.options.plan)
    }

    /// The lowest degree for all activations that keeps the accuracy by a margin; else the lowest that keeps
    /// it as it was counted; else the one whose scores are nearest, where that may lose as little as is
    /// allowed. What no plan runs comes last.
    fn uniform(&mut self, count: usize) -> Result<(Candidate, Certainty), Error> {
        let points = self.options.max_drop;
        let (mut enough, mut best, mut unplanned) = (None, None, vec![]);
        for degree in RUNGS {
            let mut candidate = self.candidate(vec![degree; count])?;
            let Judgement { distance, .. } = candidate.judgement;
            let nearer = |best: &Candidate| distance < best.judgement.distance;
            if !self.has_plan(&mut candidate)? {
                unplanned.push(candidate);
            } else if candidate.judgement.keeps(points, Certainty::Margin) {
                return Ok((candidate, Certainty::Margin));
            } else if candidate.judgement.keeps(points, Certainty::Counted) {
                enough.get_or_insert(candidate);
            } else if best.as_ref().is_none_or(nearer) {
                best = Some(candidate);
            }
            if unplanned.len() == MOST_UNPLANNED {
                break;
            }
        }
        if let Some(candidate) = enough {
            return Ok((candidate, Certainty::Counted));
        }
        // What has no plan may have one once some of its degrees are lowered.
        let sound = |certainty| move |c: &Candidate| c.judgement.keeps(points, certainty);
        if let Some(candidate) = best.take_if(|best| sound(Certainty::Possible)(best)) {
            return Ok((candidate, Certainty::Possible));
        }
        match unplanned.into_iter().find(sound(Certainty::Counted)) {
            Some(candidate) => Ok((candidate, Certainty::Counted)),
            None => Err(self.refused(best)),
        }
    }

    /// That no degrees keep the accuracy, not even those that lose least.
    fn refused(&self, best: Option<Candidate>) -> Error {
        let (degrees, drop) = best.map(|best| (best.degrees, best.judgement.drop)).unwrap_or_default();
        Error::Accuracy {
            highest: self.tried.last().map_or(0, Trial::degree),
            allowed: self.options.max_drop,
            degrees,
            drop: 100.0 * drop,
            held_back: self.data.len() - self.data.calibration,
        }
    }

    /// The candidate with activations lowered, in groups and one by one, as long as the accuracy is kept.
    fn lowered(&mut self, mut best: Candidate, certainty: Certainty) -> Result<Candidate, Error> {
        if certainty == Certainty::Possible {
            return Ok(best);
        }
        let mut groups: VecDeque<Range<usize>> = halves(0..best.degrees.len()).into();
        let most = self.tried.len() + MOST_LOWERED;
        while let Some(group) = groups.pop_front() {
            let alone = group.len() == 1;
            for degree in RUNGS.into_iter().take(if alone { RUNGS.len() } else { 1 }) {
                if best.degrees[group.clone()].iter().all(|d| *d <= degree) || self.tried.len() >= most {
                    break;
                }
                let mut degrees = best.degrees.clone();
                degrees[group.clone()].iter_mut().for_each(|d| *d = degree.min(*d));
                if self.tried.iter().any(|trial| trial.degrees == degrees) {
                    continue;
                }
                let candidate = self.candidate(degrees)?;
                if candidate.judgement.keeps(self.options.max_drop, certainty) {
                    best = candidate;
                    break;
                }
                if !alone {
                    groups.extend(halves(group.clone()));
                }
            }
        }
        Ok(best)
    }

    /// The candidate as the choice, with its price: that of a plan whose errors are what they are on data.
    fn settled(mut self, Candidate { degrees, built, .. }: Candidate) -> Result<Chosen, Error> {
        let built = match built {
            Some(built) => built,
            None => self.build(&degrees)?,
        };
        let priced = self.price(&degrees, &built).and_then(|as_predicted| {
            self.note(&degrees, Some(as_predicted));
            let error_ratio = self.error_ratio(&built)?;
            let metadata = Metadata { error_ratio: Some(error_ratio), ..measured(self.metadata, &built) };
            Ok((price(&built.graph, &metadata, &self.options.plan)?, error_ratio))
        });
        match priced {
            Ok((price, error_ratio)) => Ok(Chosen { built, price, error_ratio, tried: self.tried }),
            Err(error @ Error::RunAway { .. }) => Err(error),
            Err(error) => Err(Error::NoPlan { degrees, source: Box::new(error) }),
        }
    }

    /// How many times as large as on the planner's probe errors are on some of the data.
    fn error_ratio(&self, built: &Built) -> Result<f64, Error> {
        let input = |n: usize| self.data.inputs.image(n).iter().map(|v| f64::from(*v)).collect();
        let inputs: Vec<Vec<f64>> = (0..ERRORS_ON.min(self.data.len())).map(input).collect();
        error_ratio(&built.graph, &measured(self.metadata, built), &self.options.plan, &inputs)
    }
}

/// The root mean square by which scores are apart over these inputs, as a share of the standard deviation of
/// the first; the largest number where some are no numbers.
fn distance(before: &Batch, after: &Batch, inputs: Range<usize>) -> f64 {
    let values = |batch: &Batch| -> Vec<f64> {
        inputs.clone().flat_map(|n| batch.image(n).to_vec()).map(f64::from).collect()
    };
    let (before, after) = (values(before), values(after));
    let mean = before.iter().sum::<f64>() / before.len() as f64;
    let varies: f64 = before.iter().map(|b| (b - mean).powi(2)).sum();
    let apart: f64 = before.iter().zip(&after).map(|(b, a)| (b - a).powi(2)).sum();
    let share = (apart / varies.max(f64::MIN_POSITIVE)).sqrt();
    if share.is_finite() { share } else { f64::MAX }
}

/// The halves of a range that are not empty.
fn halves(range: Range<usize>) -> Vec<Range<usize>> {
    let middle = range.start.midpoint(range.end);
    [range.start..middle, middle..range.end].into_iter().filter(|half| !half.is_empty()).collect()
}
