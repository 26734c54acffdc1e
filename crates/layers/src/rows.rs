//! Row by row: LoLa's dense layers (arXiv 1812.10659, section 4: "stacked vector - row major").

use crate::linear::Linear;
use crate::rotate_and_sum::{RotateAndSum, summed};
use blindsight_circuit::{Builder, Error, Numbers, Plain, Role, Value};
use blindsight_ckks::{Rescale, Scale};
use std::ops::Range;
use std::sync::Arc;

/// A vector in one ciphertext: element `e` lies in slot `places[e]`, every other slot is zero. Replicas of
/// it, where there are any, lie `spacing` slots apart, which is a power of two beyond the last place.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The slot of each element.
    pub places: Arc<[usize]>,
    /// Slots from one replica to the next.
    pub spacing: usize,
}

impl Placed {
    /// One replica, with room for others as near as can be.
    pub fn new(places: Vec<usize>) -> Self {
        let spacing = places.iter().max().map_or(1, |p| p + 1).next_power_of_two();
        Self { places: places.into(), spacing }
    }
}

/// The value rotated to the right. By zero it is the value itself.
fn shifted(b: &mut Builder, value: Value, steps: usize) -> Result<Value, Error> {
    let slots = b.slots();
    if steps.is_multiple_of(slots) { Ok(value) } else { b.rotate(value, slots - steps % slots) }
}

/// Value `i` moved to the right by `i * spacing`, and all of them added. By Horner's rule: all rotations are
/// by the same distance, so one key does.
///
/// Cost for `k` values: `k - 1` rotations, `k - 1` additions. No level.
pub fn stack(b: &mut Builder, values: &[Value], spacing: usize) -> Result<Value, Error> {
    let Some((last, rest)) = values.split_last() else { return Err(Error::Empty { operation: "stack" }) };
    rest.iter().rev().try_fold(*last, |sum, value| {
        let moved = shifted(b, sum, spacing)?;
        b.add(*value, moved)
    })
}

/// A value with replicas of it every `spacing` slots, made one at a time.
///
/// Cost for `k` replicas: `k - 1` rotations, `k - 1` additions. No level.
pub fn replicate(b: &mut Builder, value: Value, spacing: usize, replicas: usize) -> Result<Value, Error> {
    stack(b, &vec![value; replicas], spacing)
}

/// How the slots of each row's product are added up.
#[derive(Debug, Clone, Copy)]
pub struct RowSum {
    /// How many slots are added up, a power of two. All of the ciphertext's: then each of them holds the sum.
    pub slots: usize,
    /// The scale of the sums.
    pub scale: Scale,
}

/// The sums of `rows`, a row for each replica of the vector: slot `h * sum.slots` holds row `rows.start + h`.
///
/// The rescale comes after the rotate-and-sum: before it, the rotations would be cheaper by a fifth, but its
/// error would be summed over all of them.
///
/// Cost: 1 product with a plaintext, `log2(sum.slots)` rotations and as many additions. One level.
pub fn stacked_rows(
    b: &mut Builder,
    value: Value,
    at: &Placed,
    linear: &Arc<Linear>,
    rows: Range<usize>,
    sum: RowSum,
) -> Result<Value, Error> {
    let (slots, level, scale) = (b.slots(), b.level(value)?, b.scale_towards(value, sum.scale)?);
    let (at, linear) = (at.clone(), linear.clone());
    let weights = Numbers::new(move || {
        let mut weights = vec![0.0; slots];
        for (replica, row) in rows.clone().enumerate() {
            linear.for_each_weight(row, |column, w| weights[replica * at.spacing + at.places[column]] = w);
        }
        weights
    });
    let product = |b: &mut Builder, rescale| {
        let plain = b.plain(Role::Factor, level, scale, weights)?;
        b.dot(vec![(value, plain)], rescale)
    };
    let radices = vec![2; sum.slots.ilog2() as usize];
    summed(b, product, 1, &RotateAndSum { radices, rescale_first: false })
}

/// A tensor of few elements in each of many ciphertexts, brought into one: of value `i` the slots at
/// multiples of `spacing`, moved to the right by `i`; zeros elsewhere. Where `spacing` is all slots, and
/// every slot of a value holds the same, slot `i` is taken and nothing moves.
///
/// Values are taken one at a time, so that few live at once, and the last first, so that all rotations are by
/// one (Horner's rule) and one key does.
///
/// Cost for `k` values: `k` products with masks, `k - 1` rotations (none where nothing moves), `k - 1`
/// additions. One level.
pub struct Interleave {
    spacing: usize,
    /// The mask that all values share, where they move.
    mask: Option<Plain>,
    sum: Option<Value>,
}

impl Interleave {
    /// Nothing is taken yet.
    pub const fn new(spacing: usize) -> Self {
        Self { spacing, mask: None, sum: None }
    }

    /// Takes value `index`; the one after it was taken before.
    pub fn take(&mut self, b: &mut Builder, value: Value, index: usize) -> Result<(), Error> {
        let moves = self.spacing < b.slots();
        let mask = match self.mask {
            Some(mask) if moves => mask,
            _ => self.mask(b, value, if moves { 0 } else { index })?,
        };
        self.mask = Some(mask);
        let masked = b.dot(vec![(value, mask)], Rescale::No)?;
        self.sum = Some(match self.sum {
            Some(sum) => {
                let moved = if moves { shifted(b, sum, 1)? } else { sum };
                b.add(masked, moved)?
            }
            None => masked,
        });
        Ok(())
    }

    fn mask(&self, b: &mut Builder, value: Value, taken: usize) -> Result<Plain, Error> {
        let (spacing, level, scale) =
            (self.spacing, b.level(value)?, b.scale_towards(value, b.parameters().nominal_scale())?);
        let mask = Numbers::per_slot(b.slots(), move |s| f64::from(u8::from(s % spacing == taken)));
        b.plain(Role::Factor, level, scale, mask)
    }

    /// The values so far, interleaved.
    pub fn finish(self, b: &mut Builder) -> Result<Value, Error> {
        b.rescale(self.sum.ok_or(Error::Empty { operation: "interleave" })?)
    }
}
