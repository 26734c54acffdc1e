//! Where the elements of a tensor lie: mixed-radix layouts.

use crate::Error;
use blindsight_ckks::most_repeats;
use blindsight_network::Shape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A layout of a tensor over the slots of ciphertexts.
///
/// Position `p` is slot `p mod slots` of ciphertext `p / slots`. A layout says where each element lies in
/// *block* 0: its channel, row and column are written in mixed radix, and the element's position is the sum
/// of its digits times their strides. All other blocks are the same, shifted by the spacing cyclically within
/// a ciphertext.
///
/// Blocks are *replicas* of the tensor, or hold *partial sums* of it: block `h` is of part `h mod parts`, and
/// an element is the sum of what one block of each part holds. With one part every block is a replica.
///
/// Dense, strided, multiplexed, stacked, interleaved and replicated layouts are all of this form;
/// `docs/representations.md` draws them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Layout {
    /// The tensor's shape.
    pub shape: Shape,
    /// Slots of a ciphertext.
    pub slots: usize,
    /// How many ciphertexts there are.
    pub ciphertexts: usize,
    /// The digits of each coordinate, least significant first.
    pub digits: Vec<Digit>,
    /// Where a constant one lies in block 0, carried along so that the next layer's bias is one weight more
    /// and no addition.
    pub bias_slot: Option<usize>,
    /// The blocks.
    pub blocks: Blocks,
}

/// A coordinate of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Axis {
    /// The map.
    Channel,
    /// The row of the map.
    Row,
    /// The column of the map.
    Column,
}

/// One digit of a coordinate: `count` values, `stride` positions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digit {
    /// Whose digit it is.
    pub axis: Axis,
    /// How many values it takes.
    pub count: usize,
    /// Positions from one value to the next.
    pub stride: usize,
}

/// Repetitions of a layout within each ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blocks {
    /// How many there are.
    pub count: usize,
    /// Slots from one to the next.
    pub spacing: usize,
    /// Blocks that are summed: block `h` holds part `h mod parts` of each element.
    pub parts: usize,
}

impl Blocks {
    /// The tensor once.
    pub const ONE: Self = Self { count: 1, spacing: 0, parts: 1 };

    /// Blocks that fill a ciphertext evenly.
    pub const fn cyclic(count: usize, slots: usize, parts: usize) -> Self {
        Self { count, spacing: slots / count, parts }
    }

    /// Whether the block after the last is the first.
    pub const fn is_cyclic(&self, slots: usize) -> bool {
        self.count.saturating_mul(self.spacing) == slots && self.count.is_multiple_of(self.parts)
    }

    /// The blocks at which a sum over as many neighbours as there are parts is whole.
    pub const fn sums(&self, slots: usize) -> usize {
        if self.is_cyclic(slots) { self.count } else { self.count + 1 - self.parts }
    }
}

/// No layout has more ciphertexts.
const MOST_CIPHERTEXTS: usize = 1 << 12;
/// No tensor takes more slots.
const MOST_PLACES: usize = 1 << 22;
/// No layout has more digits.
const MOST_DIGITS: usize = 16;
/// No coordinate has more values.
const LARGEST_EXTENT: usize = 1 << 16;

impl Layout {
    /// A tensor in the order channel, row, column, without gaps.
    pub fn packed(shape: Shape, slots: usize) -> Self {
        let digits = vec![
            Digit { axis: Axis::Column, count: shape.width, stride: 1 },
            Digit { axis: Axis::Row, count: shape.height, stride: shape.width },
            Digit { axis: Axis::Channel, count: shape.channels, stride: shape.positions() },
        ];
        let ciphertexts = shape.elements().div_ceil(slots);
        Self { shape, slots, ciphertexts, digits, bias_slot: None, blocks: Blocks::ONE }
    }

    /// The same, a bias slot after the last element.
    pub fn with_bias_slot(mut self, position: usize) -> Self {
        self.bias_slot = Some(position);
        self
    }

    /// The same in other blocks.
    pub fn with_blocks(mut self, blocks: Blocks) -> Self {
        self.blocks = blocks;
        self
    }

    /// The position of an element in block 0.
    pub fn base(&self, element: usize) -> usize {
        let [channel, row, column] = coordinates(element, self.shape);
        let mut rest = [channel, row, column];
        let mut position = 0;
        for digit in &self.digits {
            let coordinate = &mut rest[digit.axis as usize];
            position += *coordinate % digit.count * digit.stride;
            *coordinate /= digit.count;
        }
        position
    }

    /// The positions that block 0 spans: from 0 to one after the last.
    pub fn extent(&self) -> usize {
        let digits = self.digits.iter().map(|d| (d.count - 1) * d.stride).sum::<usize>();
        self.bias_slot.unwrap_or(0).max(digits) + 1
    }

    /// The layout of the whole sums of this one's partial sums, as far as they come together.
    pub fn sums(&self) -> Self {
        let count = self.blocks.sums(self.slots);
        Self { blocks: Blocks { count, parts: 1, ..self.blocks }, ..self.clone() }
    }

    /// Whether the block repeats over all slots, so that after a fold every slot holds a whole sum or nothing
    /// at all.
    pub fn is_cyclic(&self) -> bool {
        self.blocks.is_cyclic(self.slots)
    }

    /// After how many slots the same elements lie in blocks of the same parts: all, where blocks are not
    /// cyclic.
    pub fn period(&self) -> usize {
        if self.is_cyclic() { self.blocks.parts * self.blocks.spacing } else { self.slots }
    }

    /// How often weights repeat that depend on elements and parts alone, as far as factors are smaller for
    /// it.
    pub fn repeats(&self) -> usize {
        (self.slots / self.period()).min(most_repeats(self.slots))
    }

    /// Checks that all figures are in range and that no two elements lie in one place.
    ///
    /// # Errors
    /// With the figure that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        self.check_figures()?;
        let mut taken = vec![false; self.slots * self.ciphertexts];
        let positions = (0..self.shape.elements()).map(|e| self.base(e)).chain(self.bias_slot);
        for base in positions {
            if base >= taken.len() {
                let expected = format!("below {}", taken.len());
                return Err(Error::does_not_fit("position of an element", base, expected));
            }
            for block in 0..self.blocks.count {
                let position = shifted(base, block * self.blocks.spacing, self.slots);
                if std::mem::replace(&mut taken[position], true) {
                    return Err(Error::does_not_fit("layout", "two elements in one slot", "one"));
                }
            }
        }
        Ok(())
    }

    fn check_figures(&self) -> Result<(), Error> {
        let Shape { channels, height, width } = self.shape;
        let figures = [channels, height, width, self.slots, self.blocks.count, self.blocks.parts];
        let counts = self.digits.iter().map(|d| d.count);
        if let Some(wrong) =
            figures.into_iter().chain(counts).find(|f| !(1..=LARGEST_EXTENT * 64).contains(f))
        {
            return Err(Error::does_not_fit("an extent of a layout", wrong, "1 to 2^22"));
        }
        if !self.slots.is_power_of_two() || self.slots > LARGEST_EXTENT {
            return Err(Error::does_not_fit("number of slots", self.slots, "a power of two up to 2^16"));
        }
        if self.ciphertexts == 0 || self.ciphertexts > MOST_CIPHERTEXTS {
            let expected = format!("1 to {MOST_CIPHERTEXTS}");
            return Err(Error::does_not_fit("number of ciphertexts", self.ciphertexts, expected));
        }
        if self.digits.len() > MOST_DIGITS {
            return Err(Error::does_not_fit("number of digits", self.digits.len(), "at most 16"));
        }
        let places = self.slots * self.ciphertexts;
        if places > MOST_PLACES {
            return Err(Error::does_not_fit("slots of a tensor", places, format!("at most {MOST_PLACES}")));
        }
        if self.blocks.parts > self.blocks.count
            || self.blocks.spacing > self.slots
            || self.shape.elements().saturating_mul(self.blocks.count) > places
        {
            let actual = format!(
                "{} blocks of {} elements ({} parts, {} apart)",
                self.blocks.count,
                self.shape.elements(),
                self.blocks.parts,
                self.blocks.spacing
            );
            return Err(Error::does_not_fit("layout", actual, format!("what fits {places} slots")));
        }
        for digit in &self.digits {
            if digit.stride >= places || (digit.count - 1).saturating_mul(digit.stride) >= places {
                let actual = format!("{} values {} apart", digit.count, digit.stride);
                return Err(Error::does_not_fit("digit", actual, format!("within {places} slots")));
            }
        }
        let extent = |axis| {
            let digits = self.digits.iter().filter(|d| d.axis == axis);
            digits.fold(1usize, |product, d| product.saturating_mul(d.count))
        };
        for (axis, needed) in [(Axis::Channel, channels), (Axis::Row, height), (Axis::Column, width)] {
            if extent(axis) < needed {
                let actual = format!("{} values of {axis:?}", extent(axis));
                return Err(Error::does_not_fit("digits", actual, format!("at least {needed}")));
            }
        }
        Ok(())
    }
}

/// Channel, row and column of an element.
pub fn coordinates(element: usize, shape: Shape) -> [usize; 3] {
    [element / shape.positions(), element / shape.width % shape.height, element % shape.width]
}

/// A position shifted cyclically within its ciphertext.
pub(crate) const fn shifted(position: usize, by: usize, slots: usize) -> usize {
    position / slots * slots + (position % slots + by) % slots
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blocks { count, spacing, parts } = self.blocks;
        write!(f, "{}", self.shape)?;
        if self.bias_slot.is_some() {
            f.write_str(" and a bias slot")?;
        }
        if self.ciphertexts > 1 {
            write!(f, " over {} ciphertexts", self.ciphertexts)?;
        }
        match (count, parts) {
            (1, _) => Ok(()),
            (_, 1) if self.is_cyclic() => write!(f, ", repeated every {spacing} slots"),
            (_, 1) => write!(f, ", {count} replicas every {spacing} slots"),
            _ => write!(f, ", {count} blocks of {parts} kinds every {spacing} slots"),
        }
    }
}
