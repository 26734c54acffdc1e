//! ONNX files into graphs, and back ([`write`]).
//!
//! A file is decoded within bounds ([`wire`]), its nodes are walked once in their order ([`import`]); each
//! becomes a node of the graph ([`operators`], [`windows`], [`places`]) or, where it is element-wise
//! arithmetic, a polynomial ([`polynomial`]) that becomes a node once something reads it; constants are
//! computed away ([`array`]).

mod array;
mod external;
mod import;
mod node;
mod operators;
mod places;
mod polynomial;
pub(crate) mod proto;
mod tensor;
mod windows;
mod wire;
mod write;

#[cfg(test)]
mod random;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;

pub(crate) use external::gathered;
pub(crate) use import::import;
pub(crate) use wire::decode;
pub(crate) use write::written;

/// What to do about an operator that is not understood.
pub(crate) fn remedy(operator: &str) -> &'static str {
    match operator {
        "Relu" | "LeakyRelu" | "PRelu" | "Sigmoid" | "Tanh" | "Elu" | "Selu" | "Gelu" | "HardSigmoid"
        | "HardSwish" | "Softplus" | "Mish" | "Erf" | "Abs" | "Exp" => {
            "train with a quadratic activation instead, a x^2 + b x + c"
        }
        "MaxPool" | "GlobalMaxPool" => "train with average pooling instead",
        "Softmax" | "LogSoftmax" | "ArgMax" => "leave it out: the client can apply it to the scores",
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" => {
            "train with batch normalisation instead"
        }
        _ => "only sums, products and what is linear can be computed on encrypted numbers",
    }
}

/// The operators that are understood.
pub(crate) const SUPPORTED: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Div",
    "Dropout",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "MatMul",
    "Mul",
    "Neg",
    "Pad",
    "Pow",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Resize",
    "Shape",
    "Slice",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Transpose",
    "Unsqueeze",
    "Upsample",
];
