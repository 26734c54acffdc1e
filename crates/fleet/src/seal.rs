//! Authenticated bytes: what fronts and workers say to each other carries a code that only they can make.

use ring::hmac;

/// Bytes of the code at a message's end.
pub const CODE_BYTES: usize = 32;

/// The key that fronts and workers of a fleet share. Whoever has it can have workers compute; nothing that it
/// opens is secret.
#[derive(Debug, Clone)]
pub struct FleetKey {
    jobs: hmac::Key,
    answers: hmac::Key,
}

/// What a code is made for: a job cannot be taken for an answer.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// From a front to a worker.
    Job,
    /// From a worker to a front.
    Answer,
}

/// Bytes that nobody of this fleet sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message that this fleet's key does not authenticate: expected fronts and workers of one store")]
pub struct NotOurs;

impl FleetKey {
    /// The key with these bytes, which are random.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let whole = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let part = |what: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&whole, what).as_ref());
        Self { jobs: part(b"blindsight job"), answers: part(b"blindsight answer") }
    }

    /// Adds the code at the end.
    pub fn seal(&self, purpose: Purpose, mut message: Vec<u8>) -> Vec<u8> {
        let code = hmac::sign(self.part(purpose), &message);
        message.extend(code.as_ref());
        message
    }

    /// The message, if its code is right.
    ///
    /// # Errors
    /// Where it is not.
    pub fn open<'a>(&self, purpose: Purpose, sealed: &'a [u8]) -> Result<&'a [u8], NotOurs> {
        let (message, code) =
            sealed.split_at_checked(sealed.len().wrapping_sub(CODE_BYTES)).ok_or(NotOurs)?;
        hmac::verify(self.part(purpose), message, code).map(|()| message).map_err(|_| NotOurs)
    }

    fn part(&self, purpose: Purpose) -> &hmac::Key {
        match purpose {
            Purpose::Job => &self.jobs,
            Purpose::Answer => &self.answers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_too_short_or_for_something_else_is_refused() {
        let key = FleetKey::new(&[7; 32]);
        let sealed = key.seal(Purpose::Job, b"work".to_vec());
        assert_eq!(key.open(Purpose::Job, &sealed), Ok(&b"work"[..]));
        assert_eq!(key.open(Purpose::Answer, &sealed), Err(NotOurs));
        assert_eq!(FleetKey::new(&[8; 32]).open(Purpose::Job, &sealed), Err(NotOurs));
        (0..CODE_BYTES).for_each(|n| assert_eq!(key.open(Purpose::Job, &sealed[..n]), Err(NotOurs)));
    }

    proptest! {
        #[test]
        fn one_wrong_bit_anywhere_is_found(message: Vec<u8>, position: usize, bit in 0..8u8) {
            let key = FleetKey::new(&[7; 32]);
            let mut sealed = key.seal(Purpose::Answer, message);
            let position = position % sealed.len();
            sealed[position] ^= 1 << bit;
            prop_assert_eq!(key.open(Purpose::Answer, &sealed), Err(NotOurs));
        }
    }
}
