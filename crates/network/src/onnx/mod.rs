//! ONNX files into graphs, and back ([`write`]).
//!
//! A file is decoded within bounds ([`wire`]), its nodes are walked once in their order ([`import`]); each
//! becomes a node of the graph ([`operators`], [`windows`], [`places`], [`activations`], [`classical`]) or,
//! where it is element-wise arithmetic, a polynomial ([`polynomial`], [`per_element`]) that becomes a node
//! once something reads it; constants are computed away ([`array`], [`quantised`]). What stands at the end
//! and is left to the client is remembered ([`final_values`]).

mod activations;
mod array;
mod classical;
mod examine;
mod external;
mod final_values;
mod import;
mod node;
mod operators;
mod per_element;
mod places;
mod polynomial;
pub(crate) mod proto;
mod quantised;
mod tensor;
mod value;
mod windows;
mod wire;
mod write;

#[cfg(test)]
mod random;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;

pub(crate) use examine::examined;
pub(crate) use external::gathered;
pub(crate) use import::{Imported, import};
pub(crate) use wire::decode;
pub(crate) use write::written;

/// How what is expected begins where a node is in a form for training.
pub(crate) const FOR_INFERENCE: &str = "the form for inference";

/// The activations that are understood, and fitted with polynomials.
pub(crate) const ACTIVATIONS: &[&str] = &[
    "Abs",
    "Clip",
    "Elu",
    "Erf",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Max",
    "Min",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Tanh",
];

/// What to do about an operator that cannot be computed on ciphertexts.
pub(crate) fn remedy(operator: &str) -> &'static str {
    match operator {
        activation if ACTIVATIONS.contains(&activation) => {
            "`blindsight fit` replaces it by a polynomial; or train with a quadratic activation, a x^2 + b x + c"
        }
        "MaxPool" | "GlobalMaxPool" => {
            "`blindsight fit --replace max-pool` replaces it; or train with average pooling"
        }
        "Softmax" | "LogSoftmax" | "ArgMax" => {
            "leave it out within the network; at its end the client applies it"
        }
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" | "LpNormalization" => {
            "train with batch normalisation, whose figures are constants at inference"
        }
        "QLinearConv" | "QLinearMatMul" | "ConvInteger" | "MatMulInteger" | "DynamicQuantizeLinear" => {
            "export the model before quantisation, or quantised with QuantizeLinear and DequantizeLinear (QDQ)"
        }
        "LSTM" | "GRU" | "RNN" | "Loop" | "Scan" | "If" => {
            "export a network without recurrence and control flow, such as a convolution over time"
        }
        _ => "only sums, products and what is linear can be computed on encrypted numbers",
    }
}

/// The operators that are understood.
pub(crate) const SUPPORTED: &[&str] = &[
    "Abs",
    "Add",
    "ArgMax",
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
    "DequantizeLinear",
    "Dropout",
    "Elu",
    "Erf",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "QuantizeLinear",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Selu",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "ai.onnx.ml::LinearClassifier",
    "ai.onnx.ml::LinearRegressor",
    "ai.onnx.ml::Scaler",
    "ai.onnx.ml::ZipMap",
];
