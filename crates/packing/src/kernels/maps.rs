//! Map by map: convolutions over offset ciphertexts with one weight for all slots (LoLa's convolution representation).

use super::NOMINAL_SCALE;
use super::rows::add_at;
use crate::matrix::source;
use circuit::{Builder, Error, Giant, Numbers, Role, Value};
use ckks::Rescale;
use network::{Convolution, Shape};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One map of a convolution: the sum of the offset ciphertexts of its group's taps, each times its weight, and the bias, which is given for
/// each slot.
///
/// Cost for `t` taps: `t` products with plaintexts, `t` additions, the bias among them. One level.
pub(crate) fn map(
    b: &mut Builder,
    layer: &Arc<Convolution>,
    offsets: &[Value],
    channel: usize,
    bias: impl Fn(usize) -> Option<f64> + Send + Sync + 'static,
) -> Result<Value, Error> {
    let (slots, taps) = (b.slots(), layer.taps());
    let first = channel / layer.group_outputs() * taps;
    let mut terms = Vec::with_capacity(taps);
    for tap in 0..taps {
        let value = offsets[first + tap];
        let (level, scale) = (b.level(value)?, b.scale_towards(value, NOMINAL_SCALE)?);
        let layer = layer.clone();
        let weight = Numbers::new(move || vec![layer.channel_weights(channel)[tap]; slots]);
        terms.push((value, b.plain(Role::Factor, level, scale, weight)?));
    }
    let sum = b.dot(terms, Rescale::Yes)?;
    add_at(b, sum, bias)
}

/// Where LoLa-Dense puts the positions of a convolution's output when it cuts the taps out of an image in one ciphertext.
///
/// Neighbouring positions lie as far apart as the pixels that they see: `stride` columns, `stride` rows of `pitch` slots. That leaves
/// holes, so the output's rows are cut into `stride * stride` blocks, and block `i` goes into hole `i`. Within a block all positions of a
/// tap move by the same distance.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub layer: Arc<Convolution>,
    pub image: Shape,
    pub output: Shape,
    /// Slots from one row of the image to the next.
    pub pitch: usize,
}

impl Window {
    /// The narrowest pitch at which no two positions meet: that of the image, wherever its output is no wider.
    pub fn new(layer: Arc<Convolution>, image: Shape, output: Shape) -> Self {
        let pitch = image.width.max(output.width * layer.stride[1]);
        Self { layer, image, output, pitch }
    }

    /// The block of an output row, and the row's index in it: the first blocks have a row more where they do not come out even.
    fn block(&self, row: usize) -> (usize, usize) {
        let blocks = self.layer.stride[0] * self.layer.stride[1];
        let (least, larger) = (self.output.height / blocks, self.output.height % blocks);
        let before = larger * (least + 1);
        match row.checked_sub(before) {
            None => (row / (least + 1), row % (least + 1)),
            Some(rest) => (larger + rest / least, rest % least),
        }
    }

    /// The slot of an output position.
    pub fn place(&self, position: usize) -> usize {
        let (block, row) = self.block(position / self.output.width);
        let [down, right] = self.layer.stride;
        let (hole_row, hole_column) = (block / right, block % right);
        (row * down + hole_row) * self.pitch + position % self.output.width * right + hole_column
    }

    /// The slot of an element of the image.
    fn slot(&self, element: usize) -> usize {
        element / self.image.width * self.pitch + element % self.image.width
    }

    /// For each rotation the slots that it fills with what `tap` sees.
    fn moves(&self, tap: usize, slots: usize) -> BTreeMap<usize, Vec<usize>> {
        let mut moves = BTreeMap::<usize, Vec<usize>>::new();
        for position in 0..self.output.positions() {
            let source = source(&self.layer, self.image, self.output, tap, position);
            if let Some(element) = source {
                let place = self.place(position);
                moves.entry((self.slot(element) + slots - place) % slots).or_default().push(place);
            }
        }
        moves
    }
}

/// The offset ciphertexts of all taps, cut out of one ciphertext that holds the image: for each tap and block a rotation, which share
/// one decomposition, a mask and a sum. (LoLa masks first and rotates then; that counts the same.)
///
/// Cost for `t` taps and `k = stride * stride` blocks: `t k` products with masks, `t k` rotations but for those by zero, `t (k - 1)` additions.
/// One level.
pub(crate) fn offsets(b: &mut Builder, value: Value, window: &Window) -> Result<Vec<Value>, Error> {
    let (slots, level, scale) = (b.slots(), b.level(value)?, b.scale_towards(value, NOMINAL_SCALE)?);
    let taps = window.image.channels * window.layer.kernel[0] * window.layer.kernel[1];
    let mut offsets = Vec::with_capacity(taps);
    for tap in 0..taps {
        let mut terms = vec![];
        for (rotation, places) in window.moves(tap, slots) {
            let mask = Numbers::new(move || {
                let mut mask = vec![0.0; slots];
                places.iter().for_each(|p| mask[*p] = 1.0);
                mask
            });
            terms.push((rotation, b.plain(Role::ExtendedFactor, level, scale, mask)?));
        }
        if terms.is_empty() {
            // It sees nothing but padding.
            let nothing = Numbers::new(move || vec![0.0; slots]);
            terms.push((0, b.plain(Role::ExtendedFactor, level, scale, nothing)?));
        }
        offsets.push(b.transform(value, vec![Giant { rotation: 0, terms }], Rescale::Yes)?);
    }
    Ok(offsets)
}
