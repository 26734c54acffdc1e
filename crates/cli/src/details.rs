//! What a script may want to know of a failure: of what kind it is, what was expected, what came, what to do.

use serde::Serialize;
use std::error::Error;

/// The parts of an error; those that it does not have are null.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Details {
    /// Where the error comes from: `input`, `network`, `plan`, `fit`, `file`, `usage`, or `failure` for any
    /// other.
    pub kind: &'static str,
    pub expected: Option<String>,
    pub found: Option<String>,
    pub remedy: Option<String>,
}

impl Details {
    /// Of an error without parts.
    pub fn none() -> Self {
        Self { kind: "failure", ..Self::default() }
    }

    /// Of arguments that do not go together.
    pub fn usage() -> Self {
        Self::kind("usage")
    }

    /// Of arguments that the parser refuses.
    pub fn of_usage(error: &clap::Error) -> Self {
        use clap::error::{ContextKind as Kind, ErrorKind};
        let said = |kinds: &[Kind]| kinds.iter().find_map(|kind| error.get(*kind)).map(ToString::to_string);
        let (expected, found) = match error.kind() {
            ErrorKind::MissingRequiredArgument => (said(&[Kind::InvalidArg]), None),
            _ => (
                said(&[Kind::ValidValue, Kind::ValidSubcommand]),
                said(&[Kind::InvalidValue, Kind::InvalidSubcommand, Kind::InvalidArg]),
            ),
        };
        Self { expected, found, ..Self::usage() }.with_remedy(Some("see --help"))
    }

    /// Those of the outermost error in a chain that has any.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(details) = known(error) {
                return details;
            }
            next = error.source();
        }
        Self::none()
    }

    fn new(kind: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self { kind, expected: Some(expected.to_string()), found: Some(found.to_string()), remedy: None }
    }

    fn with_remedy(self, remedy: Option<impl ToString>) -> Self {
        Self { remedy: remedy.map(|text| text.to_string()), ..self }
    }

    fn kind(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }
}

fn known(error: &(dyn Error + 'static)) -> Option<Details> {
    None.or_else(|| error.downcast_ref().map(of_input))
        .or_else(|| error.downcast_ref().map(of_network))
        .or_else(|| error.downcast_ref().map(of_plan))
        .or_else(|| error.downcast_ref().map(of_layout))
        .or_else(|| error.downcast_ref().map(of_fit))
        .or_else(|| error.downcast_ref::<std::io::Error>().map(|_| Details::kind("file")))
}

fn of_input(error: &blindsight_data::Error) -> Details {
    use blindsight_data::Error as E;
    match error {
        E::Unfit { expected, found, remedy, .. } => {
            Details::new("input", expected, found).with_remedy(*remedy)
        }
        E::TooLarge { what, actual, limit, .. } => {
            Details::new("input", format!("at most {limit} {what}"), actual)
        }
        E::Network(error) => of_network(error),
        E::Io { .. } => Details::kind("file"),
        _ => Details::kind("input"),
    }
}

fn of_network(error: &blindsight_network::Error) -> Details {
    use blindsight_network::Error as E;
    match error {
        E::Form { expected, actual, .. }
        | E::Mismatch { expected, actual, .. }
        | E::Image { expected, actual } => Details::new("network", expected, actual),
        E::Metadata { expected, value, .. } => Details::new("network", expected, value),
        E::TooLarge { what, actual, limit } => {
            Details::new("network", format!("at most {limit}: {what}"), actual)
        }
        E::NotFinite { value, .. } => Details::new("network", "a finite number", value),
        E::Operator { operator, .. } => Details::new("network", "a supported operator", operator)
            .with_remedy(Some("`blindsight check` lists every obstacle with its remedy")),
        E::Io { .. } => Details::kind("file"),
        _ => Details::kind("network"),
    }
}

fn of_plan(error: &blindsight_planner::Error) -> Details {
    use blindsight_planner::Error as E;
    match error {
        E::Limit { limit, actual, allowed } => {
            Details::new("plan", format!("{limit} of at most {allowed}"), actual)
                .with_remedy(Some(limit.remedy()))
        }
        E::Chain { found, expected } => Details::new("plan", expected, found),
        E::Representation { asked, offered, .. } => Details::new("plan", offered, asked),
        E::NotOffered { asked, reason, .. } => Details::new("plan", reason, asked),
        E::OtherModel { expected, actual } => Details::new("plan", expected, actual),
        E::ScoreBound { reached, bound, suggested, .. } => Details::new(
            "plan",
            format!("scores of at most {bound}, the metadata's blindsight.score_bound"),
            reached,
        )
        .with_remedy(Some(format!("a score bound of {suggested}; `fit` measures it"))),
        E::Layout(error) => of_layout(error),
        E::Network(error) => of_network(error),
        _ => Details::kind("plan"),
    }
}

fn of_layout(error: &blindsight_layout::Error) -> Details {
    use blindsight_layout::Error as E;
    match error {
        E::DoesNotFit { expected, actual, .. } => Details::new("plan", expected, actual),
        E::Length { expected, actual, .. } => Details::new("plan", expected, actual),
        _ => Details::kind("plan"),
    }
}

fn of_fit(error: &blindsight_fit::Error) -> Details {
    use blindsight_fit::Error as E;
    match error {
        E::Data { expected, found, .. } | E::Option { expected, found, .. } => {
            Details::new("fit", expected, found)
        }
        E::Accuracy { allowed, drop, .. } => {
            Details::new("fit", format!("at most {allowed} points lost"), format!("{drop:.2}"))
                .with_remedy(Some("allow more (--max-drop), or give more data"))
        }
        E::MaxPool { .. } => Details::kind("fit").with_remedy(Some("--replace max-pool")),
        E::Network(error) => of_network(error),
        E::Planner(error) => of_plan(error),
        _ => Details::kind("fit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_outermost_error_that_has_any() {
        let error = blindsight_data::Error::from(blindsight_network::Error::Image {
            expected: "28x28".into(),
            actual: "5x5".into(),
        });
        assert_eq!(Details::of(&error), Details::new("network", "28x28", "5x5"));
        let io = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        assert_eq!(Details::of(&io), Details::kind("file"));
        assert_eq!(Details::of(&std::fmt::Error), Details::none());
    }
}
