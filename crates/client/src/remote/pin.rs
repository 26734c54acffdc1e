//! Signatures of models, by a key that the client knows beforehand.

use super::{Error, Peer};
use blindsight_protocol::{Address, SignedStatement};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fmt;
use std::str::FromStr;

/// The public key that a server signs its models with, as `blindsight signing-key` shows it.
///
/// ```
/// use blindsight_client::remote::SigningKey;
///
/// let key: SigningKey = "ab".repeat(32).parse()?;
/// assert_eq!(key.to_string(), "ab".repeat(32));
/// assert!("ab".parse::<SigningKey>().is_err());
/// # Ok::<(), blindsight_client::remote::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningKey(Address);

impl FromStr for SigningKey {
    type Err = Error;

    /// 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = "a key to pin is 64 hexadecimal digits, as `blindsight signing-key` shows them";
        text.to_lowercase().parse().map(Self).map_err(|_| Error::Trust(wrong.into()))
    }
}

impl fmt::Display for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SigningKey {
    /// Checks that this key signed that the server at the other end runs a model by this plan.
    ///
    /// # Errors
    /// With what is not as it should be.
    pub(super) fn check(
        &self,
        signed: &SignedStatement,
        model: &str,
        plan: &str,
        peer: Option<&Peer>,
    ) -> Result<(), Error> {
        let statement = &signed.statement;
        let refused = |what: &str, said: &str, expected: &str| {
            Err(Error::Signature(format!("{what} is {said}, and {expected} was expected")))
        };
        let key = self.to_string();
        if signed.key != key {
            return refused("its key", &signed.key, &key);
        }
        let signature = bytes(&signed.signature).unwrap_or_default();
        if UnparsedPublicKey::new(&ED25519, self.0.0).verify(&statement.message(), &signature).is_err() {
            return Err(Error::Signature("the signature is not the key's".into()));
        }
        if statement.model != model {
            return refused("the model signed for", &statement.model, model);
        }
        if statement.plan != plan {
            return refused("the plan signed for", &statement.plan, plan);
        }
        match (&statement.server, peer) {
            (Some(server), Some(peer)) if *server != peer.certificate => {
                refused("the certificate signed for", server, &peer.certificate)
            }
            (Some(server), None) => refused("the certificate signed for", server, "none, without TLS,"),
            _ => Ok(()),
        }
    }
}

/// The bytes of a signature.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
    Some(digits?.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindsight_protocol::Statement;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    fn pair(seed: u8) -> (Ed25519KeyPair, SigningKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed");
        let public = pair.public_key().as_ref().try_into().expect("32 bytes");
        (pair, SigningKey(Address(public)))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn only_what_the_key_signed_for_this_server_is_accepted() {
        let (signer, key) = pair(1);
        let [model_digest, plan, server] = ["aa", "bb", "cc"].map(|digits| digits.repeat(32));
        let peer = Peer { certificate: server.clone(), exchange: String::new() };
        let sign = |statement: Statement| {
            let signature = hex(signer.sign(&statement.message()).as_ref());
            SignedStatement { statement, key: key.to_string(), signature }
        };
        let statement =
            Statement { model: "m".into(), model_digest, plan: plan.clone(), server: Some(server) };
        let good = sign(statement.clone());
        key.check(&good, "m", &plan, Some(&peer)).expect("as signed");
        key.check(&good, "other", &plan, Some(&peer)).expect_err("another model");
        key.check(&good, "m", &"bc".repeat(32), Some(&peer)).expect_err("another plan");
        key.check(&good, "m", &plan, None).expect_err("no TLS");
        let other = Peer { certificate: "dd".repeat(32), exchange: String::new() };
        key.check(&good, "m", &plan, Some(&other)).expect_err("another certificate");
        pair(2).1.check(&good, "m", &plan, Some(&peer)).expect_err("another key");
        let proxied = sign(Statement { server: None, ..statement });
        key.check(&proxied, "m", &plan, Some(&other)).expect("a proxy shows its own certificate");

        // Signed by another key under this one's name; changed after it was signed; no signature at all.
        let forged = hex(pair(2).0.sign(&good.statement.message()).as_ref());
        for signature in [forged, String::new(), "zz".into(), good.signature[2..].into(), "00".repeat(64)] {
            let bad = SignedStatement { signature, ..good.clone() };
            key.check(&bad, "m", &plan, Some(&peer)).expect_err("no signature of the key's");
        }
        let mut changed = good.clone();
        changed.statement.model_digest = "ab".repeat(32);
        key.check(&changed, "m", &plan, Some(&peer)).expect_err("changed");
    }
}
