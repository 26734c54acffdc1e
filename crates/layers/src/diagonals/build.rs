//! The operations of a layer by diagonals.

use super::assignment::DiagonalAssignment;
use super::offsets::{RotationOffsets, bearer};
use super::set::DiagonalSet;
use super::split::{Preference, Split, Steps};
use crate::graph::{Layer, Term as LayerTerm};
use crate::linear::Linear;
use crate::rotate_and_sum::{RotateAndSum, add_bias, summed};
use blindsight_circuit::{Builder, Error, GiantStep, Numbers, Term, Value};
use blindsight_ckks::Scale;
use blindsight_layout::{Layout, Placement};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Any linear layer by hybrid diagonals: from layouts with replicas to a layout of partial sums. All its
/// terms share baby and giant steps.
pub struct DiagonalLayer {
    terms: Vec<DiagonalTerm>,
    bias: Arc<[f64]>,
    split: Split,
    /// How a row's partial sums are added up.
    sum: RotateAndSum,
    spacing: usize,
    sums: Arc<Placement>,
    /// The scale of the result.
    scale: Scale,
}

/// One term of a layer, its diagonals decided.
#[derive(Clone)]
pub struct DiagonalTerm {
    linear: Arc<Linear>,
    assignment: Arc<DiagonalAssignment>,
    /// The layer's bias, where this term's input brings the one.
    bias: Option<Arc<[f64]>>,
}

/// The value of each input, rotated beforehand or not.
type PreRotated = BTreeMap<(usize, usize), Value>;

/// The diagonals of a layer between these layouts.
pub fn diagonal_set(
    layer: &Layer,
    from: &[&Layout],
    to: &Layout,
    origin: usize,
    preference: Preference,
) -> DiagonalSet {
    let terms = diagonal_terms(layer, from, to, origin, preference);
    DiagonalSet::joined(terms.iter().map(DiagonalTerm::diagonals).collect())
}

/// The terms of a layer, each with its diagonals between these layouts.
pub fn diagonal_terms(
    layer: &Layer,
    from: &[&Layout],
    to: &Layout,
    origin: usize,
    preference: Preference,
) -> Vec<DiagonalTerm> {
    let to = Arc::new(Placement::new(to));
    let from: Vec<Arc<Placement>> = from.iter().map(|layout| Arc::new(Placement::new(layout))).collect();
    let bearer = bearer(from.iter().map(|from| &**from));
    let built = |(index, (term, from)): (usize, (&LayerTerm, Arc<Placement>))| {
        let bias = (bearer == Some(index)).then(|| layer.bias.clone());
        DiagonalTerm::new(term.linear.clone(), bias, [from, to.clone()], origin, preference)
    };
    layer.terms.iter().zip(from).enumerate().map(built).collect()
}

impl DiagonalTerm {
    fn new(
        linear: Arc<Linear>,
        bias: Option<Arc<[f64]>>,
        [from, to]: [Arc<Placement>; 2],
        origin: usize,
        preference: Preference,
    ) -> Self {
        let offsets = RotationOffsets::new(&linear, bias.as_deref(), &from, &to);
        let assignment = Arc::new(DiagonalAssignment::new(&offsets, from, to, origin, preference));
        Self { linear, assignment, bias }
    }

    /// Its diagonals.
    pub fn diagonals(&self) -> DiagonalSet {
        self.assignment.diagonals.clone()
    }

    /// The weights of a diagonal, rotated back by the giant step that will come.
    fn weights(&self, slots: usize, [to, from]: [usize; 2], diagonal: usize, giant_step: usize) -> Numbers {
        let Self { linear, assignment, bias } = self.clone();
        let repeats = assignment.diagonals.repeats[to][from];
        let weight = move |slot: usize| {
            let visit = assignment.visit(to, from, (slot + slots - giant_step) & (slots - 1), diagonal);
            visit.map_or(0.0, |(row, column)| extended_weight(&linear, bias.as_deref(), row, column))
        };
        Numbers::periodic(slots, repeats, weight)
    }
}

impl DiagonalLayer {
    pub fn new(
        terms: Vec<DiagonalTerm>,
        bias: Arc<[f64]>,
        split: Split,
        sum: RotateAndSum,
        to: &Layout,
        scale: Scale,
    ) -> Self {
        let sums = Arc::new(Placement::new(&to.sums()));
        Self { terms, bias, split, sum, spacing: to.blocks.spacing, sums, scale }
    }

    /// Whether the layer's bias needs an addition: unless an input carries a bias slot along, or there is
    /// none and none to be made.
    pub fn adds_bias(bias: &[f64], bearer: Option<usize>, to: &Placement) -> bool {
        bearer.is_none() && (to.has_bias_slot() || bias.iter().any(|b| *b != 0.0))
    }

    /// The layer's output in the layout of partial sums, summed: for each ciphertext of the output the
    /// diagonals in baby and giant steps, a rotate-and-sum over the parts of blocks, and the bias. The values
    /// are the ciphertexts of all inputs, term by term, at one level. One level. Where blocks are not cyclic
    /// those without whole sums hold anything.
    pub fn build(&self, b: &mut Builder, values: &[Value]) -> Result<Vec<Value>, Error> {
        let pre_rotated = self.pre_rotated(b, values)?;
        (0..self.sums.ciphertexts).map(|to| self.ciphertext(b, &pre_rotated, to)).collect()
    }

    /// All inputs: the term, and the ciphertext of its tensor.
    fn inputs(&self) -> impl Iterator<Item = (&DiagonalTerm, usize)> {
        self.terms.iter().flat_map(|term| (0..term.assignment.from.ciphertexts).map(move |from| (term, from)))
    }

    /// The inputs and what they are pre-rotated to, each a rotation of the one before.
    fn pre_rotated(&self, b: &mut Builder, values: &[Value]) -> Result<PreRotated, Error> {
        let (slots, mut pre_rotated) = (b.slots(), PreRotated::new());
        for (input, ((term, from), value)) in self.inputs().zip(values).enumerate() {
            let diagonals = (0..self.sums.ciphertexts).flat_map(|to| term.assignment.diagonals(to, from));
            let used: BTreeSet<usize> = diagonals.map(|d| self.split.of(*d, slots).pre_rotation).collect();
            let (mut at, mut last) = (0, *value);
            for pre_rotation in used {
                if pre_rotation != at {
                    (at, last) = (pre_rotation, b.rotate(last, pre_rotation - at)?);
                }
                pre_rotated.insert((input, pre_rotation), last);
            }
        }
        Ok(pre_rotated)
    }

    fn ciphertext(&self, b: &mut Builder, pre_rotated: &PreRotated, to: usize) -> Result<Value, Error> {
        let transform = |b: &mut Builder, rescale| {
            let (values, giant_steps) = self.giant_steps(b, pre_rotated, to)?;
            b.transform(values, giant_steps, self.split.order, rescale)
        };
        let sum = summed(b, transform, self.spacing, &self.sum)?;
        let bearer = self.terms.iter().position(|term| term.bias.is_some());
        if !Self::adds_bias(&self.bias, bearer, &self.sums) {
            return Ok(sum);
        }
        let (bias, sums) = (self.bias.clone(), self.sums.clone());
        let first = to * sums.slots;
        add_bias(b, sum, move |slot| {
            sums.at(first + slot).map_or(0.0, |(_, e)| bias.get(e).copied().unwrap_or(1.0))
        })
    }

    /// The giant steps to a ciphertext of the output, and the pre-rotated inputs that they read.
    fn giant_steps(
        &self,
        b: &mut Builder,
        pre_rotated: &PreRotated,
        to: usize,
    ) -> Result<(Vec<Value>, Vec<GiantStep>), Error> {
        let mut giant_steps: BTreeMap<usize, Vec<Term>> = BTreeMap::new();
        let mut values = vec![];
        let mut read: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (index, (term, from)) in self.inputs().enumerate() {
            for diagonal in term.assignment.diagonals(to, from) {
                let Steps { pre_rotation, baby_step, giant_step } = self.split.of(*diagonal, b.slots());
                let value = pre_rotated[&(index, pre_rotation)];
                let input = *read.entry((index, pre_rotation)).or_insert_with(|| {
                    values.push(value);
                    values.len() - 1
                });
                let weights = term.weights(b.slots(), [to, from], *diagonal, giant_step);
                let (level, scale) = (b.level(value)?, b.scale_towards(value, self.scale)?);
                let plain = b.plain(self.split.hoisting.role(), level, scale, weights)?;
                giant_steps.entry(giant_step).or_default().push(Term { input, baby_step, plain });
            }
        }
        Ok((values, giant_steps.into_iter().map(|(rotation, terms)| GiantStep { rotation, terms }).collect()))
    }
}

/// The weights with the bias, where there is one to be read, as a column more, and a row more that hands the
/// one on.
fn extended_weight(linear: &Linear, bias: Option<&[f64]>, row: usize, column: usize) -> f64 {
    match (row == linear.rows(), column == linear.columns()) {
        (false, false) => linear.weight(row, column),
        (false, true) => bias.map_or(0.0, |bias| bias[row]),
        (true, false) => 0.0,
        (true, true) => f64::from(u8::from(bias.is_some())),
    }
}
