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

/// Copies of a vector at a spacing: element `e` of copy `h` lies in slot `h * spacing + e`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// Length of the vector.
    pub elements: usize,
    /// Slots from one copy to the next.
    pub spacing: usize,
    /// How many copies there are.
    pub copies: usize,
}

impl Copies {
    /// The copy and the element in a slot.
    pub fn at(&self, slot: usize) -> Option<(usize, usize)> {
        let (copy, element) = (slot / self.spacing, slot % self.spacing);
        (copy < self.copies && element < self.elements).then_some((copy, element))
    }
}

/// A vector that repeats over all slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periodic {
    /// Length of the vector.
    pub elements: usize,
    /// The power of two it is padded to.
    pub period: usize,
}

impl Periodic {
    /// A vector of so many elements.
    pub fn new(elements: usize) -> Self {
        Self { elements, period: elements.next_power_of_two() }
    }

    /// The element in a slot.
    pub fn at(&self, slot: usize) -> Option<usize> {
        Some(slot % self.period).filter(|e| *e < self.elements)
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

    /// The element in a slot of a ciphertext, if there is one: its index in the order channel, row, column.
    pub fn element(&self, ciphertext: usize, slot: usize) -> Option<usize> {
        match self {
            Self::Taps(layout) => layout.element(ciphertext, slot),
            Self::Copies(copies) => copies.at(slot).map(|(_, element)| element),
            Self::Periodic(periodic) => periodic.at(slot),
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
            Self::Copies(Copies { elements, spacing, copies }) => {
                write!(f, "{elements} elements, {copies} copies every {spacing} slots")
            }
            Self::Periodic(Periodic { elements, period }) => {
                write!(f, "{elements} elements, repeated every {period} slots")
            }
            Self::Coefficients { indices } => write!(f, "{} coefficients", indices.len()),
        }
    }
}
