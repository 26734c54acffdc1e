//! Plans for batches: one ciphertext for each element of a tensor, one image in each slot.
//!
//! Weights are scalars then and nothing rotates: each output of a linear layer is a sum of scalar multiples,
//! and a batch of as many images as there are slots costs what one costs (CryptoNets, Dowlin et al. 2016). Of
//! what a circuit of such sums and squares costs, key-switches and rescales are the dearest, so there are as
//! few as possible: neither a linear layer before a square nor the square itself is reduced, only the sums
//! after it, which are fewer. Between two reductions scales grow; `Schedule` keeps them as small as precision
//! allows.

use super::chain::{Chain, Link};
use crate::Error;
use blindsight_circuit::{Builder, Label, LabelInput, Output, Reading, ScalarRows, Value};
use blindsight_ckks::{Level, Parameters, ScalarRow, Scale};
use blindsight_layers::{Assembly, Linear};
use blindsight_layout::{BatchLayout, InputLayout, ReplyLayout};
use blindsight_network::Shape;

/// One step of a network, as batches compute it.
#[derive(Debug, Clone)]
enum Step {
    Linear(Link),
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
/// A scale is squared where values are, and multiplied by that of weights. So `log2` of what a segment comes
/// to is a sum of those of its input and of its weights, each times a power of two. Every one of them needs
/// some bits for its precision; the segment is divided by as few primes as leave these, and what is left over
/// is shared out evenly. As the reply's scale is given, this goes from the end to the beginning.
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
    /// The schedule that ends at level 0 with this scale; `prime_bits` is `log2` of the prime that leads to
    /// each level from the one above.
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
                Step::Linear(link) => {
                    let bits = LEAST_WEIGHT_BITS - largest_weight(&link.linear).log2();
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
pub(crate) fn largest_weight(linear: &Linear) -> f64 {
    let mut largest = 0f64;
    (0..linear.rows()).for_each(|row| linear.for_each_weight(row, |_, w| largest = largest.max(w.abs())));
    if largest > 0.0 { largest } else { 1.0 }
}

/// A network in segments of one square at most. They end after the linear layer that follows a square, unless
/// that has more outputs than inputs: then reducing before it is cheaper.
fn segments(chain: &Chain) -> Vec<Vec<Step>> {
    let mut segments: Vec<Vec<Step>> = vec![vec![]];
    let squared = |segment: &[Step]| segment.iter().any(|s| matches!(s, Step::Square { .. }));
    for link in &chain.links {
        let current = segments.last_mut().expect("there is always one");
        let is_squared = squared(current);
        let step = Step::Linear(link.clone());
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

/// How many levels a network takes with primes of 26 bits.
pub(crate) fn levels(chain: &Chain, bound: f64) -> Result<usize, Error> {
    let reply = ReplyLayout::batch(chain.last().linear.rows(), bound, 28f64.exp2(), 1)?;
    Ok(Schedule::new(chain, reply.scale, |_| 26.0).levels())
}

/// Builds the circuit for batches. `bound` is what no score's magnitude should exceed.
///
/// # Errors
/// Where the parameters have too few levels.
pub(crate) fn assemble(chain: &Chain, parameters: &Parameters, bound: f64) -> Result<Assembly, Error> {
    let slots = parameters.slots();
    let mut reply =
        ReplyLayout::batch(chain.last().linear.rows(), bound, parameters.modulus(Level(0)), slots)?;
    let highest = parameters.max_level();
    let prime_bits = |level: Level| parameters.modulus(Level(level.0 + 1).min(highest)).log2();
    let schedule = Schedule::new(chain, reply.scale, prime_bits);
    let input_level = Level(schedule.levels());
    if input_level > highest {
        let expected = format!("at most the {} of the parameters", highest.0);
        return Err(Error::does_not_fit("number of levels of the network", input_level.0, expected));
    }
    let input = BatchLayout { shape: chain.input, slots };
    InputLayout::Batch(input).validate()?;
    let input_scale = whole_scale(schedule.input_bits);
    let mut b = Builder::new(parameters.clone());
    let inputs = (0..input.ciphertexts()).map(|_| b.input(input_level, input_scale));
    let mut values = inputs.collect::<Result<Vec<Value>, _>>()?;
    let mut shape = chain.input;
    for segment in &schedule.segments {
        (values, shape) = segment.build(&mut b, values, shape)?;
    }
    // The same but for rounding.
    reply.scale = b.scale(values[0])?;
    let outputs = values.into_iter().map(|value| Output { value, reading: Reading::Slots }).collect();
    let input = InputLayout::Batch(input);
    Ok(Assembly { circuit: b.finish(outputs)?, input, input_level, input_scale, reply })
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
                Step::Linear(link) => {
                    let linear = &link.linear;
                    let scale = whole_scale(*weight_bits.next().expect("one for each linear step"));
                    let sums = |b: &mut Builder| b.sums(&values, rows(link), scale);
                    let label = label(&link.name, link.kind, b.last_layer(), [shape, linear.output]);
                    (b.layer(label, |b| sums(b).and_then(|v| reduced(b, v)))?, linear.output)
                }
                Step::Square { name, shape } => {
                    let squares = |b: &mut Builder| b.squares(&values);
                    let label = label(name, "square", b.last_layer(), [*shape; 2]);
                    (b.layer(label, |b| squares(b).and_then(|v| reduced(b, v)))?, *shape)
                }
            };
        }
        Ok((values, shape))
    }
}

/// A round number, so that it is the same on every machine: an integer, or a fraction for very large weights.
pub(crate) fn whole_scale(bits: f64) -> Scale {
    const PARTS: f64 = 65536.0;
    let scale = bits.exp2();
    Scale(if scale < 1024.0 { (scale * PARTS).round().max(1.0) / PARTS } else { scale.round() })
}

/// The weights of a layer; those that are zero are left out.
fn rows(link: &Link) -> ScalarRows {
    let (linear, bias) = (link.linear.clone(), link.bias.clone());
    ScalarRows::new(linear.rows(), move |row| {
        let mut terms = vec![];
        linear.for_each_weight(row, |column, weight| terms.push((column as u32, weight)));
        terms.sort_unstable_by_key(|(column, _)| *column);
        ScalarRow { terms, constant: bias[row] }
    })
}

fn label(name: &str, kind: &str, before: &str, [from, to]: [Shape; 2]) -> Label {
    Label {
        name: name.into(),
        kind: kind.into(),
        inputs: vec![LabelInput { name: before.into(), representation: BatchLayout::words(from) }],
        representation_out: BatchLayout::words(to),
    }
}
