//! How diagonals are split into baby steps and giant steps: what a plan pins.

use blindsight_circuit::Hoisting;
use blindsight_ckks::GiantOrder;
use serde::{Deserialize, Serialize};

/// Which diagonal is taken where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Preference {
    /// The first from the origin on.
    First,
    /// One that is used already; else the first that the first replica offers.
    Used,
}

/// How diagonals are split into baby and giant steps.
///
/// Every rotation needs a key, and baby steps are many. Where keys cost much, baby steps are made in two
/// rotations: the input is rotated by `stride` again and again, with one key, and baby steps are rotations of
/// these *pre-rotated inputs* by less than the stride, all with the same few keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Split {
    /// Where diagonals are counted from: so many before 0.
    pub origin: usize,
    /// How many neighbouring diagonals share a giant step.
    pub span: usize,
    /// How many neighbouring diagonals of a giant step share a pre-rotated input: all of them where it is the
    /// span.
    pub stride: usize,
    /// How giant steps are made: as a chain they take fewer keys.
    pub order: GiantOrder,
    /// How much of the baby steps' key-switches is shared.
    pub hoisting: Hoisting,
}

/// The rotations that make a diagonal, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    pub pre_rotation: usize,
    pub baby_step: usize,
    pub giant_step: usize,
}

impl Split {
    /// The steps to a diagonal.
    pub fn of(&self, diagonal: usize, slots: usize) -> Steps {
        let rank = (diagonal + self.origin) % slots;
        let within = rank % self.span;
        let baby_step = (within % self.stride + slots - self.origin) % slots;
        Steps { pre_rotation: within / self.stride * self.stride, baby_step, giant_step: rank - within }
    }
}
