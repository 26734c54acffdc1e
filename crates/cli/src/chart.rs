//! Bar charts as SVG, for figures that span orders of magnitude: one group of bars beside the other, each on
//! a logarithmic axis. They have no background and follow the viewer's light or dark theme.

use crate::figures::{milliseconds, thousands};
use serde::Deserialize;
use std::fmt::Write;

/// A chart: a row for each thing that is compared, a panel for each figure.
#[derive(Debug, Clone, Deserialize)]
pub struct Chart {
    pub title: String,
    pub panels: Vec<Panel>,
    pub rows: Vec<Row>,
}

/// One figure of all rows.
#[derive(Debug, Clone, Deserialize)]
pub struct Panel {
    pub heading: String,
    pub unit: Unit,
}

/// What figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Count,
    Milliseconds,
}

/// The figures of one thing, one for each panel, where there is one.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    pub label: String,
    /// Whether its bars stand out.
    #[serde(default)]
    pub highlighted: bool,
    pub values: Vec<Option<f64>>,
}

const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const TOP: f64 = 72.0;
const BARS: f64 = 280.0;
/// Room for a figure after its bar.
const FIGURE: f64 = 90.0;
/// What a letter takes, at most, of the labels' size.
const LETTER: f64 = 7.2;

const STYLE: &str = "\
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }\n\
    .title { font-size: 15px; font-weight: 600 }\n\
    .axis { font-size: 11px; fill: #59636e }\n\
    line { stroke: #d1d9e0 }\n\
    rect, circle { fill: #8fa3b8 }\n\
    .own { fill: #1a7f6b }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6edf3 }\n\
    .axis { fill: #9198a1 }\n\
    line { stroke: #3d444d }\n\
    rect, circle { fill: #6b7f95 }\n\
    .own { fill: #3fb99f }\n\
    }";

impl Chart {
    /// The chart as an SVG document.
    pub fn svg(&self) -> String {
        let longest = self.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
        let left = 24.0 + longest as f64 * LETTER;
        let (width, height) =
            (left + self.panels.len() as f64 * (BARS + FIGURE), TOP + self.rows.len() as f64 * ROW + 28.0);
        let mut svg = begun(&self.title, [width, height]);
        for (index, row) in self.rows.iter().enumerate() {
            text(&mut svg, "", "end", left - 8.0, middle(index), &row.label);
        }
        for (index, panel) in self.panels.iter().enumerate() {
            self.panel(&mut svg, panel, index, left + index as f64 * (BARS + FIGURE));
        }
        svg + "</svg>\n"
    }

    fn panel(&self, svg: &mut String, panel: &Panel, index: usize, left: f64) {
        let value = |row: &Row| row.values.get(index).copied().flatten().filter(|v| *v > 0.0);
        let values: Vec<f64> = self.rows.iter().filter_map(value).collect();
        let power = |pick: fn(f64, f64) -> f64, start| values.iter().map(|v| v.log10()).fold(start, pick);
        // The shortest bar is to be seen, so the axis begins below it.
        let least = (power(f64::min, f64::INFINITY) - 0.3).floor();
        let most = power(f64::max, f64::NEG_INFINITY).ceil().max(least + 1.0);
        let place = |v: f64| (v.log10() - least) / (most - least) * BARS;
        text(svg, "", "start", left, 48.0, &panel.heading);
        let bottom = TOP + self.rows.len() as f64 * ROW;
        for power in (least as i32..=most as i32).filter(|_| !values.is_empty()) {
            let x = left + place(10f64.powi(power));
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>",
                TOP - 12.0
            );
            text(svg, "axis", "middle", x, bottom + 16.0, &panel.unit.round(power));
        }
        for (index, row) in self.rows.iter().enumerate() {
            let Some(value) = value(row) else { continue };
            let (class, length) = (if row.highlighted { " class=\"own\"" } else { "" }, place(value));
            let y = middle(index) - 4.0 - BAR / 2.0;
            let _ = writeln!(
                svg,
                "<rect{class} x=\"{left:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>"
            );
            text(svg, "", "start", left + length + 6.0, middle(index), &panel.unit.words(value));
        }
    }
}

impl Unit {
    fn words(self, value: f64) -> String {
        match self {
            Self::Count => thousands(value.round() as u64),
            Self::Milliseconds => milliseconds(value),
        }
    }

    /// A power of ten, without digits that say nothing.
    pub fn round(self, power: i32) -> String {
        let in_unit = |unit: &str, zeros: i32| format!("{} {unit}", thousands(10u64.pow(zeros as u32)));
        match (self, power) {
            (Self::Milliseconds, 3..) => in_unit("s", power - 3),
            (Self::Milliseconds, 0..3) => in_unit("ms", power),
            (Self::Milliseconds, -3..0) => in_unit("µs", power + 3),
            _ => self.words(10f64.powi(power)),
        }
    }
}

/// An SVG document of this size with its style and title, open at its end.
pub fn begun(title: &str, [width, height]: [f64; 2]) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>{title}</title>\n<style>\n{STYLE}\n</style>\n<text class=\"title\" x=\"12\" y=\"24\">{title}</text>\n",
        title = escaped(title)
    )
}

/// The line that the text of a row stands on.
fn middle(index: usize) -> f64 {
    TOP + index as f64 * ROW + ROW / 2.0
}

pub fn text(svg: &mut String, class: &str, anchor: &str, x: f64, y: f64, words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let words = escaped(words);
    let _ = writeln!(svg, "<text{class} text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_logarithms() {
        let row = |label: &str, value| Row { label: label.into(), highlighted: false, values: vec![value] };
        let panel = Panel { heading: "operations".into(), unit: Unit::Count };
        let rows =
            vec![row("a<b", Some(10.0)), row("none", None), row("c", Some(1000.0)), row("d", Some(100.0))];
        let svg = Chart { title: "t".into(), panels: vec![panel], rows }.svg();
        let width = |line: &str| {
            let (_, rest) = line.split_once("width=\"").expect("a width");
            rest.split('"').next().expect("a figure").parse::<f64>().expect("a number")
        };
        let widths: Vec<f64> = svg.lines().filter(|l| l.starts_with("<rect")).map(width).collect();
        // The axis is from 1 to 1000.
        let expected = [BARS / 3.0, BARS, BARS * 2.0 / 3.0];
        assert_eq!(widths.len(), expected.len());
        assert!(widths.iter().zip(expected).all(|(w, e)| (w - e).abs() < 0.1), "{widths:?}");
        assert!(svg.contains("a&lt;b") && svg.contains("prefers-color-scheme: dark"));
    }
}
