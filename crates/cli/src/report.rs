//! How results are shown: as JSON for scripts, or as aligned text with units.

use crate::failure::Outcome;
use blindsight_client::{is_harmful, printable};
use serde::Serialize;
use std::fmt::{self, Display};
use std::io::Write;

/// Prints a report: one JSON document, or its text.
pub fn emit<R: Serialize + Display>(report: &R, json: bool) -> Outcome {
    let text =
        if json { escaped(&serde_json::to_string_pretty(report)?) } else { lines(&report.to_string()) };
    let written = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    match written {
        // The reader of a pipe may stop early (`| head`): that is no failure of ours.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints a failure on stdout as JSON. Where that cannot be written nothing is left to tell it to.
pub fn document<R: Serialize>(report: &R) {
    if let Ok(text) = serde_json::to_string_pretty(report) {
        let _ = writeln!(std::io::stdout().lock(), "{}", escaped(&text));
    }
}

/// Lines without characters that steer a terminal, whoever wrote what is said in them.
pub fn lines(text: &str) -> String {
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

/// Rows of text in aligned columns: the first column to the left, the others to the right.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    /// A table with these headings.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![headings.into_iter().map(Into::into).collect()], left: 1 }
    }

    /// Aligns the first `columns` to the left.
    pub fn left(mut self, columns: usize) -> Self {
        self.left = columns;
        self
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.into()).into_owned()).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |c: usize| self.rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max();
        (0..columns).map(|c| width(c).unwrap_or(0)).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let cell = |(c, text): (usize, &String)| match c < self.left {
            true => format!("{text:<width$}", width = widths[c]),
            false => format!("{text:>width$}", width = widths[c]),
        };
        let line: Vec<String> = cells.iter().enumerate().map(cell).collect();
        line.join("  ").trim_end().to_string()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let rule: Vec<String> = widths.iter().map(|&w| "-".repeat(w)).collect();
        for (i, row) in self.rows.iter().enumerate() {
            writeln!(f, "{}", self.line(row, &widths))?;
            if i == 0 {
                writeln!(f, "{}", rule.join("  "))?;
            }
        }
        Ok(())
    }
}

/// Pairs of a name and what it is, aligned.
#[derive(Debug, Default)]
pub struct Facts(Vec<(String, String)>);

impl Facts {
    /// Adds a fact.
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push((printable(&name.into()).into_owned(), printable(&value.into()).into_owned()));
        self
    }
}

impl Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name:<width$}  {value}"))
    }
}

/// Bytes with the unit that fits: B, KiB, MiB, GiB.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let power = (0..UNITS.len()).rev().find(|p| count >> (10 * p) > 0).unwrap_or(0);
    match power {
        0 => format!("{count} B"),
        _ => format!("{:.1} {}", count as f64 / (1u64 << (10 * power)) as f64, UNITS[power]),
    }
}

/// Milliseconds with the unit that fits: us, ms, s.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 0.1 => format!("{:.0} us", ms * 1e3),
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}

/// A share as a percentage.
pub fn percent(part: usize, whole: usize) -> String {
    format!("{:.2} %", 100.0 * part as f64 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_they_should() {
        assert_eq!([0, 1023, 1024, 5 << 20].map(bytes), ["0 B", "1023 B", "1.0 KiB", "5.0 MiB"]);
        assert_eq!([0.05, 5.25, 52.5, 5250.0].map(milliseconds), ["50 us", "5.25 ms", "52.5 ms", "5.25 s"]);
    }

    #[test]
    fn what_steers_a_terminal_is_escaped_in_text_and_json() {
        assert_eq!(lines("a\n\u{1b}[2Jb\r"), "a\n\\u{1b}[2Jb\\u{d}");
        let json = serde_json::to_string("\u{1b}\u{9b}\u{202e}").expect("JSON");
        assert_eq!(escaped(&json), r#""\u001b\u009b\u202e""#);
        assert_eq!(serde_json::from_str::<String>(&escaped(&json)).expect("JSON"), "\u{1b}\u{9b}\u{202e}");
        let mut table = Table::new(["class"]);
        table.row(["7\nwarning: all is well"]);
        assert_eq!(table.to_string().lines().count(), 3);
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["layer", "hops"]);
        table.row(["conv", "50"]);
        table.row(["dense1", "104"]);
        assert_eq!(table.to_string(), "layer   hops\n------  ----\nconv      50\ndense1   104\n");
    }
}
