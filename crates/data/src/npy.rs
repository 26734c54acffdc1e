//! Arrays as numpy writes them (`.npy`).
//!
//! The crates that read this format parse its header, a Python literal, by a recursive grammar without a
//! bound on its depth. A header has three entries of known form; here they are read one after the other.

use std::io::Read;

use crate::array::{Array, Values};
use crate::error::check;
use crate::{Error, limits};

/// What a file says of its array before the values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub shape: Vec<usize>,
    element: Element,
    fortran: bool,
}

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element {
    kind: Kind,
    bytes: usize,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Signed,
    Unsigned,
    Float,
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The highest rank of an array.
const MOST_AXES: usize = 8;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

impl Header {
    /// Reads what comes before the values; `place` names the file.
    pub fn read(source: &mut impl Read, place: &str) -> Result<Self, Error> {
        let start: [u8; 8] = fixed(source, place)?;
        if &start[..6] != MAGIC {
            return Err(Error::unfit(place, "an array as numpy saves it", "bytes that are none"));
        }
        let length = match start[6] {
            1 => u16::from_le_bytes(fixed(source, place)?).into(),
            2 | 3 => u32::from_le_bytes(fixed(source, place)?).into(),
            n => return Err(Error::unfit(place, "version 1, 2 or 3 of the npy format", n.to_string())),
        };
        check(place, "bytes of header", length, limits::HEADER_BYTES)?;
        let text = bytes(source, length as usize, place)?;
        let header = Literal(std::str::from_utf8(&text).unwrap_or_default()).header();
        let header = header.map_err(|(expected, found)| Error::unfit(place, expected, found))?;
        header.checked(place)
    }

    fn checked(self, place: &str) -> Result<Self, Error> {
        let in_memory = if self.element.is_byte() { 1 } else { size_of::<f64>() };
        let elements = self.shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n as u64));
        let bytes = elements.and_then(|n| n.checked_mul(in_memory as u64)).unwrap_or(u64::MAX);
        check(place, "bytes of values in memory", bytes, limits::ARRAY_BYTES)?;
        if bytes == 0 {
            return Err(Error::unfit(place, "an array with elements", format!("{:?}", self.shape)));
        }
        Ok(self)
    }

    /// Reads the values, which end the source. Refuses what is no finite number.
    pub fn values(self, source: &mut impl Read, place: &str) -> Result<Array, Error> {
        let elements: usize = self.shape.iter().product();
        let values = match self.element.is_byte() {
            true => Values::Bytes(self.ordered(bytes(source, elements, place)?)),
            false => Values::Numbers(self.ordered(self.numbers(source, elements, place)?)),
        };
        if !matches!(source.read(&mut [0]), Ok(0)) {
            return Err(Error::unfit(place, format!("the end after {elements} values"), "more bytes"));
        }
        values.check_finite(&self.shape, place)?;
        Ok(Array { shape: self.shape, values })
    }

    /// Memory is taken as values come.
    fn numbers(&self, source: &mut impl Read, elements: usize, place: &str) -> Result<Vec<f64>, Error> {
        let (mut numbers, at_once) = (vec![], CHUNK / self.element.bytes);
        while numbers.len() < elements {
            let count = at_once.min(elements - numbers.len());
            let chunk = bytes(source, count * self.element.bytes, place)?;
            numbers.extend(chunk.chunks_exact(self.element.bytes).map(|bytes| self.element.number(bytes)));
        }
        Ok(numbers)
    }

    /// Values in C order.
    fn ordered<T: Copy>(&self, values: Vec<T>) -> Vec<T> {
        if !self.fortran || self.shape.len() < 2 {
            return values;
        }
        let mut index = vec![0; self.shape.len()];
        let mut ordered = Vec::with_capacity(values.len());
        for _ in 0..values.len() {
            let place = index.iter().zip(&self.shape).rev().fold(0, |place, (i, n)| place * n + i);
            ordered.push(values[place]);
            for (i, n) in index.iter_mut().zip(&self.shape).rev() {
                *i = (*i + 1) % n;
                if *i != 0 {
                    break;
                }
            }
        }
        ordered
    }
}

/// Exactly so many bytes; memory is taken as they come.
fn bytes(source: &mut impl Read, count: usize, place: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![];
    let wanted = || format!("{count} more bytes");
    match source.by_ref().take(count as u64).read_to_end(&mut bytes) {
        Ok(found) if found == count => Ok(bytes),
        Ok(found) => Err(Error::unfit(place, wanted(), format!("{found} (truncated)"))),
        Err(error) => Err(Error::unfit(place, wanted(), error.to_string())),
    }
}

fn fixed<const N: usize>(source: &mut impl Read, place: &str) -> Result<[u8; N], Error> {
    Ok(bytes(source, N, place)?.try_into().expect("as many bytes as were asked for"))
}

impl Element {
    /// The type that numpy's `descr` names, such as `<f4`.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.chars();
        let big_endian = match rest.next()? {
            '<' | '|' => false,
            '=' => cfg!(target_endian = "big"),
            '>' => true,
            _ => return None,
        };
        let (kind, sizes): (_, &[usize]) = match rest.next()? {
            'b' => (Kind::Boolean, &[1]),
            'i' => (Kind::Signed, &[1, 2, 4, 8]),
            'u' => (Kind::Unsigned, &[1, 2, 4, 8]),
            'f' => (Kind::Float, &[2, 4, 8]),
            _ => return None,
        };
        let bytes = rest.as_str().parse().ok().filter(|n| sizes.contains(n))?;
        Some(Self { kind, bytes, big_endian })
    }

    fn is_byte(self) -> bool {
        (self.kind, self.bytes) == (Kind::Unsigned, 1)
    }

    /// The number that as many bytes as an element has are.
    fn number(self, bytes: &[u8]) -> f64 {
        let fold = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
        let word = match self.big_endian {
            true => bytes.iter().fold(0, fold),
            false => bytes.iter().rev().fold(0, fold),
        };
        let unused = 64 - 8 * self.bytes as u32;
        match (self.kind, self.bytes) {
            (Kind::Boolean, _) => f64::from(word != 0),
            (Kind::Unsigned, _) => word as f64,
            (Kind::Signed, _) => ((word << unused) as i64 >> unused) as f64,
            (Kind::Float, 2) => half(word as u16),
            (Kind::Float, 4) => f32::from_bits(word as u32).into(),
            (Kind::Float, _) => f64::from_bits(word),
        }
    }
}

/// The number that IEEE 754 half precision encodes.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// What is left of a header's text: the literal of a Python dictionary.
struct Literal<'a>(&'a str);

/// What was expected and what was found.
type Wrong = (String, String);

impl<'a> Literal<'a> {
    fn header(mut self) -> Result<Header, Wrong> {
        let (mut element, mut fortran, mut shape) = (None, None, None);
        self.symbol('{')?;
        while !self.eat('}') {
            let key = self.string()?;
            self.symbol(':')?;
            match key {
                "descr" => element = Some(self.element()?),
                "fortran_order" => fortran = Some(self.boolean()?),
                "shape" => shape = Some(self.shape()?),
                other => return Err((KEYS.into(), format!("{:?}", shortened(other)))),
            }
            if !self.eat(',') {
                self.symbol('}')?;
                break;
            }
        }
        match (element, fortran, shape) {
            (Some(element), Some(fortran), Some(shape)) => Ok(Header { shape, element, fortran }),
            _ => Err((KEYS.into(), "a header without one of them".into())),
        }
    }

    fn element(&mut self) -> Result<Element, Wrong> {
        const EXPECTED: &str = "elements that are booleans, integers, or floats of at most 8 bytes";
        if self.0.trim_start().starts_with('[') {
            return Err((EXPECTED.into(), "records of several fields".into()));
        }
        let text = self.string()?;
        Element::parse(text).ok_or_else(|| (EXPECTED.into(), format!("numpy type {:?}", shortened(text))))
    }

    fn boolean(&mut self) -> Result<bool, Wrong> {
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.trim_start().strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err(self.wrong("True or False"))
    }

    fn shape(&mut self) -> Result<Vec<usize>, Wrong> {
        let mut shape = vec![];
        self.symbol('(')?;
        while !self.eat(')') {
            self.0 = self.0.trim_start();
            let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            let (digits, rest) = self.0.split_at(end);
            shape.push(digits.parse().map_err(|_| self.wrong("the length of an axis"))?);
            self.0 = rest;
            if shape.len() > MOST_AXES {
                return Err((format!("at most {MOST_AXES} axes"), "more".into()));
            }
            if !self.eat(',') {
                self.symbol(')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn string(&mut self) -> Result<&'a str, Wrong> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let parts = quote.and_then(|quote| text[1..].split_once(quote));
        let (string, rest) = parts.ok_or_else(|| self.wrong("a quoted string"))?;
        self.0 = rest;
        Ok(string)
    }

    fn symbol(&mut self, symbol: char) -> Result<(), Wrong> {
        if self.eat(symbol) { Ok(()) } else { Err(self.wrong(&format!("{symbol:?}"))) }
    }

    fn eat(&mut self, symbol: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(symbol);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn wrong(&self, expected: &str) -> Wrong {
        (format!("{expected} in the header"), format!("{:?}", shortened(self.0)))
    }
}

const KEYS: &str = "a header with the entries descr, fortran_order and shape";

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests;
