//! The diagonals of a step, decided, and the ways to split them that are worth a look.

use super::assignment::DiagonalAssignment;
use super::giant_steps::{GiantSteps, Shapes, VisitMarks};
use super::offsets::RotationOffsets;
use super::set::DiagonalSet;
use super::split::Preference;
use crate::graph::Layer;
use blindsight_layout::{Layout, Placement};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// The diagonals of a step, decided.
pub struct Decided {
    pub diagonals: DiagonalSet,
    pub origin: usize,
    pub preference: Preference,
    /// The ways to split them that are worth a look, once one is asked for.
    ways: OnceLock<Vec<Way>>,
}

/// A way to split diagonals into giant steps: with every baby step a rotation of its input, and with baby
/// steps made in two rotations, once these are asked for.
pub struct Way {
    steps: GiantSteps,
    pub plain: Shapes,
    pre_rotated: OnceLock<Vec<Shapes>>,
}

impl Decided {
    /// The diagonals with the fewest products, over origins and preferences, for the offsets of each term;
    /// `None` where there are none.
    pub fn fewest(
        layer: &Layer,
        from: &[Arc<Placement>],
        to: &Arc<Placement>,
        offsets: &[Arc<RotationOffsets>],
    ) -> Option<Self> {
        // Rows of a dense layer see all columns, so there is nothing to gain by looking for the best origin.
        let dense = layer.terms.iter().all(|term| term.linear.is_dense());
        let preferences =
            if dense { &[Preference::First][..] } else { &[Preference::First, Preference::Used] };
        let all = offsets.iter().map(|offsets| &**offsets);
        let mut origins = if dense { vec![0] } else { vec![0, RotationOffsets::origin(all)] };
        origins.dedup();
        let ways = origins.into_iter().flat_map(|origin| preferences.iter().map(move |p| (origin, *p)));
        let decided = ways.map(|(origin, preference)| {
            let terms = from.iter().zip(offsets).map(|(from, offsets)| {
                DiagonalAssignment::new(offsets, from.clone(), to.clone(), origin, preference)
                    .into_diagonals()
            });
            let diagonals = DiagonalSet::joined(terms.collect());
            Self { diagonals, origin, preference, ways: OnceLock::new() }
        });
        decided
            .min_by_key(|decided| decided.diagonals.size())
            .filter(|decided| decided.diagonals.products() > 0)
    }

    /// The ways to split them, given the distances at which they repeat.
    pub fn ways(&self, units: impl FnOnce() -> Units) -> &[Way] {
        self.ways.get_or_init(|| {
            let mut marks = VisitMarks::new(self.diagonals.slots());
            let splits = useful_splits(&self.diagonals, self.origin, &units(), &mut marks);
            splits.into_iter().map(|steps| Way::new(steps, &mut marks)).collect()
        })
    }
}

/// Numbers of giant steps that are aimed at.
const GIANT_STEPS: [usize; 19] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26, 32, 40, 50, 64, 80, 100];

/// Distances at which diagonals repeat.
pub type Units = BTreeSet<usize>;

/// The strides of the layouts.
pub fn units<'a>(layouts: impl Iterator<Item = &'a Layout>, slots: usize) -> Units {
    let strides = layouts.flat_map(|layout| &layout.digits).map(|d| d.stride);
    strides.chain([1]).filter(|u| (1..slots).contains(u)).collect()
}

/// Spans of giant steps that are worth a look.
pub fn spans(diagonals: &DiagonalSet, origin: usize, units: &Units) -> BTreeSet<usize> {
    let (range, terms) = (diagonals.range(origin), diagonals.products());
    let spans = |unit: &usize| {
        let (unit, steps) = (*unit, range.div_ceil(*unit));
        let giant_steps = GIANT_STEPS.into_iter().filter(move |g| *g <= steps && g * g <= 2 * terms);
        giant_steps.map(move |giant_steps| steps.div_ceil(giant_steps) * unit)
    };
    units.iter().flat_map(spans).filter(|s| *s <= diagonals.slots()).collect()
}

/// How far apart pre-rotated inputs may lie: as far as the strides of the layouts, times powers of two; the
/// last is the span, for none.
pub fn strides(units: &Units, span: usize) -> BTreeSet<usize> {
    let multiples =
        |unit: &usize| std::iter::successors(Some(*unit), |s| Some(s * 2)).take_while(|s| *s < span);
    units.iter().flat_map(multiples).chain([span]).collect()
}

/// Splits into giant steps, for each number of them: the one with the fewest baby steps.
fn useful_splits(
    diagonals: &DiagonalSet,
    origin: usize,
    units: &Units,
    marks: &mut VisitMarks,
) -> Vec<GiantSteps> {
    let mut best: BTreeMap<usize, GiantSteps> = BTreeMap::new();
    for span in spans(diagonals, origin, units) {
        let steps = diagonals.giant_steps(origin, span, marks);
        if !steps.is_whole() {
            return vec![];
        }
        let rotated = steps.rotated();
        if best.get(&rotated).is_none_or(|least| steps.baby_steps() < least.baby_steps()) {
            best.insert(rotated, steps);
        }
    }
    best.into_values().collect()
}

/// Ways to make baby steps of pre-rotated inputs: those that take fewer keys than all with as few of these.
fn ways_to_pre_rotate(steps: &GiantSteps, units: &Units) -> Vec<Shapes> {
    let mut marks = VisitMarks::new(steps.slots());
    let strides = strides(units, steps.span).into_iter().filter(|stride| *stride < steps.span);
    let mut ways: Vec<Shapes> = strides.map(|stride| steps.shapes(stride, &mut marks)).collect();
    ways.sort_by_key(|shapes| (shapes.pre_rotated, shapes.keys));
    let mut least = usize::MAX;
    ways.retain(|shapes| {
        let fewer = shapes.keys < least;
        least = least.min(shapes.keys);
        fewer
    });
    ways
}

impl Way {
    fn new(steps: GiantSteps, marks: &mut VisitMarks) -> Self {
        let plain = steps.shapes(steps.span, marks);
        Self { steps, plain, pre_rotated: OnceLock::new() }
    }

    /// The same with baby steps made in two rotations.
    pub fn pre_rotated(&self, units: impl FnOnce() -> Units) -> &[Shapes] {
        self.pre_rotated.get_or_init(|| ways_to_pre_rotate(&self.steps, &units()))
    }
}
