//! Line charts as SVG: figures hour by hour, on a logarithmic axis, in the style of the bars.

use crate::chart::{Unit, begun, text};
use std::fmt::Write;

/// A chart of a day.
pub struct Lines {
    pub title: String,
    pub series: Vec<Series>,
}

/// One line: a value for each hour.
pub struct Series {
    pub label: String,
    pub highlighted: bool,
    pub dashed: bool,
    pub values: Vec<f64>,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 44.0;
/// Room for the labels at the lines' ends.
const LABELS: f64 = 200.0;

impl Lines {
    /// The chart as an SVG document; values are milliseconds.
    pub fn svg(&self) -> String {
        let values = || self.series.iter().flat_map(|series| series.values.iter().copied());
        let least = values().fold(f64::INFINITY, f64::min).max(1.0).log10().floor();
        let most = values().fold(1.0, f64::max).log10().ceil().max(least + 1.0);
        let y = |value: f64| TOP + HEIGHT * (1.0 - (value.max(1.0).log10() - least) / (most - least));
        let mut svg = begun(&self.title, [LEFT + WIDTH + LABELS, TOP + HEIGHT + 40.0]);
        for power in least as i32..=most as i32 {
            let at = y(10f64.powi(power));
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>",
                LEFT + WIDTH
            );
            text(&mut svg, "axis", "end", LEFT - 8.0, at + 4.0, &Unit::Milliseconds.round(power));
        }
        for hour in (0..=24).step_by(6) {
            text(&mut svg, "axis", "middle", x(f64::from(hour)), TOP + HEIGHT + 20.0, &format!("{hour} h"));
        }
        self.series.iter().for_each(|series| series.draw(&mut svg, &y));
        self.label(&mut svg, &y);
        svg + "</svg>\n"
    }

    /// Labels stand at the lines' ends, one below the other.
    fn label(&self, svg: &mut String, y: &dyn Fn(f64) -> f64) {
        let mut ends: Vec<(f64, &str)> =
            self.series.iter().map(|s| (y(*s.values.last().unwrap_or(&1.0)), s.label.as_str())).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut lowest = 0.0;
        for (end, label) in ends {
            lowest = end.max(lowest + 16.0);
            text(svg, "", "start", LEFT + WIDTH + 8.0, lowest + 4.0, label);
        }
    }
}

impl Series {
    fn draw(&self, svg: &mut String, y: &dyn Fn(f64) -> f64) {
        let place = |(hour, value): (usize, &f64)| format!("{:.1},{:.1}", x(hour as f64 + 0.5), y(*value));
        let points: Vec<String> = self.values.iter().enumerate().map(place).collect();
        let colour = if self.highlighted { "#1a7f6b" } else { "#8fa3b8" };
        let dashes = if self.dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes} points=\"{}\"/>",
            points.join(" ")
        );
    }
}

fn x(hour: f64) -> f64 {
    LEFT + hour / 24.0 * WIDTH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_values_stand_higher() {
        let series = |label: &str, value| Series {
            label: label.into(),
            highlighted: false,
            dashed: false,
            values: vec![value; 24],
        };
        let lines = Lines { title: "t".into(), series: vec![series("low", 10.0), series("high", 1000.0)] };
        let svg = lines.svg();
        let heights: Vec<f64> = svg
            .lines()
            .filter_map(|line| {
                line.split_once("points=\"")?.1.split_once(',')?.1.split(' ').next()?.parse().ok()
            })
            .collect();
        assert!(heights.len() == 2 && heights[0] > heights[1], "{heights:?}");
    }
}
