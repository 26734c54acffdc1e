//! From a chain of layers to operations: one straight line over the layers.

use super::Lola;
use super::chain::{Chain, Link};
use crate::Error;
use blindsight_circuit::{Builder, Label, LabelInput, Value};
use blindsight_ckks::{Parameters, Rescale, Scale};
use blindsight_layers::{
    Cut, Interleave, Linear, Placed, RowSum, add_bias, replicate, scalar_sum, stack, stacked_rows,
};
use blindsight_layout::{Axis, Blocks, Digit, Im2col, InputLayout, Layout};
use std::sync::Arc;

/// A circuit in the making.
pub(super) struct Build<'a> {
    pub b: Builder,
    lola: Lola,
    chain: &'a Chain,
    slots: usize,
    /// The scale of the scores.
    scale: Scale,
}

/// A tensor in one ciphertext.
struct Tensor {
    value: Value,
    at: Placed,
    /// Whether the replicas are there already.
    is_replicated: bool,
    words: String,
}

impl<'a> Build<'a> {
    pub fn new(lola: Lola, chain: &'a Chain, parameters: &Parameters, scale: Scale) -> Self {
        Self { b: Builder::new(parameters.clone()), lola, chain, slots: parameters.slots(), scale }
    }

    /// What the client writes.
    pub fn input(&self) -> Result<InputLayout, Error> {
        let (image, slots) = (self.chain.input, self.slots);
        let input = match (self.im2col(), self.lola) {
            (Some(im2col), Lola::Offsets) => InputLayout::Im2col(im2col),
            (Some(im2col), Lola::Dense) => {
                let pitch = Cut::new(im2col).pitch;
                InputLayout::Image(maps_apart(image, pitch, image.height * pitch, slots))
            }
            (None, lola) => {
                let layout = maps_apart(image, image.width, image.positions(), slots);
                let replicas = match lola {
                    Lola::Offsets => (slots / image.elements().next_power_of_two()).max(1),
                    Lola::Dense => 1,
                };
                InputLayout::Image(layout.with_blocks(Blocks::cyclic(replicas, slots, 1)))
            }
        };
        input.validate()?;
        Ok(input)
    }

    /// What the taps of the first convolution see, a ciphertext for each; `None` where the network does not
    /// begin with one.
    fn im2col(&self) -> Option<Im2col> {
        let first = &self.chain.links[0].linear;
        let convolution = first.convolution().filter(|_| self.chain.links.len() > 1)?;
        let mut output = maps_apart(first.output, first.output.width, self.slots, self.slots);
        output.ciphertexts = first.output.channels;
        if first.output.channels == 1 {
            output = Layout::packed(first.output, self.slots);
        }
        Some(Im2col::new(convolution, first.input, output))
    }

    /// All layers; the scores come in a ciphertext each.
    pub fn run(&mut self, inputs: &[Value], input: &InputLayout) -> Result<Vec<Value>, Error> {
        let (last, inner) = self.chain.links.split_last().expect("a chain has a link at least");
        let mut inner = inner.iter();
        let words = input.to_string();
        let mut tensor = match (self.im2col(), self.chain.links.len()) {
            (Some(im2col), 2..) => {
                let first = inner.next().expect("there are two");
                let tensor = self.convolution(first, im2col, inputs, words)?;
                self.squares(tensor, first)?
            }
            _ => Tensor {
                value: inputs[0],
                at: Placed::new((0..self.chain.input.elements()).collect()),
                is_replicated: self.lola == Lola::Offsets,
                words,
            },
        };
        for link in inner {
            tensor = self.rows(link, tensor)?;
        }
        self.scores(last, &tensor)
    }

    /// Offset ciphertexts to a stack of maps.
    fn convolution(
        &mut self,
        link: &Link,
        im2col: Im2col,
        inputs: &[Value],
        from: String,
    ) -> Result<Tensor, Error> {
        let linear = &link.linear;
        let (positions, maps) = (linear.output.positions(), linear.output.channels);
        let cut = (self.lola == Lola::Dense).then(|| Cut::new(im2col.clone()));
        let place = |p| cut.as_ref().map_or(p, |cut| cut.place(p));
        let places: Vec<usize> = (0..positions).map(place).collect();
        let spacing = places.iter().max().map_or(1, |p| p + 1);
        self.check("slots of the stacked maps", maps * spacing)?;
        let stacked = (0..maps).flat_map(|m| places.iter().map(move |p| m * spacing + p));
        let at = Placed::new(stacked.collect());
        let words = format!("{maps} maps stacked every {spacing} slots");
        let position: Arc<[Option<usize>]> = inverse(&places, self.slots).into();
        let label = self.label(&link.name, link.kind, from, &words);
        let value = self.b.layer(label, |b| -> Result<Value, blindsight_circuit::Error> {
            let offsets = match &cut {
                Some(cut) => cut.build(b, inputs[0])?,
                None => inputs.to_vec(),
            };
            let mut sums = Vec::with_capacity(maps);
            for map in 0..maps {
                let sum = scalar_sum(b, taps(linear, &im2col, cut.is_some(), map, &offsets))?;
                let (position, all) = (position.clone(), link.bias.clone());
                let bias = move |p: usize| all[map * positions + p];
                sums.push(add_bias(b, sum, move |slot| position[slot].map_or(0.0, &bias))?);
            }
            stack(b, &sums, spacing)
        })?;
        Ok(Tensor { value, at, is_replicated: false, words })
    }

    fn squares(&mut self, mut tensor: Tensor, link: &Link) -> Result<Tensor, Error> {
        for name in &link.squares {
            let label = self.label(name, "square", tensor.words.clone(), &tensor.words);
            tensor.value = self.b.layer(label, |b| b.multiply(tensor.value, tensor.value, Rescale::Yes))?;
        }
        Ok(tensor)
    }

    /// A layer inside the network, and the squares that follow: replicas, stacked rows, and their sums
    /// interleaved in one ciphertext.
    ///
    /// LoLa squares what it interleaved, LoLa-Dense interleaves what it squared. Where a ciphertext has room
    /// for one row only, the fold is over all slots, rows are masked in place, and the bias is added to all
    /// of them at once, as LoLa's network for CIFAR-10 does.
    fn rows(&mut self, link: &Link, tensor: Tensor) -> Result<Tensor, Error> {
        let (linear, spacing, rows) = (&link.linear, tensor.at.spacing, link.linear.rows());
        let replicas = self.slots / spacing;
        let groups = rows.div_ceil(replicas);
        self.check("rows of a layer", rows)?;
        let squares = if self.lola == Lola::Dense && replicas > 1 { link.squares.len() } else { 0 };
        let sum = RowSum { slots: spacing, scale: self.b.parameters().nominal_scale() };
        let words = match replicas {
            1 => format!("{rows} rows, each in its slot"),
            _ => format!("{groups} groups of {replicas} rows, interleaved"),
        };
        let mut label = self.label(&link.name, link.kind, tensor.words, &words);
        link.squares[..squares].iter().for_each(|name| label.name = format!("{}, {name}", label.name));
        let value = self.b.layer(label, |b| -> Result<Value, blindsight_circuit::Error> {
            let value = if tensor.is_replicated {
                tensor.value
            } else {
                replicate(b, tensor.value, spacing, replicas)?
            };
            let mut interleave = Interleave::new(spacing);
            for group in (0..groups).rev() {
                let first = group * replicas;
                let rows = first..rows.min(first + replicas);
                let mut sums = stacked_rows(b, value, &tensor.at, linear, rows, sum)?;
                if replicas > 1 {
                    sums = add_bias(b, sums, stacked_bias(&link.bias, first, spacing))?;
                }
                for _ in 0..squares {
                    sums = b.multiply(sums, sums, Rescale::Yes)?;
                }
                interleave.take(b, sums, group)?;
            }
            let value = interleave.finish(b)?;
            if replicas > 1 {
                return Ok(value);
            }
            let bias = link.bias.clone();
            add_bias(b, value, move |s| bias.get(s).copied().unwrap_or(0.0))
        })?;
        let at = Placed::new((0..rows).map(|r| r % replicas * spacing + r / replicas).collect());
        let tensor = Tensor { value, at, is_replicated: false, words };
        if squares > 0 { Ok(tensor) } else { self.squares(tensor, link) }
    }

    /// The last layer: a ciphertext for each row, which holds its sum in every slot.
    fn scores(&mut self, link: &Link, tensor: &Tensor) -> Result<Vec<Value>, Error> {
        let sum = RowSum { slots: self.slots, scale: self.scale };
        let words = "a ciphertext for each row, the same in every slot";
        let (linear, from) = (&link.linear, tensor.words.clone());
        let label = self.label(&link.name, link.kind, from, words);
        Ok(self.b.layer(label, |b| {
            let row = |row: usize| {
                let total = stacked_rows(b, tensor.value, &tensor.at, linear, row..row + 1, sum)?;
                let bias = link.bias[row];
                add_bias(b, total, move |_| bias)
            };
            (0..linear.rows()).map(row).collect::<Result<_, blindsight_circuit::Error>>()
        })?)
    }

    /// The label of a layer that reads the one before.
    fn label(&self, name: &str, kind: &str, from: String, to: &str) -> Label {
        let before = LabelInput { name: self.b.last_layer().into(), representation: from };
        Label { name: name.into(), kind: kind.into(), inputs: vec![before], representation_out: to.into() }
    }

    fn check(&self, what: &str, used: usize) -> Result<(), Error> {
        let slots = self.slots;
        if used > slots {
            return Err(Error::does_not_fit(
                what,
                used,
                format!("at most the {slots} slots of a ciphertext"),
            ));
        }
        Ok(())
    }
}

/// A tensor with rows `row` and maps `map` positions apart.
fn maps_apart(shape: blindsight_network::Shape, row: usize, map: usize, slots: usize) -> Layout {
    let digits = vec![
        Digit { axis: Axis::Column, count: shape.width, stride: 1 },
        Digit { axis: Axis::Row, count: shape.height, stride: row },
        Digit { axis: Axis::Channel, count: shape.channels, stride: map },
    ];
    Layout { shape, slots, ciphertexts: 1, digits, bias_slot: None, blocks: Blocks::ONE }
}

/// The offset ciphertexts that a map is a sum of, each with its weight. Those that the client wrote follow
/// one another tap by tap, and where groups see different pixels map by map; those that were cut out follow
/// group by group.
fn taps(linear: &Linear, im2col: &Im2col, cut: bool, map: usize, offsets: &[Value]) -> Vec<(Value, f64)> {
    let convolution = linear.as_convolution().expect("windows are those of a convolution");
    let sources = im2col.sources();
    let index = |tap: usize| match cut {
        true => map / convolution.group_outputs() * im2col.taps.len() + tap,
        false => sources[tap][map % im2col.output.ciphertexts],
    };
    let weights = convolution.channel_weights(map);
    im2col.taps.iter().enumerate().map(|(i, tap)| (offsets[index(i)], weights[*tap as usize])).collect()
}

/// The biases of the rows from `first` on, one at each multiple of `spacing`.
fn stacked_bias(bias: &Arc<[f64]>, first: usize, spacing: usize) -> impl Fn(usize) -> f64 + 'static {
    let bias = bias.clone();
    move |slot| match slot % spacing {
        0 => bias.get(first + slot / spacing).copied().unwrap_or(0.0),
        _ => 0.0,
    }
}

/// For each slot the index of what lies there.
fn inverse(places: &[usize], slots: usize) -> Vec<Option<usize>> {
    let mut inverse = vec![None; slots];
    places.iter().enumerate().for_each(|(index, slot)| inverse[*slot] = Some(index));
    inverse
}
