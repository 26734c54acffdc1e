//! What a server signs of a model.

use serde::{Deserialize, Serialize};

/// What a server says of a model when it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The model's name in paths.
    pub model: String,
    /// SHA-256 of the model's ONNX file, in hexadecimal.
    pub model_digest: String,
    /// The plan's digest, in hexadecimal. It commits to the public plan.
    pub plan: String,
    /// SHA-256 of the certificate that the server shows, in hexadecimal; none where a proxy shows its own.
    pub server: Option<String>,
}

/// A statement and who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedStatement {
    /// What is said.
    #[serde(flatten)]
    pub statement: Statement,
    /// The Ed25519 public key, in hexadecimal.
    pub key: String,
    /// The Ed25519 signature of [`Statement::message`], in hexadecimal.
    pub signature: String,
}

impl Statement {
    /// The bytes that are signed: `blindsight signed model 1`, then the fields in order, each as its length
    /// in four bytes, little-endian, and its text. No server is the empty text.
    ///
    /// ```
    /// use blindsight_protocol::Statement;
    ///
    /// let [model_digest, plan] = ["ab", "cd"].map(|digits| digits.repeat(32));
    /// let statement = Statement { model: "m".into(), model_digest, plan, server: None };
    /// assert_eq!(statement.message().len(), 25 + 4 * 4 + 1 + 64 + 64);
    /// ```
    pub fn message(&self) -> Vec<u8> {
        let mut message = b"blindsight signed model 1".to_vec();
        let server = self.server.as_deref().unwrap_or_default();
        for text in [self.model.as_str(), &self.model_digest, &self.plan, server] {
            message.extend((text.len() as u32).to_le_bytes());
            message.extend(text.as_bytes());
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Else a signature of one statement would be one of another.
        #[test]
        fn different_statements_have_different_messages(a in fields(), b in fields()) {
            prop_assert_eq!(statement(&a) == statement(&b), statement(&a).message() == statement(&b).message());
        }
    }

    fn fields() -> impl Strategy<Value = [String; 4]> {
        // Short texts of few letters, so that pieces of one are often pieces of another.
        ["[ab]{0,3}", "[ab]{0,3}", "[ab]{0,3}", "[ab]{1,3}"]
    }

    fn statement([model, model_digest, plan, server]: &[String; 4]) -> Statement {
        Statement {
            model: model.clone(),
            model_digest: model_digest.clone(),
            plan: plan.clone(),
            server: Some(server.clone()),
        }
    }
}
