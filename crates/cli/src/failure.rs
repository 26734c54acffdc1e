//! What a command fails with: one paragraph, from what was being done down to the cause.

use crate::details::Details;
use serde::Serialize;
use std::error::Error;
use std::fmt;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// Outermost first.
    messages: Vec<String>,
    details: Details,
}

/// A failure as a script reads it.
#[derive(Debug, Serialize)]
pub struct Document {
    error: Described,
}

#[derive(Debug, Serialize)]
struct Described {
    message: String,
    #[serde(flatten)]
    details: Details,
}

/// What a command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that has no cause below.
    pub fn new(message: impl Into<String>) -> Self {
        Self { messages: vec![message.into()], details: Details::none() }
    }

    /// Arguments that do not go together.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { messages: vec![message.into()], details: Details::usage() }
    }

    /// Arguments that the parser refuses: what is wrong, without how it is right, which `--help` says.
    pub fn unparsed(error: &clap::Error) -> Self {
        let said = error.render().to_string();
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        let message = said.split("\n\n").next().unwrap_or(said).trim_end();
        Self { messages: vec![message.into()], details: Details::of_usage(error) }
    }

    /// The exit status: 2 for wrong usage, else 1.
    pub fn status(&self) -> u8 {
        if self.details.kind == Details::usage().kind { 2 } else { 1 }
    }

    /// What is printed where JSON is asked for.
    pub fn document(&self) -> Document {
        Document { error: Described { message: self.to_string(), details: self.details.clone() } }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    /// The error and its causes. A cause that its error quotes already is not said twice.
    fn from(error: E) -> Self {
        let mut messages = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            let message = cause.to_string();
            if !messages.iter().any(|said| said.contains(&message)) {
                messages.push(message);
            }
            source = cause.source();
        }
        Self { messages, details: Details::of(&error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages.join(": "))
    }
}

/// Says what was being done when something failed.
pub trait During<T> {
    /// Puts `what` before the failure.
    fn during(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: Into<Failure>> During<T> for Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| {
            let mut failure: Failure = error.into();
            failure.messages.insert(0, what());
            failure
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read plan.bsp")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_said_once_outermost_first() {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let failed: Outcome = Err(Outer(missing)).during(|| "loading the plan".into());
        let said = failed.expect_err("it failed").to_string();
        assert_eq!(said, "loading the plan: cannot read plan.bsp: no such file");
    }
}
