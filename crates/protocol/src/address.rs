//! Content addresses of evaluation keys.

use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The address of evaluation keys: SHA-256 of their whole frame, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub [u8; 32]);

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address of keys is 64 lower-case hexadecimal digits, the SHA-256 of their frame")]
pub struct NotAnAddress;

impl Address {
    /// The address of keys with this frame.
    pub fn of(frame: &[u8]) -> Self {
        Self(Sha256::digest(frame).into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Ok(c - b'0'),
            b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(NotAnAddress),
        };
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| NotAnAddress)?;
        let mut address = [0; 32];
        for (byte, pair) in address.iter_mut().zip(digits.chunks(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_digest_in_lower_case() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Address::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse(), Ok(Address::of(b"abc")));
    }

    #[test]
    fn other_texts_are_refused() {
        let abc = Address::of(b"abc").to_string();
        for wrong in ["", &abc[1..], &abc.to_uppercase(), &format!("{abc}0"), &abc.replace('a', "/")] {
            assert_eq!(wrong.parse::<Address>(), Err(NotAnAddress), "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_address_is_read_back(bytes: [u8; 32]) {
            assert_eq!(Address(bytes).to_string().parse(), Ok(Address(bytes)));
        }

        #[test]
        fn no_text_panics(text in ".{0,70}") {
            let _ = text.parse::<Address>();
        }
    }
}
