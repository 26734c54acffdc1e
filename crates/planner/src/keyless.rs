//! Plans without evaluation keys: for two linear layers with a square between.
//!
//! A client that registers keys does so for two operations, rotations and relinearisations. Neither is needed
//! where the network is so shallow. The client writes each kernel position of the first layer in a ciphertext
//! of its own, in all replicas, so that every channel of the layer is a sum of scalar multiples of the same
//! ciphertexts. The square stays in three parts. The last layer is the coefficient product
//! ([`CoefficientKernel`] has the mathematics), which acts on each part by itself: one product for each
//! channel. And the reply carries the three parts.
//!
//! All of it is one chain ([`blindsight_circuit::scalar`]), divided once at its end. There are no special
//! primes, which only keys have: what a ring has room for is all for levels, so a smaller ring does.
//!
//! [`CoefficientKernel`]: blindsight_layers::CoefficientKernel

use crate::Error;
use crate::literature::{Chain, Link, largest_weight, whole_scale};
use crate::parameters::nearest;
use blindsight_circuit::{Builder, Counts, Label, LabelInput, Numbers, Output, Reading, ScalarRows, Value};
use blindsight_ckks::{Demands, Encoding, Level, Parameters, ParametersLiteral, ScalarRow, Scale, Security};
use blindsight_layers::{Assembly, Linear, coefficient_factor};
use blindsight_layout::{Axis, Blocks, Digit, Im2col, InputLayout, Layout, Placement, ReplyLayout};
use blindsight_network::{Convolution, Shape};
use std::sync::Arc;

/// The network, and what is known of it before there are parameters.
struct Shallow<'a> {
    first: &'a Link,
    square: &'a str,
    last: &'a Link,
    convolution: Convolution,
    /// What no score's magnitude should exceed.
    bound: f64,
}

/// `log2` of the least scales, of the image, of the first layer's largest weight, and of the last layer's:
/// fresh errors are 9 bits.
const LEAST_BITS: [f64; 3] = [19.0, 10.0, 10.0];
/// How often a bit more for each of them counts in the end: the first two are squared.
const SHARES: [f64; 3] = [2.0, 2.0, 1.0];
/// Bits that parameters have beyond what is needed, where the ring has room for them.
const SPARE_BITS: f64 = 5.0;
/// Primes are searched for below this many bits: the base is as large as can be, for the reply's precision.
const LARGEST_BITS: f64 = 30.0;
/// No level has a smaller prime.
const LEAST_PRIME_BITS: f64 = 24.0;

/// Parameters for a network in a ring: a base of 30 bits, and as few levels as have the bits that scales
/// need.
///
/// # Errors
/// Where the network is no shallow one, or the ring has no room for it.
pub(crate) fn parameters(
    chain: &Chain,
    degree: usize,
    bound: f64,
    security: Security,
) -> Result<Parameters, Error> {
    let shallow = Shallow::new(chain, bound)?;
    let validated =
        |literal: ParametersLiteral| Ok(literal.validate_as(Demands { security, ..Demands::default() })?);
    let spacious = shallow.literal(degree, SPARE_BITS).and_then(validated);
    spacious.or_else(|_| shallow.literal(degree, 0.0).and_then(validated))
}

/// Builds the circuit. `bound` is what no score's magnitude should exceed.
///
/// # Errors
/// Where the network is no shallow one, or the parameters have too few bits for it.
pub(crate) fn assemble(chain: &Chain, parameters: &Parameters, bound: f64) -> Result<Assembly, Error> {
    let shallow = Shallow::new(chain, bound)?;
    let layout = shallow.layout(parameters.slots())?;
    let reply = shallow.reply(&layout, parameters.modulus(Level(0)))?;
    let [input_scale, weight_scale] = shallow.scales(parameters, reply.scale)?;
    let im2col = Im2col::new(&shallow.convolution, shallow.first.linear.input, layout);
    let input = InputLayout::Im2col(im2col.clone());
    input.validate()?;
    let input_level = parameters.max_level();
    let mut b = Builder::new(parameters.clone());
    let inputs = (0..input.ciphertexts()).map(|_| b.input(input_level, input_scale));
    let inputs = inputs.collect::<Result<Vec<Value>, _>>()?;
    let words = [input.to_string(), im2col.output.to_string()];
    let [before, between, after] =
        [&words[0], &words[1], &format!("{} coefficients in three parts", reply.values().len())];
    let Shallow { first, square, last, .. } = &shallow;
    let sums = b.layer(label(&first.name, first.kind, "input", [before, between]), |b| {
        b.sums(&inputs, shallow.rows(&im2col), weight_scale)
    })?;
    let squares = b.layer(label(square, "square", &first.name, [between, between]), |b| b.squares(&sums))?;
    let scores = b.layer(label(&last.name, last.kind, square, [between, after]), |b| {
        shallow.scores(b, &squares, &im2col.output, &reply)
    })?;
    let output = |value| Output { value, reading: Reading::Coefficients(reply.indices()) };
    let circuit = b.finish(scores.into_iter().map(output).collect())?;
    Ok(Assembly { circuit, input, input_level, input_scale, reply })
}

/// Whether no weight is other than zero: the scores would depend on no input, and be encrypted to nobody.
fn is_zero(linear: &Linear) -> bool {
    let mut zero = true;
    (0..linear.rows()).for_each(|row| linear.for_each_weight(row, |_, weight| zero &= weight == 0.0));
    zero
}

fn label(name: &str, kind: &str, read: &str, [from, to]: [&String; 2]) -> Label {
    Label {
        name: name.into(),
        kind: kind.into(),
        inputs: vec![LabelInput { name: read.into(), representation: from.clone() }],
        representation_out: to.clone(),
    }
}

/// Why layers are computed so.
pub(crate) fn reasons(input: &InputLayout, reply: &ReplyLayout, counts: &[Counts]) -> Vec<Option<String>> {
    let products = counts.last().map_or(0, |last| last.plaintext_multiplications);
    let first = format!(
        "the client writes what each kernel position sees in a ciphertext of its own, so every channel is a sum of scalar multiples of the same {}: no key",
        input.ciphertexts()
    );
    let last = format!(
        "{products} products have all {} values of the reply as coefficients, part by part: no rotation, no key",
        reply.values().len()
    );
    vec![Some(first), Some("left in three parts: no relinearisation, no key".into()), Some(last)]
}

impl<'a> Shallow<'a> {
    fn new(chain: &'a Chain, bound: f64) -> Result<Self, Error> {
        let refused = |found: String, expected| Err(Error::Chain { found, expected });
        let [first, last] = &chain.links[..] else {
            let found = format!("{} linear layers", chain.links.len());
            return refused(found, "two linear layers with a square between, for a plan without keys");
        };
        let ([square], []) = (&first.squares[..], &last.squares[..]) else {
            let found = format!("{} and {} squares after them", first.squares.len(), last.squares.len());
            return refused(found, "two linear layers with a square between, for a plan without keys");
        };
        let Some(convolution) = first.linear.as_convolution() else {
            return refused(first.name.clone(), "a convolution or a dense layer, for a plan without keys");
        };
        let positions = first.linear.output.positions();
        if first.bias.chunks(positions).any(|channel| channel.iter().any(|bias| *bias != channel[0])) {
            let found = format!("a bias that differs from place to place in {}", first.name);
            return refused(found, "one bias for each channel, for a plan without keys");
        }
        if let Some(constant) = [first, last].into_iter().find(|link| is_zero(&link.linear)) {
            return Err(Error::Constant { layer: constant.name.clone() });
        }
        Ok(Self { first, square, last, convolution, bound })
    }

    /// Where the first layer's output lies: each channel in a ciphertext of its own, in all its slots.
    fn layout(&self, slots: usize) -> Result<Layout, Error> {
        let shape = self.first.linear.output;
        let period = shape.positions().next_power_of_two();
        if period > slots {
            let expected = format!("at most {slots}, for a plan without keys");
            return Err(Error::does_not_fit("number of positions of a channel", period, expected));
        }
        let Shape { channels, height, width } = shape;
        let mut digits = vec![
            Digit { axis: Axis::Column, count: width, stride: 1 },
            Digit { axis: Axis::Row, count: height, stride: width },
            Digit { axis: Axis::Channel, count: channels, stride: slots },
        ];
        digits.retain(|digit| digit.count > 1);
        let blocks = Blocks::cyclic(slots / period, slots, 1);
        Ok(Layout { shape, slots, ciphertexts: channels, digits, bias_slot: None, blocks })
    }

    fn reply(&self, layout: &Layout, base: f64) -> Result<ReplyLayout, Error> {
        let scores = self.last.linear.rows();
        Ok(ReplyLayout::unrelinearised(scores, self.bound, base, layout.blocks.count)?)
    }

    /// `log2` of the least scales that precision asks for, by the largest weights.
    fn least_bits(&self) -> [f64; 3] {
        let [input, first, last] = LEAST_BITS;
        let weight = |link: &Link| largest_weight(&link.linear).log2();
        [input, first - weight(self.first), last - weight(self.last)]
    }

    /// `log2` of the scale that these come to before the division.
    fn needed_bits(&self) -> f64 {
        self.least_bits().iter().zip(SHARES).map(|(bits, share)| bits * share).sum()
    }

    /// Primes with so many bits more than are needed.
    fn literal(&self, degree: usize, spare: f64) -> Result<ParametersLiteral, Error> {
        let misfit = || Error::does_not_fit("ring degree", degree, "one with more primes");
        let largest = LARGEST_BITS.exp2() as u64;
        let base = *nearest(degree, largest, largest / 2, largest).first().ok_or_else(misfit)?;
        let reply = self.reply(&self.layout(degree)?, f64::from(base))?;
        let missing = self.needed_bits() + spare - reply.scale.log2();
        let levels = (missing / LARGEST_BITS).ceil().max(1.0);
        let bits = (missing / levels).max(LEAST_PRIME_BITS);
        let near = nearest(degree, bits.exp2() as u64, 1 << 23, largest);
        let near: Vec<u32> = near.into_iter().filter(|q| *q != base).take(levels as usize).collect();
        if near.len() < levels as usize {
            return Err(misfit());
        }
        Ok(ParametersLiteral { degree, moduli: [vec![base], near].concat(), special: vec![], digit_limbs: 1 })
    }

    /// The scales of the image and of the first layer's weights: what is left over is shared out evenly.
    fn scales(&self, parameters: &Parameters, last: Scale) -> Result<[Scale; 2], Error> {
        let available = last.log2() + parameters.log_q(parameters.max_level()) - parameters.log_q(Level(0));
        let needed = self.needed_bits();
        if needed > available {
            let (what, expected) = ("bits of the scales", format!("at most {available:.1}"));
            return Err(Error::does_not_fit(what, format!("{needed:.1}"), expected));
        }
        let more = (available - needed) / SHARES.iter().sum::<f64>();
        let [input, weights, _] = self.least_bits();
        Ok([whole_scale(input + more), whole_scale(weights + more)])
    }

    /// Each channel's sum of scalar multiples.
    fn rows(&self, im2col: &Im2col) -> ScalarRows {
        let (convolution, bias) = (self.convolution.clone(), self.first.bias.clone());
        let (sources, taps) = (im2col.sources(), im2col.taps.clone());
        let Shape { channels, .. } = self.first.linear.output;
        let positions = self.first.linear.output.positions();
        ScalarRows::new(channels, move |channel| {
            let weights = convolution.channel_weights(channel);
            let term = |(of, tap): (&Vec<usize>, &u32)| (of[channel] as u32, weights[*tap as usize]);
            let mut terms: Vec<(u32, f64)> = sources.iter().zip(&taps).map(term).collect();
            terms.sort_unstable_by_key(|(source, _)| *source);
            ScalarRow { terms, constant: bias[channel * positions] }
        })
    }

    /// The scores: products, their division, and the bias.
    fn scores(
        &self,
        b: &mut Builder,
        squares: &[Value],
        layout: &Layout,
        reply: &ReplyLayout,
    ) -> Result<Vec<Value>, blindsight_circuit::Error> {
        let rescales = b.level(squares[0])?.0;
        let primes = (1..=rescales).map(|level| b.parameters().modulus(Level(level)));
        let scale = Scale(primes.fold(reply.scale.0, |scale, q| scale * q) / b.scale(squares[0])?.0);
        let (each, columns) = (reply.indices().len(), Arc::new(Placement::new(layout)));
        let row = |encryption: usize| -> Vec<Numbers> {
            let rows = Arc::new(self.coefficients(encryption, each));
            let factor = |ciphertext: usize| {
                let (rows, columns) = (rows.clone(), columns.clone());
                Numbers::new(move || coefficient_factor(&rows, &columns, ciphertext))
            };
            (0..squares.len()).map(factor).collect()
        };
        let products = b.products(squares, (0..reply.ciphertexts()).map(row).collect(), scale)?;
        let divided = b.divide(&products, rescales)?;
        if self.last.bias.iter().all(|bias| *bias == 0.0) {
            return Ok(divided);
        }
        let biased = divided.into_iter().enumerate().map(|(encryption, value)| {
            let own = self.last.bias.iter().skip(encryption * each).take(each).copied();
            let biases: Vec<f64> = std::iter::once(0.0).chain(own).collect();
            b.add_plain(value, Encoding::Coefficients, Numbers::new(move || biases.clone()))
        });
        biased.collect()
    }

    /// The scores that an encryption of the reply carries: their coefficients and weights.
    fn coefficients(&self, encryption: usize, each: usize) -> Vec<(usize, Vec<f64>)> {
        let linear = &self.last.linear;
        let row = |(coefficient, row): (usize, usize)| {
            let mut weights = vec![0.0; linear.columns()];
            linear.for_each_weight(row, |column, weight| weights[column] = weight);
            (coefficient, weights)
        };
        let own = (encryption * each..(encryption + 1) * each).take_while(|row| *row < linear.rows());
        (1..).zip(own).map(row).collect()
    }
}
