//! Where a network is reduced when it is computed in batches, and the scales between.
//!
//! A scale is squared where values are, and multiplied by that of weights. So `log2` of what a segment comes
//! to is a sum of those of its input and of its weights, each times a power of two. Every one of them needs
//! some bits for its precision; the segment is divided by as few primes as leave these. As the reply's scale
//! is given, this goes from the end to the beginning.
//!
//! Primes are whole. A convolution and its square take some 50 bits, two primes with half of one to spare;
//! where the convolution is reduced, too, what is to spare after one goes to the next, and three primes do
//! for two squares. Rescales are cheap beside relinearisations, and fewer limbs make all of it cheaper. So
//! [`Schedule::cheapest`] looks at all ways to cut a network.

use super::chain::Chain;
use blindsight_circuit::{CostModel, Counts, Tally, Work};
use blindsight_ckks::{Level, Parameters, Scale};
use blindsight_layers::Linear;

/// What schedules ask of a network.
pub(crate) struct Outline {
    links: Vec<LinkOutline>,
}

struct LinkOutline {
    /// Products of a run: weights of the matrix that are not zero.
    products: usize,
    rows: usize,
    columns: usize,
    squares: usize,
    /// Whether all of its outputs lie at one position, in one tile.
    is_one_tile: bool,
    /// The least bits of the scale of its weights.
    weight_bits: f64,
}

impl Outline {
    pub fn new(chain: &Chain) -> Self {
        let link = |link: &super::Link| LinkOutline {
            products: link.linear.products(),
            rows: link.linear.rows(),
            columns: link.linear.columns(),
            squares: link.squares.len(),
            is_one_tile: link.linear.output.positions() == 1,
            weight_bits: LEAST_WEIGHT_BITS - largest_weight(&link.linear).log2(),
        };
        Self { links: chain.links.iter().map(link).collect() }
    }

    /// The linear layers that may be reduced before they are squared: those of a chain that is not too long
    /// to try them all.
    fn cuttable(&self) -> Vec<usize> {
        const MOST: usize = 8;
        let squared: Vec<usize> =
            (0..self.links.len()).filter(|&index| self.links[index].squares > 0).collect();
        if squared.len() > MOST { vec![] } else { squared }
    }
}

/// One step of a network, as batches compute it, by the number of its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Linear(usize),
    /// Which of the squares after the layer.
    Square(usize, usize),
}

/// Steps up to a reduction.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub steps: Vec<Step>,
    /// `log2` of the scale of each linear step's weights.
    pub weight_bits: Vec<f64>,
    /// By how many primes its values are divided at its end.
    pub rescales: usize,
}

impl Segment {
    fn is_squared(&self) -> bool {
        is_squared(&self.steps)
    }
}

/// Where a network is reduced, and the scales between.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(super) segments: Vec<Segment>,
    pub(super) input_bits: f64,
}

/// The least bits of the image's scale: fresh errors are 9 bits.
const LEAST_INPUT_BITS: f64 = 19.0;
/// The least bits of the largest weight of a layer.
const LEAST_WEIGHT_BITS: f64 = 10.0;
/// The least bits of the scale of reduced values, whose errors are 12 bits.
const LEAST_REDUCED_BITS: f64 = 25.0;

/// What becomes of the bits that a segment's primes leave over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spare {
    /// Its input and its weights share them: the most precision.
    Shared,
    /// They go to its input, so that the segment before it is divided by less.
    HandedOn,
}

impl Schedule {
    /// The schedule that computes fastest, of those that end at this scale and fit the parameters, and its
    /// time by the cost model in microseconds. `None` where none fits.
    pub fn cheapest(outline: &Outline, last: Scale, parameters: &Parameters) -> Option<(f64, Self)> {
        let highest = parameters.max_level();
        let prime_bits = |level: Level| parameters.modulus(Level(level.0 + 1).min(highest)).log2();
        let fitting = Self::all(outline, last, prime_bits).into_iter().filter(|s| s.levels() <= highest.0);
        let model = CostModel::default();
        let timed =
            fitting.map(|s| (model.microseconds(&s.work(outline, parameters), parameters.degree()), s));
        // Of equal ones the first.
        timed.reduce(|best, other| if other.0 < best.0 { other } else { best })
    }

    /// All schedules; the one with the fewest reductions is the first.
    pub fn all(outline: &Outline, last: Scale, prime_bits: impl Fn(Level) -> f64) -> Vec<Self> {
        let cuttable = outline.cuttable();
        let ways = (0..1usize << cuttable.len()).flat_map(|way| {
            let cuts: Vec<usize> =
                (0..cuttable.len()).filter(|bit| way >> bit & 1 == 1).map(|bit| cuttable[bit]).collect();
            [(cuts.clone(), Spare::Shared), (cuts, Spare::HandedOn)]
        });
        ways.filter_map(|(cuts, spare)| Self::new(outline, &cuts, spare, last, &prime_bits)).collect()
    }

    /// The schedule with reductions after these linear layers, too; `None` where one of these would divide by
    /// nothing. `prime_bits` is `log2` of the prime that leads to each level from the one above.
    fn new(
        outline: &Outline,
        cuts: &[usize],
        spare: Spare,
        last: Scale,
        prime_bits: impl Fn(Level) -> f64,
    ) -> Option<Self> {
        let mut schedule = Self { segments: vec![], input_bits: last.log2() };
        let mut level = Level(0);
        let mut all = segments(outline, cuts);
        while let Some(steps) = all.pop() {
            let least = if all.is_empty() { LEAST_INPUT_BITS } else { LEAST_REDUCED_BITS };
            let (mut dropped, start) = (0.0, level.0);
            let needs = Needs::new(outline, &steps, least);
            while needs.total > schedule.input_bits + dropped {
                dropped += prime_bits(level);
                level.0 += 1;
            }
            let rescales = level.0 - start;
            if rescales == 0 && !is_squared(&steps) && !all.is_empty() {
                return None;
            }
            let left = schedule.input_bits + dropped - needs.total;
            let (to_input, to_weights) = match spare {
                Spare::Shared => (left / needs.shares, left / needs.shares),
                Spare::HandedOn => (left / needs.input_shares, 0.0),
            };
            let weight_bits = needs.weight_bits.iter().map(|bits| bits + to_weights).collect();
            schedule.segments.insert(0, Segment { steps, weight_bits, rescales });
            schedule.input_bits = least + to_input;
        }
        Some(schedule)
    }

    /// How many levels it takes.
    pub fn levels(&self) -> usize {
        self.segments.iter().map(|s| s.rescales).sum()
    }

    /// What a run costs, but for what is read at the edges of tiles.
    fn work(&self, outline: &Outline, parameters: &Parameters) -> Work {
        let (mut counts, mut level) = (Counts::default(), self.levels());
        for segment in &self.segments {
            let tally = Tally::new(parameters, Level(level));
            let (mut parts, mut values) = (2, 0);
            for step in &segment.steps {
                match step {
                    Step::Linear(link) => {
                        let link = &outline.links[*link];
                        counts += tally.scalar_products(link.products as u64, parts);
                        values = link.rows;
                    }
                    Step::Square(link, _) => {
                        (values, parts) = (outline.links[*link].rows, 3);
                        counts += tally.square() * values;
                    }
                }
            }
            counts += tally.reduce(segment.is_squared(), segment.rescales) * values;
            level -= segment.rescales;
        }
        counts.work
    }
}

/// What a segment needs at least, in bits.
struct Needs {
    weight_bits: Vec<f64>,
    /// What it comes to at its end.
    total: f64,
    /// How often a bit more for input and weights counts there.
    shares: f64,
    /// How often one for the input alone.
    input_shares: f64,
}

impl Needs {
    fn new(outline: &Outline, steps: &[Step], input: f64) -> Self {
        let mut needs = Self { weight_bits: vec![], total: input, shares: 1.0, input_shares: 1.0 };
        for step in steps {
            match step {
                Step::Linear(link) => {
                    let bits = outline.links[*link].weight_bits;
                    needs.weight_bits.push(bits);
                    needs.total += bits;
                    needs.shares += 1.0;
                }
                Step::Square(..) => {
                    needs.total *= 2.0;
                    needs.shares *= 2.0;
                    needs.input_shares *= 2.0;
                }
            }
        }
        needs
    }
}

/// The largest weight of a layer; one where all are zero.
pub(crate) fn largest_weight(linear: &Linear) -> f64 {
    let mut largest = 0f64;
    (0..linear.rows()).for_each(|row| linear.for_each_weight(row, |_, w| largest = largest.max(w.abs())));
    if largest > 0.0 { largest } else { 1.0 }
}

/// How many products of a sum a relinearisation is worth. Sums over squares that wait for theirs have three
/// parts in place of two, at a level that is higher by two.
const PRODUCTS_OF_A_RELINEARISATION: usize = 150;

/// No sums over squares that wait read more ciphertexts: what a tile reads is in memory all at once.
const MOST_READ: usize = 4096;

/// Whether squares of a segment that this layer reads are better reduced after it: it has fewer outputs, what
/// that saves is more than what it costs, and no two tiles would compute the same squares.
fn wait(outline: &Outline, segment: &[Step], layer: &LinkOutline) -> bool {
    let read = match segment[0] {
        Step::Linear(link) => outline.links[link].columns,
        Step::Square(..) => layer.columns,
    };
    let saved = layer.columns.saturating_sub(layer.rows);
    layer.is_one_tile
        && read <= MOST_READ
        && saved > 0
        && layer.products <= saved * PRODUCTS_OF_A_RELINEARISATION
}

fn is_squared(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Square(..)))
}

/// A network in segments of one square at most. They end after a square, or after the linear layer that
/// follows it, whichever is cheaper, and after the linear layers of `cuts`.
fn segments(outline: &Outline, cuts: &[usize]) -> Vec<Vec<Step>> {
    let mut segments: Vec<Vec<Step>> = vec![vec![]];
    for (index, link) in outline.links.iter().enumerate() {
        let current = segments.last_mut().expect("there is always one");
        let step = Step::Linear(index);
        match is_squared(current) {
            true if wait(outline, current, link) => {
                current.push(step);
                segments.push(vec![]);
            }
            true => segments.push(vec![step]),
            false => current.push(step),
        }
        if cuts.contains(&index) {
            segments.push(vec![]);
        }
        for square in 0..link.squares {
            match segments.last_mut() {
                Some(current) if !is_squared(current) => current.push(Step::Square(index, square)),
                _ => segments.push(vec![Step::Square(index, square)]),
            }
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}
