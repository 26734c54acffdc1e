//! Lists of numbers as JSON.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use crate::Error;

/// The numbers of a JSON list, lists within it flattened; at most `most`. `place` names the file.
pub(crate) fn read(source: impl Read, most: usize, place: &str) -> Result<Vec<f64>, Error> {
    let mut numbers = vec![];
    let mut parser = serde_json::Deserializer::from_reader(source);
    let read = Numbers { into: &mut numbers, most, is_list: false }.deserialize(&mut parser);
    match read.and_then(|()| parser.end()) {
        Ok(()) => Ok(numbers),
        Err(error) => Err(Error::unfit(place, "a list of numbers as JSON", error.to_string())),
    }
}

/// Appends a number, or the numbers of a list.
struct Numbers<'a> {
    into: &'a mut Vec<f64>,
    most: usize,
    /// Whether this is within a list: a number alone is none.
    is_list: bool,
}

impl<'de> DeserializeSeed<'de> for Numbers<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Numbers<'_> {
    fn push<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        if !self.is_list {
            return Err(E::custom("a number that is in no list"));
        }
        if self.into.len() >= self.most {
            return Err(E::custom(format!("more than the network's {} numbers", self.most)));
        }
        if !number.is_finite() {
            return Err(E::custom("a number that is not finite"));
        }
        self.into.push(number);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Numbers<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.push(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.push(number as f64)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.push(number as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Numbers { into, most, .. } = self;
        while list.next_element_seed(Numbers { into: &mut *into, most, is_list: true })?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> Result<Vec<f64>, Error> {
        read(text.as_bytes(), 4, "x.json")
    }

    #[test]
    fn lists_are_flattened() {
        assert_eq!(list("[1, -2.5, 3e0, 4]").expect("four"), [1.0, -2.5, 3.0, 4.0]);
        assert_eq!(list("[[1, 2], [[3], 4]]").expect("four"), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(list("[]").expect("none"), [0.0; 0]);
    }

    #[test]
    fn what_is_no_list_of_numbers_is_refused() {
        let deep = "[".repeat(100_000);
        for (text, word) in [
            ("7", "in no list"),
            ("[1, null]", "null"),
            ("[1, \"2\"]", "string"),
            ("{\"a\": [1]}", "map"),
            ("[1, NaN]", "line 1"),
            ("[1e999]", "out of range"),
            ("[1, 2", "EOF"),
            ("[1] 2", "trailing"),
            ("[1, 2, 3, 4, 5]", "more than the network's 4"),
            (&deep, "recursion"),
            ("", "EOF"),
        ] {
            let said = list(text).expect_err("should be refused").to_string();
            assert!(said.starts_with("x.json: expected a list") && said.contains(word), "{word}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_numbers_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(numbers) = read(&bytes[..], 8, "x") {
                prop_assert!(numbers.len() <= 8 && numbers.iter().all(|n| n.is_finite()));
            }
        }

        #[test]
        fn numbers_are_read_as_they_were_written(numbers in prop::collection::vec(-1e9..1e9f64, 0..9)) {
            let text = serde_json::to_string(&numbers).expect("JSON");
            let again = read(text.as_bytes(), 8, "x").ok();
            prop_assert_eq!(again.as_ref().map(Vec::len), (numbers.len() <= 8).then_some(numbers.len()));
            // The last bit of a number may differ.
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-15 * b.abs();
            prop_assert!(again.iter().flatten().zip(&numbers).all(close));
        }
    }
}
