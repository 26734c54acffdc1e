//! Map by map: convolutions over offset ciphertexts with one weight for all slots (LoLa's convolution
//! representation).

use blindsight_circuit::{Builder, Error, GiantStep, Numbers, Plain, Role, Term, Value};
use blindsight_ckks::{GiantOrder, Rescale};
use blindsight_layout::Im2col;
use std::collections::BTreeMap;

/// The sum of values, each times one number.
///
/// Cost for `k` values: `k` products with plaintexts, `k - 1` additions. One level.
pub fn scalar_sum(b: &mut Builder, terms: Vec<(Value, f64)>) -> Result<Value, Error> {
    let slots = b.slots();
    let mut products = Vec::with_capacity(terms.len());
    for (value, weight) in terms {
        let (level, scale) = (b.level(value)?, b.scale_towards(value, b.parameters().nominal_scale())?);
        products
            .push((value, b.plain(Role::Factor, level, scale, Numbers::new(move || vec![weight; slots]))?));
    }
    b.dot(products, Rescale::Yes)
}

/// Offset ciphertexts cut out of one ciphertext that holds the image, as LoLa-Dense does it.
///
/// Neighbouring positions of the output lie as far apart as the pixels that they see: `stride` columns,
/// `stride` rows of `pitch` slots. That leaves holes, so the output's rows are cut into `stride * stride`
/// blocks, and block `i` goes into hole `i`. Within a block all positions of a tap move by the same distance.
#[derive(Debug, Clone)]
pub struct Cut {
    im2col: Im2col,
    /// Slots from one row of the image to the next.
    pub pitch: usize,
}

impl Cut {
    /// The cut with the narrowest pitch at which no two positions meet: that of the image, wherever its
    /// output is no wider. Of the windows' output only the shape is looked at.
    pub fn new(im2col: Im2col) -> Self {
        let pitch = im2col.input.width.max(im2col.output.shape.width * im2col.stride[1]);
        Self { im2col, pitch }
    }

    /// The block of an output row, and the row's index in it: the first blocks have a row more where they do
    /// not come out even.
    fn block(&self, row: usize) -> (usize, usize) {
        let (blocks, height) =
            (self.im2col.stride[0] * self.im2col.stride[1], self.im2col.output.shape.height);
        let (least, larger) = (height / blocks, height % blocks);
        let before = larger * (least + 1);
        match row.checked_sub(before) {
            None => (row / (least + 1), row % (least + 1)),
            Some(rest) => (larger + rest / least, rest % least),
        }
    }

    /// The slot of an output position.
    pub fn place(&self, position: usize) -> usize {
        let ([down, right], width) = (self.im2col.stride, self.im2col.output.shape.width);
        let (block, row) = self.block(position / width);
        let (hole_row, hole_column) = (block / right, block % right);
        (row * down + hole_row) * self.pitch + position % width * right + hole_column
    }

    /// For each rotation the slots that it fills with what `tap` sees, for the maps of `group`.
    fn moves(&self, group: usize, tap: usize, slots: usize) -> BTreeMap<usize, Vec<usize>> {
        let (shape, width) = (self.im2col.output.shape, self.im2col.input.width);
        let first = group * (shape.channels / self.im2col.groups) * shape.positions();
        let mut moves = BTreeMap::<usize, Vec<usize>>::new();
        for position in 0..shape.positions() {
            if let Some(pixel) = self.im2col.pixel(tap, first + position) {
                let (from, to) = (pixel / width * self.pitch + pixel % width, self.place(position));
                moves.entry((from + slots - to) % slots).or_default().push(to);
            }
        }
        moves
    }

    /// The offset ciphertexts of the taps that are used, group by group: for each tap and block a rotation,
    /// which share one decomposition, a mask and a sum. (LoLa masks first and rotates then; that counts the
    /// same.)
    ///
    /// Cost for `t` taps and `k = stride * stride` blocks: `t k` products with masks, `t k` rotations but for
    /// those by zero, `t (k - 1)` additions. One level.
    pub fn build(&self, b: &mut Builder, value: Value) -> Result<Vec<Value>, Error> {
        // Im2col that lose nothing to the padding have the same masks.
        let mut masks = BTreeMap::new();
        let mut offsets = vec![];
        for group in 0..self.im2col.groups {
            for tap in &self.im2col.taps {
                let mut moves = self.moves(group, *tap as usize, b.slots());
                if moves.is_empty() {
                    // The tap sees nothing but padding.
                    moves.insert(0, vec![]);
                }
                let mut terms = vec![];
                for (baby_step, places) in moves {
                    let plain = match masks.get(&places) {
                        Some(mask) => *mask,
                        None => mask(b, value, places.clone())?,
                    };
                    masks.insert(places, plain);
                    terms.push(Term { input: 0, baby_step, plain });
                }
                offsets.push(b.transform(
                    vec![value],
                    vec![GiantStep { rotation: 0, terms }],
                    GiantOrder::Apart,
                    Rescale::Yes,
                )?);
            }
        }
        Ok(offsets)
    }
}

/// Ones at these slots.
fn mask(b: &mut Builder, value: Value, places: Vec<usize>) -> Result<Plain, Error> {
    let (slots, level, scale) =
        (b.slots(), b.level(value)?, b.scale_towards(value, b.parameters().nominal_scale())?);
    let numbers = Numbers::new(move || {
        let mut mask = vec![0.0; slots];
        places.iter().for_each(|p| mask[*p] = 1.0);
        mask
    });
    b.plain(Role::ExtendedFactor, level, scale, numbers)
}
