//! Where the elements of a tensor lie.

use crate::TapLayout;
use std::fmt;

/// A layout of a tensor over the slots of ciphertexts: a value that says for each slot which element lies there.
#[derive(Debug, Clone, PartialEq)]
pub enum Representation {
    /// What the taps of a convolution's window see: one copy of the output's shape for each tap, so that the convolution is a product
    /// with weights for each ciphertext and a sum. The rest is zero.
    Taps(TapLayout),
    /// Copies of a vector at a spacing. What lies between and after them may be anything.
    Copies(Copies),
    /// A vector padded with zeros to a power of two, repeated over all slots: slot `s` holds element `s mod period`.
    Periodic(Periodic),
    /// Coefficients of the polynomial; of its slots nothing can be said.
    Coefficients {
        /// The index of each element.
        indices: Vec<usize>,
    },
}

/// What lies in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// An element of the tensor, by its index in the order channel, row, column.
    Of(usize),
    /// A constant one, carried along so that the next layer's bias is one weight more and no addition.
    One,
}

/// Copies of a vector at a spacing: element `e` of copy `h` lies in slot `h * spacing + e`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// Length of the vector.
    pub elements: usize,
    /// Whether a constant one follows the vector.
    pub carries_one: bool,
    /// Slots from one copy to the next.
    pub spacing: usize,
    /// How many copies there are.
    pub copies: usize,
}

impl Copies {
    /// The copy and the position in it that a slot belongs to; the one's position is the number of elements.
    pub fn at(&self, slot: usize) -> Option<(usize, usize)> {
        let (copy, position) = (slot / self.spacing, slot % self.spacing);
        let length = self.elements + usize::from(self.carries_one);
        (copy < self.copies && position < length).then_some((copy, position))
    }
}

/// A vector that repeats over all slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periodic {
    /// Length of the vector.
    pub elements: usize,
    /// The power of two it is padded to.
    pub period: usize,
    /// Whether a constant one follows the vector: it needs padding to lie in.
    pub carries_one: bool,
}

impl Periodic {
    /// A vector of so many elements, followed by a one where it should be and there is room.
    pub fn new(elements: usize, carries_one: bool) -> Self {
        let period = elements.next_power_of_two();
        Self { elements, period, carries_one: carries_one && elements < period }
    }

    /// The position that a slot belongs to; the one's position is the number of elements.
    pub fn at(&self, slot: usize) -> Option<usize> {
        Some(slot % self.period).filter(|p| *p < self.elements + usize::from(self.carries_one))
    }
}

impl Representation {
    /// How many ciphertexts it takes.
    pub fn ciphertexts(&self) -> usize {
        match self {
            Self::Taps(layout) => layout.ciphertexts(),
            Self::Copies(_) | Self::Periodic(_) | Self::Coefficients { .. } => 1,
        }
    }

    /// What lies in a slot of a ciphertext, if the representation says anything of it.
    pub fn element(&self, ciphertext: usize, slot: usize) -> Option<Element> {
        let closed =
            |position, elements| if position == elements { Element::One } else { Element::Of(position) };
        match self {
            Self::Taps(layout) => layout.element(ciphertext, slot),
            Self::Copies(copies) => copies.at(slot).map(|(_, p)| closed(p, copies.elements)),
            Self::Periodic(periodic) => periodic.at(slot).map(|p| closed(p, periodic.elements)),
            Self::Coefficients { .. } => None,
        }
    }
}

impl fmt::Display for Representation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taps(layout) => {
                let (taps, inputs) = (layout.taps(), layout.ciphertexts());
                write!(f, "{taps} taps in {inputs} ciphertexts, {} each", layout.taps_per_input)
            }
            Self::Copies(Copies { elements, carries_one, spacing, copies }) => {
                write!(
                    f,
                    "{elements} elements{}, {copies} copies every {spacing} slots",
                    and_one(*carries_one)
                )
            }
            Self::Periodic(Periodic { elements, period, carries_one }) => {
                write!(f, "{elements} elements{}, repeated every {period} slots", and_one(*carries_one))
            }
            Self::Coefficients { indices } => write!(f, "{} coefficients", indices.len()),
        }
    }
}

const fn and_one(carries_one: bool) -> &'static str {
    if carries_one { " and a one" } else { "" }
}
