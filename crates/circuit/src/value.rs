//! What the nodes of a circuit are called by.

/// A value: the ciphertext that one node computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub(crate) usize);

/// A plaintext of the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plain(pub(crate) usize);

impl Value {
    /// The position of its node among [`Circuit::nodes`](crate::Circuit::nodes).
    pub const fn index(self) -> usize {
        self.0
    }
}

impl Plain {
    /// Its position among [`Circuit::plains`](crate::Circuit::plains).
    pub const fn index(self) -> usize {
        self.0
    }
}
