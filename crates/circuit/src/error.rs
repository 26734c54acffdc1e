use blindsight_ckks::{Level, Scale};

/// What is wrong with a circuit or with what it was given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rescale at level zero.
    #[error("{operation} rescales at level 0: no level is left; use parameters with one prime more")]
    NoLevelLeft {
        /// The operation that rescales.
        operation: &'static str,
    },
    /// Operands at different levels.
    #[error("{operation} of operands at {left} and {right}: expected the same level")]
    LevelMismatch {
        /// The operation.
        operation: &'static str,
        /// Level of the first operand.
        left: Level,
        /// Level of the other operand.
        right: Level,
    },
    /// Summands at different scales.
    #[error("{operation} of operands at scales {left} and {right}: expected the same scale")]
    ScaleMismatch {
        /// The operation.
        operation: &'static str,
        /// Scale of the first operand.
        left: Scale,
        /// Scale of the other operand.
        right: Scale,
    },
    /// A scale that is no positive number.
    #[error("scale {0}: expected a positive finite number")]
    Scale(f64),
    /// A rotation by as many slots as there are, or more.
    #[error("{operation} rotates by {steps}: expected less than the {slots} slots")]
    Rotation {
        /// The operation.
        operation: &'static str,
        /// The steps asked for.
        steps: usize,
        /// Slots of a ciphertext.
        slots: usize,
    },
    /// Inputs of which two take one place, or none a place before the last.
    #[error("input {index} is not there exactly once: expected one for each place up to the last")]
    InputPlace {
        /// The place.
        index: usize,
    },
    /// An operation on nothing.
    #[error("{operation} has no operand: expected at least one")]
    Empty {
        /// The operation.
        operation: &'static str,
    },
    /// A value between the stages of a chain where a ciphertext is needed, or stages that do not follow each
    /// other.
    #[error(
        "the result of a {operation} is not reduced: only the next stage of its chain takes it, whole and in order; reduce it first"
    )]
    Unreduced {
        /// The operation whose result it is, or that was given a part of a stage.
        operation: &'static str,
    },
    /// A value that was not relinearised where a ciphertext is needed.
    #[error(
        "the result of a {operation} is not relinearised: nothing but a plaintext can be added to it, and it can be read"
    )]
    Unrelinearised {
        /// The operation whose result it is.
        operation: &'static str,
    },
    /// A chain without a square that is to end in three parts.
    #[error("values of two parts need no relinearisation: reduce them")]
    NotSquared,
    /// A term of a linear transform that reads a value that is not there.
    #[error("a term of a linear transform reads input {input}: expected less than the {count} values given")]
    TermInput {
        /// The input asked for.
        input: usize,
        /// How many values the transform was given.
        count: usize,
    },
    /// A value of a linear transform that no term reads.
    #[error("no term of a linear transform reads input {input} of {count}: leave the value out")]
    UnreadInput {
        /// The input.
        input: usize,
        /// How many values the transform was given.
        count: usize,
    },
    /// A plaintext of another kind than the operation takes.
    #[error("{operation} takes {expected}, but was given {actual}")]
    PlainRole {
        /// The operation.
        operation: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What came.
        actual: &'static str,
    },
    /// An identifier that this circuit never gave out.
    #[error("{what} {index} of {count}: it belongs to another circuit")]
    Foreign {
        /// `value` or `plaintext`.
        what: &'static str,
        /// The identifier.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A coefficient index outside the ring.
    #[error("coefficient {index} asked for: expected less than the degree {degree}")]
    Coefficient {
        /// The index.
        index: usize,
        /// The ring degree.
        degree: usize,
    },
    /// A wrong number of inputs.
    #[error("{actual} inputs given: the circuit takes {expected}")]
    Inputs {
        /// What the circuit takes.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// An input ciphertext at another level or scale than the circuit was built for.
    #[error(
        "input {index} is at {level} and scale {scale}: expected {expected_level} and scale {expected_scale}"
    )]
    InputType {
        /// Which input.
        index: usize,
        /// Its level.
        level: Level,
        /// Its scale.
        scale: Scale,
        /// The level that the circuit takes.
        expected_level: Level,
        /// The scale that the circuit takes.
        expected_scale: Scale,
    },
    /// A wrong number of slot values or coefficients.
    #[error("{what} has {actual} values: expected {expected}")]
    Length {
        /// Whose values.
        what: &'static str,
        /// What was expected.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// A plaintext whose numbers do not repeat as it says.
    #[error("a plaintext was said to repeat {expected} times over all slots, and its numbers do not")]
    Repeats {
        /// How often it was to repeat.
        expected: usize,
    },
    /// A value that its modulus cannot hold.
    #[error(
        "{operation} (value {value}) reaches {magnitude:.4} at scale {scale}, which needs {needed:.1} bits: {level} holds {available:.1}"
    )]
    Overflow {
        /// The operation.
        operation: &'static str,
        /// Which value of the circuit.
        value: usize,
        /// The largest magnitude.
        magnitude: f64,
        /// The value's scale.
        scale: Scale,
        /// Bits needed, the sign among them.
        needed: f64,
        /// Bits of the modulus.
        available: f64,
        /// The value's level.
        level: Level,
    },
    /// An error of the cryptography below.
    #[error(transparent)]
    Ckks(#[from] blindsight_ckks::Error),
}
