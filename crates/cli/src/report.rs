//! How results are shown: as JSON for scripts, or as text that fits the terminal.

use crate::failure::Outcome;
use crate::page::{BAD, Page, Shown};
use blindsight_client::{is_harmful, printable};
use serde::Serialize;
use std::io::{self, Write};

/// How results are to be shown.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    /// How long lines of text may be; as long as they are where there is no limit.
    pub width: Option<usize>,
}

/// The width of a terminal that nobody knows, such as what reads a pipe.
const USUAL: usize = 80;
/// Below this, text would be cut to pieces.
const NARROWEST: usize = 40;

impl Output {
    pub fn new(json: bool, wide: bool) -> Self {
        let variable = std::env::var("COLUMNS").ok();
        let terminal = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into());
        Self { json, width: (!wide).then(|| width(variable.as_deref(), terminal)) }
    }
}

/// What COLUMNS says, or else the terminal, or else what is usual.
fn width(variable: Option<&str>, terminal: Option<usize>) -> usize {
    let said = variable.and_then(|text| text.parse().ok()).filter(|columns| *columns > 0);
    said.or(terminal).filter(|columns| *columns > 0).unwrap_or(USUAL).max(NARROWEST)
}

/// Prints a report: one JSON document, or its text.
pub fn emit<R: Serialize + Shown>(report: &R, output: Output) -> Outcome {
    let written = match output.json {
        true => print(&escaped(&serde_json::to_string_pretty(report)?)),
        false => {
            let mut page = Page::new(output.width);
            report.show(&mut page);
            print(page.text())
        }
    };
    match written {
        // The reader of a pipe may stop early (`| head`): that is no failure of ours.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints text at once. Styles stay where stdout is a terminal that has colours and NO_COLOR is not set.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints a failure on stdout as JSON. Where that cannot be written nothing is left to tell it to.
pub fn document<R: Serialize>(report: &R) {
    if let Ok(text) = serde_json::to_string_pretty(report) {
        let _ = print(&escaped(&text));
    }
}

/// Says on stderr why a command failed.
pub fn failed(why: &str) {
    anstream::eprintln!("{BAD}error:{BAD:#} {}", lines(why));
}

/// Lines without characters that steer a terminal, whoever wrote what is said in them.
fn lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// JSON with the characters escaped that steer a terminal, which JSON allows in strings.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => text.push(c),
            c if is_harmful(c) => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_what_is_said_or_the_terminals_or_eighty() {
        let cases = [
            (None, None, 80),
            (None, Some(100), 100),
            (Some("120"), Some(100), 120),
            (Some("wide"), Some(100), 100),
            (Some("0"), Some(100), 100),
            (None, Some(0), 80),
            (Some("7"), None, 40),
        ];
        for (variable, terminal, expected) in cases {
            assert_eq!(width(variable, terminal), expected, "{variable:?} {terminal:?}");
        }
    }

    #[test]
    fn what_steers_a_terminal_is_escaped_in_text_and_json() {
        assert_eq!(lines("a\n\u{1b}[2Jb\r"), "a\n\\u{1b}[2Jb\\u{d}");
        let json = serde_json::to_string("\u{1b}\u{9b}\u{202e}").expect("JSON");
        assert_eq!(escaped(&json), r#""\u001b\u009b\u202e""#);
        assert_eq!(serde_json::from_str::<String>(&escaped(&json)).expect("JSON"), "\u{1b}\u{9b}\u{202e}");
    }
}
