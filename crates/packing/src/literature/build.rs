//! From a chain of layers to operations: one straight line over the layers.

use super::{Chain, Input, Named};
use crate::Error;
use crate::kernels::{
    Interleave, NOMINAL_SCALE, Placed, RowSum, Window, add_at, map, offsets, replicate, stack, stacked_rows,
};
use crate::matrix::Matrix;
use circuit::{Builder, Label, Value};
use ckks::{Parameters, Rescale, Scale};
use network::Convolution;
use std::sync::Arc;

/// A circuit in the making.
pub(super) struct Build<'a> {
    pub b: Builder,
    plan: Named,
    chain: &'a Chain,
    slots: usize,
    /// The scale of the scores.
    scale: Scale,
    /// Whether inner layers are rescaled before they are folded.
    rescale_first: bool,
}

/// A tensor in one ciphertext.
struct Tensor {
    value: Value,
    at: Placed,
    /// Whether the copies are there already.
    copied: bool,
}

impl<'a> Build<'a> {
    pub fn new(
        plan: Named,
        chain: &'a Chain,
        parameters: &Parameters,
        scale: Scale,
        rescale_first: bool,
    ) -> Self {
        let (b, slots) = (Builder::new(parameters.clone()), parameters.slots());
        Self { b, plan, chain, slots, scale, rescale_first }
    }

    /// What the client writes.
    pub fn input(&self) -> Result<Input, Error> {
        let (image, first) = (self.chain.input, &self.chain.layers[0]);
        let input = match (self.chain.first_convolution(), self.plan) {
            (Some(layer), Named::Lola) => {
                Input::Offsets { layer: layer.clone(), image, output: first.output }
            }
            (Some(layer), Named::LolaDense) => {
                let pitch = window(layer, first).pitch;
                Input::Image { image, pitch, spacing: self.slots, copies: 1 }
            }
            (None, plan) => {
                let spacing = image.elements().next_power_of_two();
                let copies = if plan == Named::Lola { self.slots / spacing } else { 1 };
                Input::Image { image, pitch: image.width, spacing, copies }
            }
        };
        let used = match &input {
            Input::Offsets { output, .. } => output.positions(),
            Input::Image { image, pitch, .. } => image.channels * image.height * pitch,
        };
        self.check("slots of an input ciphertext", used)?;
        Ok(input)
    }

    /// All layers; the scores come in a ciphertext each.
    pub fn run(&mut self, inputs: &[Value]) -> Result<Vec<Value>, Error> {
        let layers = self.chain.layers.clone();
        let (last, inner) = layers.split_last().expect("a chain has a layer at least");
        let mut squares = self.chain.squares.iter();
        let mut inner = inner.iter();
        let mut tensor = match self.chain.first_convolution() {
            Some(layer) => {
                let first = inner.next().expect("the convolution is not the last layer");
                let tensor = self.convolution(&Arc::new(layer.clone()), first, inputs)?;
                self.square(tensor, squares.next())?
            }
            None => Tensor {
                value: inputs[0],
                at: Placed::new((0..self.chain.input.elements()).collect()),
                copied: self.plan == Named::Lola,
            },
        };
        for layer in inner {
            tensor = self.rows(layer, tensor, squares.next())?;
        }
        self.scores(last, &tensor)
    }

    /// Offset ciphertexts to a stack of maps.
    fn convolution(
        &mut self,
        layer: &Arc<Convolution>,
        matrix: &Arc<Matrix>,
        inputs: &[Value],
    ) -> Result<Tensor, Error> {
        let (positions, maps) = (matrix.output.positions(), matrix.output.channels);
        let window = window(layer, matrix);
        let dense = self.plan == Named::LolaDense;
        let places: Vec<usize> = (0..positions).map(|p| if dense { window.place(p) } else { p }).collect();
        let spacing = places.iter().max().map_or(1, |p| p + 1);
        self.check("slots of the stacked maps", (maps - 1) * spacing + spacing)?;
        let stacked = (0..maps).flat_map(|m| places.iter().map(move |p| m * spacing + p));
        let at = Placed::new(stacked.collect());
        let position: Arc<[Option<usize>]> = inverse(&places, self.slots).into();
        let from = if dense { "image" } else { "offsets of the window" };
        let label = label(matrix, from, &format!("{maps} maps stacked every {spacing} slots"));
        let value = self.b.layer(label, |b| -> Result<Value, circuit::Error> {
            let taps = if dense { offsets(b, inputs[0], &window)? } else { inputs.to_vec() };
            let mut sums = Vec::with_capacity(maps);
            for channel in 0..maps {
                let (position, matrix) = (position.clone(), matrix.clone());
                let bias = move |slot: usize| position[slot].map(|p| matrix.bias[channel * positions + p]);
                sums.push(map(b, layer, &taps, channel, bias)?);
            }
            stack(b, &sums, spacing)
        })?;
        Ok(Tensor { value, at, copied: false })
    }

    fn square(&mut self, tensor: Tensor, name: Option<&String>) -> Result<Tensor, Error> {
        let words = "as it was";
        let label = Label {
            name: name.cloned().unwrap_or_default(),
            kind: "square".into(),
            representation_in: words.into(),
            representation_out: words.into(),
        };
        let value = self.b.layer(label, |b| b.multiply(tensor.value, tensor.value, Rescale::Yes))?;
        Ok(Tensor { value, ..tensor })
    }

    /// A layer inside the network, and the square that follows: copies, stacked rows, and their sums interleaved in one ciphertext.
    ///
    /// LoLa squares what it interleaved, LoLa-Dense interleaves what it squared. Where a ciphertext has room for one row only, the fold is over
    /// all slots, rows are masked in place, and the bias is added to all of them at once, as LoLa's network for CIFAR-10 does.
    fn rows(
        &mut self,
        matrix: &Arc<Matrix>,
        tensor: Tensor,
        square: Option<&String>,
    ) -> Result<Tensor, Error> {
        let Tensor { value, at, copied } = tensor;
        let (spacing, rows) = (at.spacing, matrix.rows());
        let copies = self.slots / spacing;
        let groups = rows.div_ceil(copies);
        self.check("rows of a layer", if groups > spacing { rows } else { 0 })?;
        let squares_first = self.plan == Named::LolaDense && copies > 1;
        let sum = RowSum { slots: spacing, scale: NOMINAL_SCALE, rescale_first: self.rescale_first };
        let label = label(
            matrix,
            &format!("{copies} copies every {spacing} slots"),
            &format!("{groups} groups of {copies} rows, interleaved"),
        );
        let value = self.b.layer(label, |b| -> Result<Value, circuit::Error> {
            let value = if copied { value } else { replicate(b, value, spacing, copies)? };
            let mut interleave = Interleave::new(spacing);
            for group in 0..groups {
                let rows = group * copies..rows.min((group + 1) * copies);
                let mut sums = stacked_rows(b, value, &at, matrix, rows, sum)?;
                if copies > 1 {
                    let matrix = matrix.clone();
                    let row = move |s: usize| s.is_multiple_of(spacing).then(|| group * copies + s / spacing);
                    sums = add_at(b, sums, move |s| row(s).and_then(|r| matrix.bias.get(r).copied()))?;
                }
                if squares_first {
                    sums = b.multiply(sums, sums, Rescale::Yes)?;
                }
                interleave.take(b, sums)?;
            }
            let value = interleave.finish(b)?;
            if copies > 1 {
                return Ok(value);
            }
            let matrix = matrix.clone();
            add_at(b, value, move |s| matrix.bias.get(s).copied())
        })?;
        let at = Placed::new((0..rows).map(|r| r % copies * spacing + r / copies).collect());
        let tensor = Tensor { value, at, copied: false };
        if squares_first { Ok(tensor) } else { self.square(tensor, square) }
    }

    /// The last layer: a ciphertext for each row, which holds its sum in every slot.
    fn scores(&mut self, matrix: &Arc<Matrix>, tensor: &Tensor) -> Result<Vec<Value>, Error> {
        let sum = RowSum { slots: self.slots, scale: self.scale, rescale_first: false };
        let label = label(matrix, "one copy", "one row in each ciphertext, in every slot");
        Ok(self.b.layer(label, |b| {
            let row = |row: usize| {
                let total = stacked_rows(b, tensor.value, &tensor.at, matrix, row..row + 1, sum)?;
                let bias = matrix.bias[row];
                add_at(b, total, move |_| Some(bias))
            };
            (0..matrix.rows()).map(row).collect::<Result<_, circuit::Error>>()
        })?)
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

fn window(layer: &Convolution, matrix: &Matrix) -> Window {
    Window::new(Arc::new(layer.clone()), matrix.input, matrix.output)
}

/// For each slot the index of what lies there.
fn inverse(places: &[usize], slots: usize) -> Vec<Option<usize>> {
    let mut inverse = vec![None; slots];
    places.iter().enumerate().for_each(|(index, slot)| inverse[*slot] = Some(index));
    inverse
}

fn label(matrix: &Matrix, from: &str, to: &str) -> Label {
    Label {
        name: matrix.name.clone(),
        kind: matrix.operator().into(),
        representation_in: from.into(),
        representation_out: to.into(),
    }
}
