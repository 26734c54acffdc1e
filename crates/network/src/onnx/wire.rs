//! Parsing, with its memory bounded before it starts.
//!
//! Decoding takes memory for every field: an empty node is two bytes in the file and over a hundred in
//! memory. So the fields are counted first, over the bytes alone, and a file with absurdly many is refused. A
//! tensor's numbers, the one thing that a model may have many of, take no more memory than they take in the
//! file.

use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::proto;
use crate::{Error, limits};

/// Decodes a model, or says why the bytes are none.
pub(crate) fn decode(bytes: &[u8]) -> Result<proto::Model, Error> {
    limits::check(|| "bytes of the model file".into(), bytes.len() as u64, limits::MODEL_BYTES)?;
    let mut left = limits::MODEL_FIELDS;
    count(&Kind::Model, bytes, &mut left)?;
    proto::Model::decode(bytes).map_err(|e| not_onnx(e.to_string()))
}

fn not_onnx(reason: impl Into<String>) -> Error {
    Error::NotOnnx { reason: reason.into() }
}

/// The messages of [`proto`], and what is no message.
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    TensorShape,
    Opaque,
    /// A list of variable-length integers: each byte may become eight.
    Integers,
}

impl Kind {
    /// What the length-delimited field `tag` holds.
    fn field(&self, tag: u32) -> Kind {
        match (self, tag) {
            (Kind::Model, 7) => Kind::Graph,
            (Kind::Graph, 1) => Kind::Node,
            (Kind::Graph, 5) | (Kind::Attribute, 5) => Kind::Tensor,
            (Kind::Graph, 11..=13) => Kind::ValueInfo,
            (Kind::Node, 5) => Kind::Attribute,
            (Kind::ValueInfo, 2) => Kind::Type,
            (Kind::Type, 1) => Kind::TensorType,
            (Kind::TensorType, 2) => Kind::TensorShape,
            (Kind::Tensor, 1 | 5 | 7) | (Kind::Attribute, 8) => Kind::Integers,
            _ => Kind::Opaque,
        }
    }
}

/// Counts the fields of a message and of those inside it down from `left`.
fn count(kind: &Kind, mut bytes: &[u8], left: &mut usize) -> Result<(), Error> {
    if matches!(kind, Kind::Opaque) {
        return Ok(());
    }
    if matches!(kind, Kind::Integers) {
        return take(left, bytes.len());
    }
    while !bytes.is_empty() {
        take(left, 1)?;
        let (tag, wire_type) = decode_key(&mut bytes).map_err(|e| not_onnx(e.to_string()))?;
        let length = match wire_type {
            WireType::Varint => decode_varint(&mut bytes).map(|_| 0).map_err(|e| not_onnx(e.to_string()))?,
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => decode_varint(&mut bytes).map_err(|e| not_onnx(e.to_string()))?,
            WireType::StartGroup | WireType::EndGroup => {
                return Err(not_onnx("a protobuf group, which ONNX has none of"));
            }
        };
        let Some((field, rest)) = usize::try_from(length).ok().and_then(|n| bytes.split_at_checked(n)) else {
            return Err(not_onnx(format!(
                "a field of {length} bytes where {} are left (truncated?)",
                bytes.len()
            )));
        };
        if matches!(wire_type, WireType::LengthDelimited) {
            count(&kind.field(tag), field, left)?;
        }
        bytes = rest;
    }
    Ok(())
}

fn take(left: &mut usize, fields: usize) -> Result<(), Error> {
    *left = left.checked_sub(fields).ok_or_else(|| Error::TooLarge {
        what: "protobuf fields of the model outside its tensors".into(),
        actual: (limits::MODEL_FIELDS - *left).saturating_add(fields) as u64,
        limit: limits::MODEL_FIELDS as u64,
    })?;
    Ok(())
}
