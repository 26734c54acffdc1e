//! Plans for batches: one ciphertext for each element of a tensor, one image in each slot.
//!
//! Weights are scalars then and nothing rotates: each output of a linear layer is a sum of scalar multiples,
//! and a batch of as many images as there are slots costs what one costs (CryptoNets, Dowlin et al. 2016). Of
//! what a circuit of such sums and squares costs, key-switches and rescales are the dearest, so there are as
//! few as pay: where a layer has fewer outputs than it has products, neither the linear layer before a square
//! nor the square itself is reduced, only the sums after it. Between two reductions scales grow;
//! [`Schedule`](super::schedule::Schedule) keeps them as small as precision allows.
//!
//! A ciphertext for each element is much: whole layers of a deep network would be tens of gigabytes. So
//! layers are computed in *tiles*, a few neighbouring positions with all their channels, and depth first:
//! a tile when the first one that reads it is due, and a value is dropped after its last use. What is live at
//! a time are some rows of each layer.

use super::chain::{Chain, Link};
use super::schedule::{Outline, Schedule, Segment, Step};
use crate::Error;
use crate::parameters::{candidates_of, parameters_of};
use blindsight_circuit::{Builder, Label, LabelInput, Output, Reading, ScalarRows, Value};
use blindsight_ckks::{Level, Parameters, ScalarRow, Scale, Security};
use blindsight_layers::{Assembly, Linear};
use blindsight_layout::{BatchLayout, InputLayout, ReplyLayout};
use blindsight_network::Shape;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The parameters of a ring that a network is computed fastest with, by the cost model: primes of 26 bits, or
/// larger ones, of which there are fewer.
///
/// # Errors
/// Where the ring has no room for the network.
pub(crate) fn parameters(
    chain: &Chain,
    degree: usize,
    bound: f64,
    security: Security,
) -> Result<Parameters, Error> {
    let outline = Outline::new(chain);
    let (mut best, mut refused): (Option<(f64, Parameters)>, _) = (None, None);
    for bits in PRIME_BITS {
        let base = f64::from(bits + 2).min(LARGEST_BASE).exp2();
        let last = ReplyLayout::batch(chain.last().linear.rows(), bound, base, 1)?.scale;
        let schedules = Schedule::all(&outline, last, |_| f64::from(bits));
        let levels: BTreeSet<usize> = schedules.iter().map(Schedule::levels).collect();
        for levels in levels {
            let found = match (bits, parameters_of(degree, levels, security)) {
                (26, Ok(usual)) => Ok(vec![usual]),
                _ => candidates_of(degree, levels, bits, security),
            };
            let found = found.map_err(|error| refused = Some(error)).unwrap_or_default();
            for parameters in found {
                let reply = reply(chain, &parameters, bound)?;
                let Some((time, _)) = Schedule::cheapest(&outline, reply.scale, &parameters) else {
                    continue;
                };
                if best.as_ref().is_none_or(|(least, _)| time < WORTH_IT * least) {
                    best = Some((time, parameters));
                }
            }
        }
    }
    let none = || Error::does_not_fit("ring degree", degree, "one with room for the network's levels");
    best.map(|(_, parameters)| parameters).ok_or_else(|| refused.unwrap_or_else(none))
}

/// The primes that are tried.
const PRIME_BITS: [u32; 3] = [26, 28, 30];
/// The bits of the largest base prime, nearly.
const LARGEST_BASE: f64 = 29.95;
/// Other parameters are taken where they save as much of the time: predictions are no better.
const WORTH_IT: f64 = 0.95;

/// Builds the circuit for batches. `bound` is what no score's magnitude should exceed.
///
/// # Errors
/// Where the parameters have too few levels.
pub(crate) fn assemble(chain: &Chain, parameters: &Parameters, bound: f64) -> Result<Assembly, Error> {
    let mut reply = reply(chain, parameters, bound)?;
    let (_, schedule) =
        Schedule::cheapest(&Outline::new(chain), reply.scale, parameters).ok_or_else(|| {
            let (levels, degree) = (parameters.max_level().0, parameters.degree());
            let expected = format!("parameters with more than these {levels} levels");
            Error::does_not_fit("ring degree", degree, expected)
        })?;
    let input_level = Level(schedule.levels());
    let input = BatchLayout { shape: chain.input, slots: parameters.slots() };
    InputLayout::Batch(input).validate()?;
    let input_scale = whole_scale(schedule.input_bits);
    let build = Build::new(chain, &schedule, Builder::new(parameters.clone()), (input_level, input_scale));
    let (b, scores) = build.run()?;
    // The same but for rounding.
    reply.scale = b.scale(scores[0])?;
    let outputs = scores.into_iter().map(|value| Output { value, reading: Reading::Slots }).collect();
    let input = InputLayout::Batch(input);
    Ok(Assembly { circuit: b.finish(outputs)?, input, input_level, input_scale, reply })
}

fn reply(chain: &Chain, parameters: &Parameters, bound: f64) -> Result<ReplyLayout, Error> {
    let scores = chain.last().linear.rows();
    Ok(ReplyLayout::batch(scores, bound, parameters.modulus(Level(0)), parameters.slots())?)
}

/// A tensor between two segments, and what there is of it.
struct Tensor {
    /// For each element its ciphertext, once it is made.
    made: Vec<Option<Value>>,
    /// For each element its tile.
    tile_of: Vec<usize>,
    /// The elements of each tile.
    tiles: Vec<Vec<usize>>,
}

impl Tensor {
    /// How many values a tile has, about. Small ones keep little alive, large ones share what they read.
    const TILE: usize = 128;

    fn new(shape: Shape) -> Self {
        let positions = (Self::TILE / shape.channels).clamp(1, shape.width);
        let tiles_of_a_row = shape.width.div_ceil(positions);
        let mut tiles = vec![vec![]; shape.height * tiles_of_a_row];
        let tile_of: Vec<usize> = (0..shape.elements())
            .map(|element| {
                let (column, row) = (element % shape.width, element / shape.width % shape.height);
                row * tiles_of_a_row + column / positions
            })
            .collect();
        tile_of.iter().enumerate().for_each(|(element, tile)| tiles[*tile].push(element));
        Self { made: vec![None; shape.elements()], tile_of, tiles }
    }

    /// A tensor each of whose elements comes by itself.
    fn single(elements: usize) -> Self {
        let tiles = (0..elements).map(|element| vec![element]).collect();
        Self { made: vec![None; elements], tile_of: (0..elements).collect(), tiles }
    }

    /// The ciphertexts of elements, which are made.
    fn values(&self, elements: &[usize]) -> Vec<Value> {
        elements.iter().map(|&element| self.made[element].expect("it was made")).collect()
    }
}

/// A circuit while it is built.
struct Build<'a> {
    chain: &'a Chain,
    b: Builder,
    segments: &'a [Segment],
    /// Of each segment the label of each step.
    labels: Vec<Vec<Label>>,
    /// The input, and what each segment ends in.
    tensors: Vec<Tensor>,
    input: (Level, Scale),
}

impl<'a> Build<'a> {
    fn new(chain: &'a Chain, schedule: &'a Schedule, b: Builder, input: (Level, Scale)) -> Self {
        let (mut shape, mut before) = (chain.input, String::from("input"));
        let (mut labels, mut tensors) = (vec![], vec![Tensor::single(shape.elements())]);
        for segment in &schedule.segments {
            let of_step = |step: &Step| {
                let (name, kind, to) = match *step {
                    Step::Linear(link) => {
                        let link = &chain.links[link];
                        (&link.name, link.kind, link.linear.output)
                    }
                    Step::Square(link, square) => (&chain.links[link].squares[square], "square", shape),
                };
                let label = label(name, kind, &before, [shape, to]);
                (shape, before) = (to, name.clone());
                label
            };
            labels.push(segment.steps.iter().map(of_step).collect());
            tensors.push(Tensor::new(shape));
        }
        Self { chain, b, segments: &schedule.segments, labels, tensors, input }
    }

    /// The builder, and the scores.
    fn run(mut self) -> Result<(Builder, Vec<Value>), Error> {
        let last = self.segments.len();
        let all = |tensor: &Tensor| (0..tensor.made.len()).collect::<Vec<_>>();
        let scores = all(&self.tensors[last]);
        self.make(last, &scores)?;
        // Pixels that nothing reads come, too.
        let pixels = all(&self.tensors[0]);
        self.make(0, &pixels)?;
        let scores = self.tensors[last].values(&scores);
        Ok((self.b, scores))
    }

    /// Makes those elements of a tensor that are not there yet, with the tiles that they lie in.
    fn make(&mut self, tensor: usize, elements: &[usize]) -> Result<(), Error> {
        for &element in elements {
            let Tensor { made, tile_of, tiles } = &self.tensors[tensor];
            if made[element].is_some() {
                continue;
            }
            let tile = tiles[tile_of[element]].clone();
            let values = match tensor.checked_sub(1) {
                None => vec![self.b.input_at(element, self.input.0, self.input.1)?],
                Some(segment) => self.tile(segment, &tile)?,
            };
            let made = &mut self.tensors[tensor].made;
            tile.iter().zip(values).for_each(|(&element, value)| made[element] = Some(value));
        }
        Ok(())
    }

    /// Some values of a segment's end, and before them what they depend on.
    fn tile(&mut self, segment: usize, tile: &[usize]) -> Result<Vec<Value>, Error> {
        let Segment { steps, weight_bits, rescales } = &self.segments[segment];
        let elements = elements_between(self.chain, steps, tile);
        self.make(segment, &elements[0])?;
        let mut values = self.tensors[segment].values(&elements[0]);
        let mut weight_bits = weight_bits.iter();
        for (index, step) in steps.iter().enumerate() {
            let label = self.labels[segment][index].clone();
            values = self.b.layer(label, |b| {
                let computed = match step {
                    Step::Linear(link) => {
                        let scale = whole_scale(*weight_bits.next().expect("one for each linear step"));
                        let link = &self.chain.links[*link];
                        b.sums(&values, rows(link, &elements[index + 1], &elements[index]), scale)?
                    }
                    Step::Square(..) => b.squares(&values)?,
                };
                let last = index + 1 == steps.len();
                if last { b.reduce(&computed, *rescales) } else { Ok(computed) }
            })?;
        }
        Ok(values)
    }
}

/// The elements before, between and after steps that lead to these.
fn elements_between(chain: &Chain, steps: &[Step], last: &[usize]) -> Vec<Vec<usize>> {
    let mut between = vec![last.to_vec()];
    for step in steps.iter().rev() {
        let after = &between[between.len() - 1];
        let before = match step {
            Step::Linear(link) => columns(&chain.links[*link].linear, after),
            Step::Square(..) => after.clone(),
        };
        between.push(before);
    }
    between.reverse();
    between
}

/// The columns that rows of a layer see, in the order in which each row visits its own; where they see none,
/// the first one, as a sum has an input.
fn columns(linear: &Linear, rows: &[usize]) -> Vec<usize> {
    let mut seen = vec![false; linear.columns()];
    rows.iter().for_each(|&row| linear.for_each_weight(row, |column, _| seen[column] = true));
    let mut columns: Vec<usize> = (0..seen.len()).filter(|&column| seen[column]).collect();
    if linear.convolution().is_some() {
        let (channel, positions) = (linear.input.positions(), linear.input.channels);
        columns.sort_unstable_by_key(|column| column % channel * positions + column / channel);
    }
    if columns.is_empty() { vec![0] } else { columns }
}

/// A round number, so that it is the same on every machine: an integer, or a fraction for very large weights.
pub(crate) fn whole_scale(bits: f64) -> Scale {
    const PARTS: f64 = 65536.0;
    let scale = bits.exp2();
    Scale(if scale < 1024.0 { (scale * PARTS).round().max(1.0) / PARTS } else { scale.round() })
}

/// The weights of some rows of a layer over its [`columns`]; those that are zero are left out.
fn rows(link: &Link, rows: &[usize], columns: &[usize]) -> ScalarRows {
    let (linear, bias) = (link.linear.clone(), link.bias.clone());
    let (rows, columns): (Arc<[usize]>, Arc<[usize]>) = (rows.into(), columns.into());
    ScalarRows::new(rows.len(), move |index| {
        let (mut terms, mut at) = (vec![], 0);
        linear.for_each_weight(rows[index], |column, weight| {
            // Both are in the same order.
            at += columns[at..].iter().position(|c| *c == column).expect("all that a row sees is there");
            terms.push((at as u32, weight));
        });
        ScalarRow { terms, constant: bias[rows[index]] }
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
