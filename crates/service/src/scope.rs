//! What a token may be used for: which models, how often, how many times.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a token may be used for; by default everything.
///
/// ```
/// use blindsight_service::Scope;
///
/// let scope = Scope { models: vec!["cryptonets-mnist".into()], ..Scope::default() };
/// assert!(scope.allows("cryptonets-mnist") && !scope.allows("lenet-mnist"));
/// assert!(Scope::default().allows("lenet-mnist"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The names of its models; empty for all that are served. Other models are as if they were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// How many inferences in a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many inferences all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
}

/// At most so many inferences in any period of such a length.
///
/// ```
/// use blindsight_service::Rate;
///
/// let rate: Rate = "10/min".parse()?;
/// assert_eq!((rate.count(), rate.seconds()), (10, 60));
/// assert!("10/fortnight".parse::<Rate>().is_err());
/// # Ok::<(), blindsight_service::NotARate>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    count: u32,
    period: Period,
}

/// The period of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no rate: expected a number from 1 to {most}, a slash, and s, min, h or d, as in 10/min",
    most = Rate::MOST
)]
pub struct NotARate(String);

impl Scope {
    /// Whether a model is one of the token's.
    pub fn allows(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|name| name == model)
    }
}

impl Rate {
    /// The most inferences in a period: when each was is remembered.
    pub const MOST: u32 = 10_000;

    /// How many inferences a period may have.
    pub fn count(&self) -> u64 {
        self.count.into()
    }

    /// Seconds of a period.
    pub fn seconds(&self) -> u64 {
        match self.period {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3600,
            Period::Day => 86_400,
        }
    }
}

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let wrong = || NotARate(text.into());
        let (count, period) = text.split_once('/').ok_or_else(wrong)?;
        let period = match period {
            "s" => Period::Second,
            "min" => Period::Minute,
            "h" => Period::Hour,
            "d" => Period::Day,
            _ => return Err(wrong()),
        };
        match count.parse() {
            Ok(count) if (1..=Self::MOST).contains(&count) => Ok(Self { count, period }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Rate {
    type Error = NotARate;

    fn try_from(text: String) -> Result<Self, NotARate> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = match self.period {
            Period::Second => "s",
            Period::Minute => "min",
            Period::Hour => "h",
            Period::Day => "d",
        };
        write!(f, "{}/{period}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_are_numbers_over_periods() {
        let rate: Rate = "10/min".parse().expect("a rate");
        assert_eq!((rate.count(), rate.seconds()), (10, 60));
        for wrong in
            ["", "10", "/min", "0/min", "-1/min", "10001/s", "10/minute", "1.5/s", "10/min/min", "10 /min"]
        {
            assert_eq!(wrong.parse::<Rate>(), Err(NotARate(wrong.into())), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_is_read_back(count in 1..=Rate::MOST, period in "s|min|h|d") {
            let text = format!("{count}/{period}");
            assert_eq!(text.parse::<Rate>().expect("a rate").to_string(), text);
        }
    }
}
