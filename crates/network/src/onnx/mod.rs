//! ONNX files into graphs.
//!
//! A file is decoded within bounds ([`wire`]), its nodes are walked once in their order ([`import`]); each becomes a
//! layer ([`operators`]) or, where it is element-wise arithmetic, a term of the polynomial that the next layer reads
//! ([`polynomial`]).

mod import;
mod node;
mod operators;
mod polynomial;
pub(crate) mod proto;
mod tensor;
mod wire;

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;

pub(crate) use import::import;
pub(crate) use wire::decode;

/// The operators that are understood.
pub(crate) const SUPPORTED: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Constant",
    "Conv",
    "Div",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "MatMul",
    "Mul",
    "Neg",
    "Pow",
    "Reshape",
    "Sub",
];
