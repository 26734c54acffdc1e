//! What splits of diagonals cost: counted, many at a time, before anything is built.

use super::split::Split;
use blindsight_circuit::{BabySteps, Factors, Hoisting, TransformShape};
use blindsight_ckks::GiantOrder;

/// When each step was last seen: cheaper than sets, for a planner that counts many.
pub struct VisitMarks {
    pub(super) giant_steps: Vec<u32>,
    pub(super) within: Vec<u32>,
    last: u32,
}

impl VisitMarks {
    /// None seen yet.
    pub fn new(slots: usize) -> Self {
        Self { giant_steps: vec![0; slots], within: vec![0; slots], last: 0 }
    }

    pub(super) fn next(&mut self) -> u32 {
        self.last += 1;
        self.last
    }
}

/// Whether `marks` sees a place for the first time since `now`.
pub(super) fn first(marks: &mut [u32], place: usize, now: u32) -> bool {
    std::mem::replace(&mut marks[place], now) != now
}

/// All diagonals of a layer, split into giant steps; how each of these is made is open.
#[derive(Clone)]
pub struct GiantSteps {
    pub(super) slots: usize,
    pub(super) origin: usize,
    /// How many diagonals share a giant step.
    pub span: usize,
    pub(super) order: GiantOrder,
    pub(super) rows: Vec<GiantRow>,
    /// Keys of giant steps.
    pub(super) keys: usize,
}

/// Those of one ciphertext of the output.
#[derive(Clone)]
pub(super) struct GiantRow {
    pub(super) giant_steps: usize,
    pub(super) rotated: usize,
    pub(super) factors: Factors,
    /// For each input its diagonals, counted from their giant steps, in order.
    pub(super) within: Vec<Vec<usize>>,
}

/// What a split costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shapes {
    /// The split.
    pub split: Split,
    /// For each ciphertext of the output.
    pub transforms: Vec<TransformShape>,
    /// How many rotations make the pre-rotated inputs.
    pub pre_rotated: usize,
    /// How many keys are needed.
    pub keys: usize,
}

impl GiantSteps {
    /// How many slots a ciphertext has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Whether every ciphertext of the output has a product.
    pub fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.factors.count > 0)
    }

    /// How many giant steps rotate.
    pub fn rotated(&self) -> usize {
        self.rows.iter().map(|row| row.rotated).sum()
    }

    /// How many baby steps there are.
    pub fn baby_steps(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.within).map(Vec::len).sum()
    }

    /// The same, giant steps made in this order.
    pub fn ordered(&self, order: GiantOrder) -> Self {
        Self { order, ..self.clone() }
    }

    /// What it costs with pre-rotated inputs so many diagonals apart.
    pub fn shapes(&self, stride: usize, marks: &mut VisitMarks) -> Shapes {
        let (order, hoisting) = (self.order, Hoisting::default());
        let split = Split { origin: self.origin, span: self.span, stride, order, hoisting };
        let keys = marks.next();
        let transform = |row: &GiantRow| TransformShape {
            baby_steps: vec![],
            giant_steps: row.giant_steps,
            rotated: row.rotated,
            factors: row.factors,
            order,
            hoisting,
        };
        let transforms = self.rows.iter().map(transform).collect();
        let mut shapes = Shapes { split, transforms, pre_rotated: 0, keys: self.keys };
        for input in 0..self.rows[0].within.len() {
            let pre_rotated = marks.next();
            for (row, transform) in self.rows.iter().zip(&mut shapes.transforms) {
                // Diagonals ascend, so those of a pre-rotated input follow one another.
                for of_pre_rotation in row.within[input].chunk_by(|a, b| a / stride == b / stride) {
                    let rest = of_pre_rotation.iter().map(|within| within % stride);
                    let unrotated = rest.clone().any(|rest| rest == self.origin);
                    let new =
                        rest.filter(|r| *r != self.origin && first(&mut marks.within, *r, keys)).count();
                    let pre_rotation = of_pre_rotation[0] / stride;
                    shapes.keys += new;
                    shapes.pre_rotated += usize::from(
                        pre_rotation != 0 && first(&mut marks.giant_steps, pre_rotation, pre_rotated),
                    );
                    transform.baby_steps.push(BabySteps {
                        rotated: of_pre_rotation.len() - usize::from(unrotated),
                        unrotated,
                    });
                }
            }
        }
        shapes.keys += usize::from(shapes.pre_rotated > 0);
        shapes
    }
}

impl Shapes {
    /// The same, hoisted so.
    pub fn hoisted(mut self, hoisting: Hoisting) -> Self {
        self.split.hoisting = hoisting;
        self.transforms.iter_mut().for_each(|shape| shape.hoisting = hoisting);
        self
    }
}
