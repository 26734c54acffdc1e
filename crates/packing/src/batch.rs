//! Plans for batches: one ciphertext for each element of a tensor, one image in each slot.
//!
//! Weights are scalars then and nothing rotates: each output of a linear layer is a sum of scalar multiples, and a batch of as many images as
//! there are slots costs what one costs (CryptoNets, Dowlin et al. 2016). Of what a circuit of such sums and squares costs, key-switches
//! and rescales are the dearest, so there are as few as possible: neither a linear layer before a square nor the square itself is reduced,
//! only the sums after it, which are fewer. Between two reductions scales grow; [`Schedule`] keeps them as small as precision allows.

use crate::chain::Chain;
use crate::linear::Linear;
use crate::{Error, Verdict};
use circuit::{Builder, Circuit, Label, Output, Reading, ScalarRows, Value};
use ckks::{Level, Parameters, ScalarRow, Scale};
use network::{Model, Shape};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A batch of images over ciphertexts: ciphertext `e` holds element `e` of each image, in the order channel, row, column; slot `i` of each
/// belongs to image `i`. The slots after the last image are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchLayout {
    /// The shape of one image.
    pub shape: Shape,
    /// Slots of a ciphertext: the most images.
    pub slots: usize,
}

/// A batch of scores over ciphertexts: ciphertext `o` holds score `o` of each image, in the image's slot.
///
/// Every slot is a score, of an image or of what a client wrote into a slot that it left over, so nothing else can be read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchReply {
    /// How many scores an image has.
    pub scores: usize,
    /// The scale of all of them.
    pub scale: Scale,
    /// The magnitude from which on a coefficient wraps around. None does unless a score is larger.
    pub capacity: f64,
}

/// What a batch's reply says.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchScores {
    /// The scores of each image, in the order of the labels. Meaningless unless the verdict is sound.
    pub scores: Vec<Vec<f64>>,
    /// Whether they can be trusted.
    pub verdict: Verdict,
}

/// A circuit for batches, with the layouts of its input and reply.
#[derive(Debug)]
pub struct BatchAssembly {
    /// The circuit.
    pub circuit: Circuit,
    /// Where the images lie.
    pub input: BatchLayout,
    /// The level that they are encrypted at.
    pub input_level: Level,
    /// The scale that they are encrypted at.
    pub input_scale: Scale,
    /// Where the scores lie.
    pub reply: BatchReply,
}

impl BatchLayout {
    /// How many ciphertexts there are.
    pub fn ciphertexts(&self) -> usize {
        self.shape.elements()
    }

    /// The slots of each ciphertext for a batch of images.
    ///
    /// # Errors
    /// For no images or more than there are slots, and for an image of another size.
    pub fn write(&self, images: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Error> {
        if images.is_empty() || images.len() > self.slots {
            let expected = format!("1 to {}, one for each slot", self.slots);
            return Err(Error::does_not_fit("number of images in a batch", images.len(), expected));
        }
        let elements = self.shape.elements();
        if let Some(wrong) = images.iter().find(|image| image.len() != elements) {
            return Err(Error::Length { what: "image", expected: elements, actual: wrong.len() });
        }
        let slots = |element: usize| {
            let mut slots = vec![0.0; self.slots];
            slots.iter_mut().zip(images).for_each(|(slot, image)| *slot = image[element]);
            slots
        };
        Ok((0..elements).map(slots).collect())
    }
}

impl BatchReply {
    /// The reply for scores of at most `bound` in magnitude: the capacity is the least power of two that is twice that, and one at least.
    pub fn new(scores: usize, bound: f64, modulus: f64) -> Self {
        let capacity = (2.0 * bound).max(1.0).log2().ceil().exp2();
        Self { scores, scale: Scale(modulus / 2.0 / capacity), capacity }
    }

    /// The scores of each of the first `images` images from the decrypted slots of all ciphertexts.
    ///
    /// Scores within the bound have a root mean square of at most half the capacity, those of all slots together. A single coefficient that wraps around
    /// lifts it beyond the capacity: it is off by twice the capacity, and that is spread over all slots. Under other keys all coefficients are
    /// uniform, and slots `sqrt(2N / 3)` capacities.
    ///
    /// # Errors
    /// Where there is not one vector of slots for each score, or they have fewer slots than there are images.
    pub fn read(&self, slots: &[Vec<f64>], images: usize) -> Result<BatchScores, Error> {
        if slots.len() != self.scores {
            return Err(Error::Length { what: "reply", expected: self.scores, actual: slots.len() });
        }
        if let Some(short) = slots.iter().find(|s| s.len() < images) {
            return Err(Error::Length { what: "slots of a reply", expected: images, actual: short.len() });
        }
        let scores = (0..images).map(|image| slots.iter().map(|s| s[image]).collect()).collect();
        let found = slots.iter().map(|slots| root_mean_square(slots)).fold(0.0, f64::max);
        let verdict = match found / self.capacity {
            share if share <= 1.0 => Verdict::Sound,
            share if share <= WRAPPED => Verdict::OutOfRange { found, allowed: self.capacity },
            _ => Verdict::WrongKeys { found, allowed: self.capacity },
        };
        Ok(BatchScores { scores, verdict })
    }
}

/// From how many capacities on the slots of a reply are noise, and no scores some of which wrapped around.
const WRAPPED: f64 = 12.0;

fn root_mean_square(slots: &[f64]) -> f64 {
    (slots.iter().map(|s| s * s).sum::<f64>() / slots.len() as f64).sqrt()
}

/// One step of a network, as batches compute it.
#[derive(Debug, Clone)]
enum Step {
    Linear(Arc<Linear>),
    Square { name: String, shape: Shape },
}

/// Steps up to a reduction.
#[derive(Debug, Clone)]
struct Segment {
    steps: Vec<Step>,
    /// `log2` of the scale of each linear step's weights.
    weight_bits: Vec<f64>,
    /// By how many primes its values are divided at its end.
    rescales: usize,
}

/// Where a network is reduced, and the scales between.
///
/// A scale is squared where values are, and multiplied by that of weights. So `log2` of what a segment comes to is a sum of those of its input
/// and of its weights, each times a power of two. Every one of them needs some bits for its precision; the segment is divided by as few
/// primes as leave these, and what is left over is shared out evenly. As the reply's scale is given, this goes from the end to the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    segments: Vec<Segment>,
    input_bits: f64,
}

/// The least bits of the image's scale: fresh errors are 9 bits.
const LEAST_INPUT_BITS: f64 = 19.0;
/// The least bits of the largest weight of a layer.
const LEAST_WEIGHT_BITS: f64 = 10.0;
/// The least bits of the scale of reduced values, whose errors are 12 bits.
const LEAST_REDUCED_BITS: f64 = 25.0;

impl Schedule {
    /// The schedule that ends at level 0 with this scale; `prime_bits` is `log2` of the prime that leads to each level from the one above.
    pub fn new(chain: &Chain, last: Scale, prime_bits: impl Fn(Level) -> f64) -> Self {
        let mut schedule = Self { segments: vec![], input_bits: last.log2() };
        let mut level = Level(0);
        let mut all = segments(chain);
        while let Some(steps) = all.pop() {
            let least = if all.is_empty() { LEAST_INPUT_BITS } else { LEAST_REDUCED_BITS };
            let (mut dropped, start) = (0.0, level.0);
            let needs = Needs::new(&steps, least);
            while needs.total > schedule.input_bits + dropped {
                dropped += prime_bits(level);
                level.0 += 1;
            }
            let more = (schedule.input_bits + dropped - needs.total) / needs.shares;
            let weight_bits = needs.weight_bits.iter().map(|bits| bits + more).collect();
            schedule.segments.insert(0, Segment { steps, weight_bits, rescales: level.0 - start });
            schedule.input_bits = least + more;
        }
        schedule
    }

    /// How many levels it takes.
    pub fn levels(&self) -> usize {
        self.segments.iter().map(|s| s.rescales).sum()
    }
}

/// What a segment needs at least, in bits.
struct Needs {
    weight_bits: Vec<f64>,
    /// What it comes to at its end.
    total: f64,
    /// How often a bit more for input and weights counts there.
    shares: f64,
}

impl Needs {
    fn new(steps: &[Step], input: f64) -> Self {
        let mut needs = Self { weight_bits: vec![], total: input, shares: 1.0 };
        for step in steps {
            match step {
                Step::Linear(linear) => {
                    let bits = LEAST_WEIGHT_BITS - largest_weight(linear).log2();
                    needs.weight_bits.push(bits);
                    needs.total += bits;
                    needs.shares += 1.0;
                }
                Step::Square { .. } => {
                    needs.total *= 2.0;
                    needs.shares *= 2.0;
                }
            }
        }
        needs
    }
}

/// The largest weight of a layer; one where all are zero.
fn largest_weight(linear: &Linear) -> f64 {
    let mut largest = 0f64;
    (0..linear.rows()).for_each(|row| linear.for_each_weight(row, |_, w| largest = largest.max(w.abs())));
    if largest > 0.0 { largest } else { 1.0 }
}

/// A network in segments of one square at most. They end after the linear layer that follows a square, unless that has more outputs than
/// inputs: then reducing before it is cheaper.
fn segments(chain: &Chain) -> Vec<Vec<Step>> {
    let mut segments: Vec<Vec<Step>> = vec![vec![]];
    let squared = |segment: &[Step]| segment.iter().any(|s| matches!(s, Step::Square { .. }));
    for link in &chain.links {
        let current = segments.last_mut().expect("there is always one");
        let is_squared = squared(current);
        let step = Step::Linear(link.linear.clone());
        if is_squared && link.linear.rows() > link.linear.columns() {
            segments.push(vec![step]);
        } else {
            current.push(step);
            if is_squared {
                segments.push(vec![]);
            }
        }
        for name in &link.squares {
            let step = Step::Square { name: name.clone(), shape: link.linear.output };
            match segments.last_mut() {
                Some(current) if !squared(current) => current.push(step),
                _ => segments.push(vec![step]),
            }
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

/// The circuit for batches of a model's images.
///
/// # Errors
/// Where a layer is left that is neither linear nor a square, and where the parameters have too few levels.
pub fn assembly(model: &Model, parameters: &Parameters) -> Result<BatchAssembly, Error> {
    let bound = model.metadata.score_bound.unwrap_or(crate::planner::DEFAULT_SCORE_BOUND);
    assemble(&Chain::new(&model.graph)?, parameters, bound)
}

/// Builds the circuit for batches. `bound` is what no score's magnitude should exceed.
///
/// # Errors
/// Where the parameters have too few levels.
pub(crate) fn assemble(chain: &Chain, parameters: &Parameters, bound: f64) -> Result<BatchAssembly, Error> {
    let mut reply = BatchReply::new(chain.last().rows(), bound, parameters.modulus(Level(0)));
    let highest = parameters.max_level();
    let prime_bits = |level: Level| parameters.modulus(Level(level.0 + 1).min(highest)).log2();
    let schedule = Schedule::new(chain, reply.scale, prime_bits);
    let input_level = Level(schedule.levels());
    if input_level > highest {
        let expected = format!("at most the {} of the parameters", highest.0);
        return Err(Error::does_not_fit("number of levels of the network", input_level.0, expected));
    }
    let input = BatchLayout { shape: chain.input, slots: parameters.slots() };
    let input_scale = Scale::bits(schedule.input_bits);
    let mut b = Builder::new(parameters.clone());
    let inputs = (0..input.ciphertexts()).map(|_| b.input(input_level, input_scale));
    let mut values = inputs.collect::<Result<Vec<Value>, _>>()?;
    let mut shape = chain.input;
    for segment in &schedule.segments {
        (values, shape) = segment.build(&mut b, values, shape)?;
    }
    reply.scale = b.scale(values[0])?;
    let outputs = values.into_iter().map(|value| Output { value, reading: Reading::Slots }).collect();
    Ok(BatchAssembly { circuit: b.finish(outputs)?, input, input_level, input_scale, reply })
}

impl Segment {
    /// Builds its steps; the last one's values are reduced.
    fn build(
        &self,
        b: &mut Builder,
        mut values: Vec<Value>,
        mut shape: Shape,
    ) -> Result<(Vec<Value>, Shape), Error> {
        let mut weight_bits = self.weight_bits.iter();
        for (index, step) in self.steps.iter().enumerate() {
            let last = index + 1 == self.steps.len();
            let reduced = |b: &mut Builder, values: Vec<Value>| match last {
                true => b.reduce(&values, self.rescales),
                false => Ok(values),
            };
            (values, shape) = match step {
                Step::Linear(linear) => {
                    let scale = Scale::bits(*weight_bits.next().expect("one for each linear step"));
                    let sums = |b: &mut Builder| b.sums(&values, rows(linear), scale);
                    let label = label(&linear.name, linear.kind, shape, linear.output);
                    (b.layer(label, |b| sums(b).and_then(|v| reduced(b, v)))?, linear.output)
                }
                Step::Square { name, shape } => {
                    let squares = |b: &mut Builder| b.squares(&values);
                    (
                        b.layer(label(name, "square", *shape, *shape), |b| {
                            squares(b).and_then(|v| reduced(b, v))
                        })?,
                        *shape,
                    )
                }
            };
        }
        Ok((values, shape))
    }
}

/// The weights of a layer; those that are zero are left out.
fn rows(linear: &Arc<Linear>) -> ScalarRows {
    let linear = linear.clone();
    ScalarRows::new(linear.rows(), move |row| {
        let mut terms = vec![];
        linear.for_each_weight(row, |column, weight| terms.push((column as u32, weight)));
        terms.sort_unstable_by_key(|(column, _)| *column);
        ScalarRow { terms, constant: linear.bias()[row] }
    })
}

fn label(name: &str, kind: &str, from: Shape, to: Shape) -> Label {
    let words = |shape: Shape| format!("{shape}, a ciphertext for each element, an image in each slot");
    Label {
        name: name.into(),
        kind: kind.into(),
        representation_in: words(from),
        representation_out: words(to),
    }
}
