//! Initialisers and constants: numbers from their several spellings.

use std::rc::Rc;

use half::{bf16, f16};

use super::array::{Array, Data};
use super::proto::{self, data_type};
use crate::error::{check_finite, check_length};
use crate::layer::product;
use crate::{Error, limits};

/// The most dimensions of a constant.
const MAX_RANK: u64 = 8;

/// A constant of the graph, its numbers not yet read: what an operator does not ask for takes no memory.
#[derive(Clone)]
pub(super) enum Constant<'a> {
    /// What was computed of other constants.
    Computed(Rc<Array>),
    /// An initialiser, or the tensor of a Constant node.
    Tensor(&'a proto::Tensor),
    /// The numbers of a Constant node; without a dimension where `scalar`.
    Floats { values: &'a [f32], scalar: bool },
    /// The integers of a Constant node; without a dimension where `scalar`.
    Integers { values: &'a [i64], scalar: bool },
}

impl<'a> Constant<'a> {
    /// The dimensions: few, and with no more elements than a model may have parameters.
    pub(super) fn dims(&self, name: &str) -> Result<Vec<usize>, Error> {
        let dims = match self {
            Self::Computed(array) => return Ok(array.dims.clone()),
            Self::Tensor(tensor) => &tensor.dims,
            Self::Floats { scalar: true, .. } | Self::Integers { scalar: true, .. } => return Ok(vec![]),
            Self::Floats { values, .. } => return Ok(vec![values.len()]),
            Self::Integers { values, .. } => return Ok(vec![values.len()]),
        };
        limits::check(|| format!("dimensions of tensor {name:?}"), dims.len() as u64, MAX_RANK)?;
        let dims: Vec<usize> = dims
            .iter()
            .map(|&d| usize::try_from(d).map_err(|_| negative(name, d)))
            .collect::<Result<_, _>>()?;
        let elements = product(&dims) as u64;
        limits::check(
            || format!("elements of tensor {name:?} ({dims:?})"),
            elements,
            limits::PARAMETERS as u64,
        )?;
        Ok(dims)
    }

    /// The numbers, all finite, as many as the dimensions say. Integers are refused.
    pub(super) fn floats(&self, name: &str) -> Result<Vec<f64>, Error> {
        let values = self.floats_or_infinite(name)?;
        check_finite(&format!("tensor {name:?}"), &values)?;
        Ok(values)
    }

    /// As [`Constant::floats`], with values that are not finite: bounds may be infinite.
    pub(super) fn floats_or_infinite(&self, name: &str) -> Result<Vec<f64>, Error> {
        let elements = product(&self.dims(name)?);
        let values = match self {
            Self::Computed(array) => match &array.data {
                Data::Floats(values) => values.clone(),
                Data::Integers(_) => return Err(wrong_type(name, "float or double", data_type::INT64)),
            },
            Self::Tensor(tensor) => tensor_floats(name, tensor, elements)?,
            Self::Floats { values, .. } => values.iter().map(|&v| v.into()).collect(),
            Self::Integers { .. } => return Err(wrong_type(name, "float or double", data_type::INT64)),
        };
        check_length(|| format!("values of tensor {name:?}"), elements, values.len())?;
        Ok(values)
    }

    /// The integers, as many as the dimensions say. Floats are refused.
    pub(super) fn integers(&self, name: &str) -> Result<Vec<i64>, Error> {
        let elements = product(&self.dims(name)?);
        let values = match self {
            Self::Computed(array) => match &array.data {
                Data::Integers(values) => values.clone(),
                Data::Floats(_) => return Err(wrong_type(name, "int64", data_type::FLOAT)),
            },
            Self::Tensor(tensor) => tensor_integers(name, tensor, elements)?,
            Self::Integers { values, .. } => values.to_vec(),
            Self::Floats { .. } => return Err(wrong_type(name, "int64", data_type::FLOAT)),
        };
        check_length(|| format!("values of tensor {name:?}"), elements, values.len())?;
        Ok(values)
    }

    /// The constant with its numbers read.
    pub(super) fn array(&self, name: &str) -> Result<Array, Error> {
        let dims = self.dims(name)?;
        let data = if self.is_integer() {
            Data::Integers(self.integers(name)?)
        } else {
            Data::Floats(self.floats(name)?)
        };
        Ok(Array { dims, data })
    }

    /// The type that a file stores the elements as; `None` of what was computed.
    pub(super) fn data_type(&self) -> Option<i32> {
        match self {
            Self::Tensor(tensor) => Some(tensor.data_type),
            _ => None,
        }
    }

    /// The elements, where they are texts.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        let Self::Tensor(tensor) = self else { return None };
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        (tensor.data_type == data_type::STRING).then(|| tensor.string_data.iter().map(text).collect())
    }

    /// Whether the elements are integers.
    pub(super) fn is_integer(&self) -> bool {
        match self {
            Self::Computed(array) => matches!(array.data, Data::Integers(_)),
            Self::Tensor(tensor) => is_integer(tensor.data_type),
            Self::Floats { .. } => false,
            Self::Integers { .. } => true,
        }
    }
}

/// Whether a data type is one of integers, truth values among them.
fn is_integer(kind: i32) -> bool {
    use data_type::{BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16};
    [INT64, INT32, INT16, INT8, UINT16, UINT8, BOOL].contains(&kind)
}

fn tensor_floats(name: &str, tensor: &proto::Tensor, elements: usize) -> Result<Vec<f64>, Error> {
    let raw = raw(name, tensor)?;
    let halves = |bytes: &[u8], value: fn(u16) -> f64| -> Result<Vec<f64>, Error> {
        Ok(words::<2>(name, bytes, elements)?.map(|w| value(u16::from_le_bytes(w))).collect())
    };
    let listed = |value: fn(u16) -> f64| tensor.int32_data.iter().map(|&v| value(v as u16)).collect();
    let (half, brain) = (|bits| f16::from_bits(bits).into(), |bits| bf16::from_bits(bits).into());
    Ok(match (tensor.data_type, raw) {
        (data_type::FLOAT, Some(bytes)) => {
            words::<4>(name, bytes, elements)?.map(|w| f32::from_le_bytes(w).into()).collect()
        }
        (data_type::DOUBLE, Some(bytes)) => {
            words::<8>(name, bytes, elements)?.map(f64::from_le_bytes).collect()
        }
        (data_type::FLOAT16, Some(bytes)) => halves(bytes, half)?,
        (data_type::BFLOAT16, Some(bytes)) => halves(bytes, brain)?,
        (data_type::FLOAT, None) => tensor.float_data.iter().map(|&v| v.into()).collect(),
        (data_type::DOUBLE, None) => tensor.double_data.clone(),
        (data_type::FLOAT16, None) => listed(half),
        (data_type::BFLOAT16, None) => listed(brain),
        (other, _) => return Err(wrong_type(name, "float or double", other)),
    })
}

fn tensor_integers(name: &str, tensor: &proto::Tensor, elements: usize) -> Result<Vec<i64>, Error> {
    let kind = tensor.data_type;
    let Some(bytes) = raw(name, tensor)? else {
        return match kind {
            data_type::INT64 => Ok(tensor.int64_data.clone()),
            kind if is_integer(kind) => Ok(tensor.int32_data.iter().map(|&v| v.into()).collect()),
            other => Err(wrong_type(name, "int64", other)),
        };
    };
    Ok(match kind {
        data_type::INT64 => words::<8>(name, bytes, elements)?.map(i64::from_le_bytes).collect(),
        data_type::INT32 => {
            words::<4>(name, bytes, elements)?.map(|w| i32::from_le_bytes(w).into()).collect()
        }
        data_type::INT16 => {
            words::<2>(name, bytes, elements)?.map(|w| i16::from_le_bytes(w).into()).collect()
        }
        data_type::UINT16 => {
            words::<2>(name, bytes, elements)?.map(|w| u16::from_le_bytes(w).into()).collect()
        }
        data_type::INT8 => words::<1>(name, bytes, elements)?.map(|w| i8::from_le_bytes(w).into()).collect(),
        data_type::UINT8 | data_type::BOOL => {
            words::<1>(name, bytes, elements)?.map(|[byte]| byte.into()).collect()
        }
        other => return Err(wrong_type(name, "int64", other)),
    })
}

/// The raw bytes where the numbers are stored so; refuses those in other files.
fn raw<'a>(name: &str, tensor: &'a proto::Tensor) -> Result<Option<&'a [u8]>, Error> {
    if tensor.data_location != 0 {
        return Err(Error::Mismatch {
            what: format!("place of tensor {name:?}"),
            expected:
                "data within the model file, or the file read by its path (export without external data)"
                    .into(),
            actual: "external data".into(),
        });
    }
    Ok(tensor.raw_data.as_deref())
}

/// The little-endian words of `bytes`, which must be as many as `elements`.
fn words<'a, const N: usize>(
    name: &str,
    bytes: &'a [u8],
    elements: usize,
) -> Result<impl Iterator<Item = [u8; N]> + 'a, Error> {
    check_length(|| format!("bytes of tensor {name:?}"), elements.saturating_mul(N), bytes.len())?;
    Ok(bytes.as_chunks::<N>().0.iter().copied())
}

fn wrong_type(name: &str, expected: &str, actual: i32) -> Error {
    let actual = match actual {
        data_type::FLOAT => "float".into(),
        data_type::INT64 => "int64".into(),
        data_type::DOUBLE => "double".into(),
        other => format!("ONNX data type {other}"),
    };
    Error::Mismatch { what: format!("type of tensor {name:?}"), expected: expected.into(), actual }
}

fn negative(name: &str, dimension: i64) -> Error {
    Error::Mismatch {
        what: format!("dimension of tensor {name:?}"),
        expected: "a size of at least 0".into(),
        actual: dimension.to_string(),
    }
}
