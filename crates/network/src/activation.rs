//! Activations that are no polynomials, and pooling by the largest value: what networks are trained with and
//! what no ciphertext can compute. A graph holds them so that it can be run in the clear, examined, and
//! fitted with polynomials.

use crate::error::{check_finite, check_length};
use crate::layer::AveragePool;
use crate::{Error, Shape};

/// A function of one number that is no polynomial, applied element by element. The formulas are ONNX's.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x` where that is positive, else `slope x`, with a slope for each channel: LeakyRelu and PRelu.
    LeakyRelu(Vec<f64>),
    /// `x` kept between two bounds; either may be infinite. ReLU6 is from 0 to 6.
    Clip {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `x Phi(x)`, with the normal distribution's `Phi`.
    Gelu,
    /// GELU's usual approximation by a hyperbolic tangent.
    GeluTanh,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x max(0, min(1, x / 6 + 1 / 2))`.
    HardSwish,
    /// `max(0, min(1, slope x + offset))`.
    HardSigmoid {
        /// ONNX's alpha.
        slope: f64,
        /// ONNX's beta.
        offset: f64,
    },
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `x` where that is positive, else `low (exp(x) - 1)`; the whole times `gain`. ELU has a gain of one.
    Elu {
        /// What it falls to, without the gain, with the sign turned.
        low: f64,
        /// The factor of the whole: SELU's gamma.
        gain: f64,
    },
    /// `x tanh(softplus(x))`.
    Mish,
    /// The error function.
    Erf,
    /// `|x|`.
    Abs,
}

impl Activation {
    /// The name, as ONNX and PyTorch have it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Relu => "Relu",
            Self::LeakyRelu(_) => "LeakyRelu",
            Self::Clip { .. } => "Clip",
            Self::Sigmoid => "Sigmoid",
            Self::Tanh => "Tanh",
            Self::Gelu | Self::GeluTanh => "Gelu",
            Self::Silu => "Silu",
            Self::HardSwish => "HardSwish",
            Self::HardSigmoid { .. } => "HardSigmoid",
            Self::Softplus => "Softplus",
            Self::Elu { gain: 1.0, .. } => "Elu",
            Self::Elu { .. } => "Selu",
            Self::Mish => "Mish",
            Self::Erf => "Erf",
            Self::Abs => "Abs",
        }
    }

    /// The value at `x` in a channel, which must be one of those that a [`crate::Graph`] passes.
    pub fn at(&self, channel: usize, x: f64) -> f64 {
        match self {
            Self::Relu => x.max(0.0),
            Self::LeakyRelu(slopes) => {
                if x < 0.0 {
                    slopes[channel] * x
                } else {
                    x
                }
            }
            Self::Clip { low, high } => x.max(*low).min(*high),
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Gelu => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = (2.0 * std::f64::consts::FRAC_1_PI).sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Silu => x * sigmoid(x),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::HardSigmoid { slope, offset } => (slope * x + offset).clamp(0.0, 1.0),
            Self::Softplus => softplus(x),
            Self::Elu { low, gain } => gain * if x < 0.0 { low * x.exp_m1() } else { x },
            Self::Mish => x * softplus(x).tanh(),
            Self::Erf => libm::erf(x),
            Self::Abs => x.abs(),
        }
    }

    /// The output's shape, the input's, with all figures checked.
    pub(crate) fn output_shape(&self, name: &str, input: Shape) -> Result<Shape, Error> {
        match self {
            Self::LeakyRelu(slopes) => {
                check_length(|| format!("slopes of {name}"), input.channels, slopes.len())?;
                check_finite(&format!("slopes of {name}"), slopes)?;
            }
            Self::HardSigmoid { slope, offset } => check_finite(name, &[*slope, *offset])?,
            Self::Elu { low, gain } => check_finite(name, &[*low, *gain])?,
            Self::Clip { low, high } if low.is_nan() || high.is_nan() => check_finite(name, &[*low, *high])?,
            _ => {}
        }
        Ok(input)
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The largest value in a window of each channel; padding never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// The windows: those of the average pool that could stand in its place.
    pub windows: AveragePool,
}
