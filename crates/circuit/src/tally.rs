//! What each operation counts and costs. The work follows the evaluator in `ckks` step by step; a change
//! there is a change here.

use crate::circuit::{Circuit, GiantStep, Node, Operation, Output};
use crate::counts::{Counts, Work};
use crate::plain::{Factors, Role};
use blindsight_ckks::{GiantOrder, Level, Parameters, Rescale, ScalarRow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The counts of one node.
pub(crate) fn of_node(circuit: &Circuit, node: &Node) -> Counts {
    if let Operation::Sum { stage, row } = &node.operation {
        let tally = Tally::new(circuit.parameters(), node.level);
        let sum = tally.sum(&stage.rows.row(*row), circuit.parts(stage.inputs[0]) as u64);
        let begins = *row == 0 && !circuit.node(stage.inputs[0]).operation.is_unreduced();
        return if begins { sum + tally.gather(stage.inputs.len()) } else { sum };
    }
    if let Operation::Product { stage, row } = &node.operation {
        let tally = Tally::new(circuit.parameters(), node.level);
        let row_counts = tally.products(stage.inputs.len(), circuit.parts(stage.inputs[0]) as u64);
        let begins = *row == 0 && !circuit.node(stage.inputs[0]).operation.is_unreduced();
        return if begins { row_counts + tally.gather(stage.inputs.len()) } else { row_counts };
    }
    let Some(operand) = node.operation.operands().first().copied() else { return Counts::default() };
    let tally = Tally::new(circuit.parameters(), circuit.node(operand).level);
    match &node.operation {
        Operation::Input(_) | Operation::Sum { .. } | Operation::Product { .. } => Counts::default(),
        Operation::Square(_) => tally.square(),
        Operation::Reduce { rescales, .. } => tally.reduce(circuit.parts(operand) > 2, *rescales),
        Operation::Divide { rescales, .. } => tally.divide_parts(*rescales),
        Operation::Dot { terms, rescale } => {
            tally.dot(terms.iter().map(|(_, plain)| circuit.factors(*plain)).sum(), *rescale)
        }
        Operation::Add(..) | Operation::Sub(..) => tally.addition(2),
        Operation::AddPlain(..) => tally.addition(1),
        Operation::Multiply { rescale, .. } => tally.multiply(*rescale),
        Operation::Rotate(_, steps) => tally.rotate(*steps),
        Operation::Transform { giant_steps, order, rescale, .. } => {
            tally.transform(&TransformShape::of(circuit, giant_steps, *order), *rescale)
        }
        Operation::RotateAndSum { stages, rescale, .. } => tally.rotate_and_sum(stages, *rescale),
        Operation::Rescale(..) => tally.rescale(Rescale::Yes),
        Operation::DropLevel(..) => Counts::default(),
    }
}

/// The counts of reading an output: replies carry coefficients, which takes one inverse transform.
pub(crate) fn of_output(circuit: &Circuit, output: &Output) -> Counts {
    let ntts = circuit.parameters().limbs(circuit.node(output.value).level) as u64;
    Counts { work: Work { ntts, ..Work::default() }, ..Counts::default() }
}

/// What the cost of a linear transform depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformShape {
    /// What is read of each input that is read.
    pub baby_steps: Vec<BabySteps>,
    /// How many giant steps there are.
    pub giant_steps: usize,
    /// How many of them rotate.
    pub rotated: usize,
    /// What multiplies them: a factor for each product.
    pub factors: Factors,
    /// How giant steps are made.
    pub order: GiantOrder,
    /// Where sums over baby steps are kept.
    pub hoisting: Hoisting,
}

/// How much of the baby steps' key-switches is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Hoisting {
    /// Their decomposition: each baby step is brought down by itself. What many giant steps read is cheaper
    /// so, as products and plaintexts have no special primes.
    Once,
    /// The mod-down, too: sums are kept in the extended basis.
    #[default]
    Twice,
}

impl Hoisting {
    /// The role of the plaintexts of a transform that is hoisted so.
    pub const fn role(self) -> Role {
        match self {
            Self::Once => Role::Factor,
            Self::Twice => Role::ExtendedFactor,
        }
    }
}

/// What the giant steps of a transform read of one of its inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BabySteps {
    /// How many different rotations.
    pub rotated: usize,
    /// Whether the input itself, too.
    pub unrotated: bool,
}

impl TransformShape {
    pub(crate) fn of(circuit: &Circuit, giant_steps: &[GiantStep], order: GiantOrder) -> Self {
        let first = giant_steps.iter().flat_map(|giant_step| &giant_step.terms).next();
        let plain = first.is_some_and(|term| circuit.plain(term.plain).role == Role::Factor);
        let terms = giant_steps.iter().flat_map(|giant_step| &giant_step.terms);
        let distinct: BTreeSet<(usize, usize)> = terms.map(|term| (term.input, term.baby_step)).collect();
        let mut baby_steps = BTreeMap::<usize, BabySteps>::new();
        for (input, baby_step) in distinct {
            let baby_steps = baby_steps.entry(input).or_default();
            baby_steps.rotated += usize::from(baby_step != 0);
            baby_steps.unrotated |= baby_step == 0;
        }
        Self {
            baby_steps: baby_steps.into_values().collect(),
            giant_steps: giant_steps.len(),
            rotated: giant_steps.iter().filter(|g| g.rotation != 0).count(),
            factors: giant_steps.iter().flat_map(|g| &g.terms).map(|term| circuit.factors(term.plain)).sum(),
            order,
            hoisting: if plain { Hoisting::Once } else { Hoisting::Twice },
        }
    }

    /// How many giant steps have to be brought down before they are rotated, and how many inner sums to be
    /// raised to the extended basis.
    fn lowered_and_raised(&self) -> [usize; 2] {
        match (self.hoisting, self.order) {
            (Hoisting::Twice, _) => [self.rotated, 0],
            (Hoisting::Once, _) if self.rotated == 0 => [0, 0],
            (Hoisting::Once, GiantOrder::Apart) => [0, self.giant_steps - self.rotated],
            (Hoisting::Once, GiantOrder::Chained) => [self.rotated - 1, self.giant_steps - 1],
        }
    }
}

/// The counts of operations at one level, before a circuit is built: what a planner compares.
#[derive(Debug, Clone, Copy)]
pub struct Tally<'a> {
    parameters: &'a Parameters,
    level: Level,
    /// Limbs of a ciphertext.
    limbs: u64,
    /// Limbs of the extended basis.
    extended: u64,
    special: u64,
    digits: u64,
    /// Limbs that a rescale drops.
    dropped: u64,
}

impl<'a> Tally<'a> {
    /// Costs at a level, which exists.
    pub fn new(parameters: &'a Parameters, level: Level) -> Self {
        let (limbs, special) = (parameters.limbs(level) as u64, parameters.special().len() as u64);
        let (digits, dropped) = (parameters.digits(level) as u64, parameters.level_limbs() as u64);
        Self { parameters, level, limbs, special, extended: limbs + special, digits, dropped }
    }

    /// A sum of products with plaintexts.
    pub fn dot(&self, factors: Factors, rescale: Rescale) -> Counts {
        let terms = factors.count;
        // Both halves of the ciphertext and the plaintext: many ciphertexts are no more in the caches than
        // many plaintexts.
        let work = Work {
            multiply_accumulates: 2 * terms * self.limbs,
            streamed: 2 * terms * self.limbs + factors.read(self.limbs),
            factors: factors.read(self.limbs),
            ..Work::default()
        };
        let sum =
            Counts { plaintext_multiplications: terms, additions: terms - 1, work, ..Counts::default() };
        sum + self.rescale(rescale)
    }

    /// An addition to one or both halves.
    pub fn addition(&self, halves: u64) -> Counts {
        let work =
            Work { passes: halves * self.limbs, streamed: (2 - halves) * self.limbs, ..Work::default() };
        Counts { additions: 1, work, ..Counts::default() }
    }

    /// A relinearised product.
    pub fn multiply(&self, rescale: Rescale) -> Counts {
        let work = Work { multiply_accumulates: 4 * self.limbs, ..Work::default() };
        Counts { ciphertext_multiplications: 1, work, ..Counts::default() } + self.relinearise(rescale)
    }

    fn relinearise(&self, rescale: Rescale) -> Counts {
        let work = self.decompose() + self.key_product() + self.special_multiple(2);
        Counts { relinearizations: 1, work, ..Counts::default() } + self.divide(rescale)
    }

    /// A row of a chain. A constant that is zero is not added.
    pub fn sum(&self, row: &ScalarRow, parts: u64) -> Counts {
        let products = row.terms.len() as u64;
        let additions = products.saturating_sub(1) + u64::from(products > 0 && row.constant != 0.0);
        Counts { additions, ..self.scalar_products(products, parts) }
    }

    /// So many products with scalars, of values of so many parts.
    pub fn scalar_products(&self, products: u64, parts: u64) -> Counts {
        let work = Work { scalar_products: products * parts * self.limbs, ..Work::default() };
        Counts { plaintext_multiplications: products, work, ..Counts::default() }
    }

    /// A row of products of a chain: of three parts the third is computed twice.
    pub fn products(&self, terms: usize, parts: u64) -> Counts {
        let (terms, pairs) = (terms as u64, parts.div_ceil(2));
        let work = Work {
            multiply_accumulates: 2 * pairs * terms * self.limbs,
            streamed: terms * self.limbs,
            ..Work::default()
        };
        let additions = terms.saturating_sub(1);
        Counts { plaintext_multiplications: terms, additions, work, ..Counts::default() }
    }

    /// The end of a chain in three parts, divided by so many primes at once.
    pub fn divide_parts(&self, rescales: usize) -> Counts {
        let dropped = rescales as u64 * self.dropped;
        let work =
            if rescales > 0 { self.division(3, dropped, self.limbs - dropped) } else { Work::default() };
        Counts { rescales: rescales as u64, work, ..Counts::default() }
    }

    /// Reading the ciphertexts that a chain begins at.
    pub fn gather(&self, inputs: usize) -> Counts {
        let work = Work { streamed: 2 * inputs as u64 * self.limbs, ..Work::default() };
        Counts { work, ..Counts::default() }
    }

    /// A square of a chain: four products, and three reductions, each of which costs about as much as five.
    pub fn square(&self) -> Counts {
        let work = Work { scalar_products: 19 * self.limbs, ..Work::default() };
        Counts { ciphertext_multiplications: 1, work, ..Counts::default() }
    }

    /// The end of a chain. The first rescale is fused with the relinearisation.
    pub fn reduce(&self, squared: bool, rescales: usize) -> Counts {
        let below =
            |dropped| Tally::new(self.parameters, Level(self.level.0 - dropped)).rescale(Rescale::Yes);
        match (squared, rescales) {
            (true, 0) => self.relinearise(Rescale::No),
            (true, _) => self.relinearise(Rescale::Yes) + (1..rescales).map(below).sum(),
            (false, _) => (0..rescales).map(below).sum(),
        }
    }

    /// A rotation by itself.
    pub fn rotate(&self, steps: usize) -> Counts {
        if steps == 0 {
            return Counts::default();
        }
        self.hoisted(1) + self.divide(Rescale::No)
    }

    /// Rotate-and-sum by these stages.
    pub fn rotate_and_sum(&self, stages: &[Vec<usize>], rescale: Rescale) -> Counts {
        let stage = |(index, steps): (usize, &Vec<usize>)| {
            let last = index + 1 == stages.len();
            let work = self.special_multiple(2) + self.passes(2);
            let sum = Counts { additions: steps.len() as u64, work, ..Counts::default() };
            sum + self.hoisted(steps.len()) + self.divide(if last { rescale } else { Rescale::No })
        };
        stages.iter().enumerate().map(stage).sum()
    }

    /// A linear transform.
    pub fn transform(&self, shape: &TransformShape, rescale: Rescale) -> Counts {
        let terms = shape.factors.count;
        let limbs = if shape.hoisting == Hoisting::Twice { self.extended } else { self.limbs };
        let (products, read) = (2 * terms * limbs, shape.factors.read(limbs));
        let inner = Work { multiply_accumulates: products, streamed: read, factors: read, ..Work::default() };
        let products = Counts {
            plaintext_multiplications: terms,
            additions: terms - 1,
            work: inner + self.moves(shape),
            ..Counts::default()
        };
        let giant_step = Counts { rotations: 1, work: self.giant_step(shape.hoisting), ..Counts::default() };
        let baby_steps: Counts =
            shape.baby_steps.iter().map(|baby_steps| self.baby_steps(*baby_steps, shape.hoisting)).sum();
        let end = match (shape.hoisting, shape.rotated) {
            (Hoisting::Once, 0) => self.rescale(rescale),
            _ => self.divide(rescale),
        };
        products + baby_steps + giant_step * shape.rotated + end
    }

    /// What it takes to bring inner sums to the basis that they are needed in.
    fn moves(&self, shape: &TransformShape) -> Work {
        let [lowered, raised] = shape.lowered_and_raised();
        self.division(1, self.special, self.limbs) * lowered + self.special_multiple(2) * raised
    }

    /// One or no rescale by itself.
    pub fn rescale(&self, rescale: Rescale) -> Counts {
        match rescale {
            Rescale::No => Counts::default(),
            Rescale::Yes => {
                let work = self.division(2, self.dropped, self.limbs - self.dropped);
                Counts { rescales: 1, work, ..Counts::default() }
            }
        }
    }

    /// What a transform reads of one input: its rotations, which share a decomposition, and the input itself;
    /// all left in the extended basis, or
    /// each brought down, written to memory and read from it.
    pub fn baby_steps(&self, baby_steps: BabySteps, hoisting: Hoisting) -> Counts {
        let work = match hoisting {
            Hoisting::Twice if baby_steps.unrotated => self.special_multiple(2) + self.passes(2),
            Hoisting::Twice => Work::default(),
            Hoisting::Once => {
                let read = Work { streamed: 2 * self.limbs, ..Work::default() };
                let down = self.division(2, self.special, self.limbs);
                (down + read) * baby_steps.rotated + read * usize::from(baby_steps.unrotated)
            }
        };
        self.hoisted(baby_steps.rotated) + Counts { work, ..Counts::default() }
    }

    /// Rotations of one ciphertext that share its decomposition, left in the extended basis.
    fn hoisted(&self, rotations: usize) -> Counts {
        if rotations == 0 {
            return Counts::default();
        }
        let rotation = self.key_product() + self.special_multiple(1) + self.permute_extended();
        let work = self.decompose() + rotation * rotations;
        let rotations = rotations as u64;
        let hoisted_rotations = if rotations > 1 { rotations } else { 0 };
        Counts { rotations, hoisted_rotations, work, ..Counts::default() }
    }

    /// A giant step, but for the mod-down before it.
    fn giant_step(&self, hoisting: Hoisting) -> Work {
        let first = match hoisting {
            Hoisting::Once => self.special_multiple(1),
            Hoisting::Twice => self.passes(1),
        };
        self.decompose() + self.key_product() + first + self.permute_extended()
    }

    /// Digits: all limbs to coefficients, and each digit to the limbs outside of it.
    fn decompose(&self) -> Work {
        let own = (0..self.digits as usize).map(|j| self.parameters.digit(self.level, j).len() as u64);
        Work {
            ntts: self.digits * self.extended,
            conversions: own.map(|own| own * (self.extended - own)).sum(),
            passes: self.limbs,
            ..Work::default()
        }
    }

    fn key_product(&self) -> Work {
        let products = 2 * self.digits * self.extended;
        Work { multiply_accumulates: products, streamed: products, ..Work::default() }
    }

    fn permute_extended(&self) -> Work {
        Work { permutations: 2 * self.extended, ..Work::default() }
    }

    /// `P` times halves of a ciphertext, added to the extended basis.
    fn special_multiple(&self, halves: u64) -> Work {
        Work { passes: halves * self.limbs, ..Work::default() }
    }

    /// Passes over polynomials in the extended basis.
    fn passes(&self, polynomials: u64) -> Work {
        Work { passes: polynomials * self.extended, ..Work::default() }
    }

    /// Mod-down of both halves, fused with the rescale where both are asked for.
    fn divide(&self, rescale: Rescale) -> Counts {
        let down = |work| Counts { work, ..Counts::default() };
        match rescale {
            Rescale::No => down(self.division(2, self.special, self.limbs)),
            Rescale::Yes => {
                let work = self.division(2, self.special + self.dropped, self.limbs - self.dropped);
                Counts { rescales: 1, work, ..Counts::default() }
            }
        }
    }

    fn division(&self, halves: u64, dropped: u64, kept: u64) -> Work {
        Work {
            ntts: halves * (dropped + kept),
            conversions: halves * dropped * kept,
            passes: halves * kept,
            ..Work::default()
        }
    }
}
