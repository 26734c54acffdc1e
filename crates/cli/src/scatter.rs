//! Points as SVG: a time on a logarithmic axis against a share on a linear one. In the style of the bar
//! charts.

use crate::chart::{Unit, begun, text};
use crate::figures::milliseconds;
use serde::Deserialize;
use std::fmt::Write;

/// A chart of points.
#[derive(Debug, Clone, Deserialize)]
pub struct Scatter {
    pub title: String,
    /// What is on the horizontal axis, in milliseconds.
    pub x: String,
    /// What is on the vertical axis, in percent.
    pub y: String,
    pub points: Vec<Point>,
}

/// One thing that is compared.
#[derive(Debug, Clone, Deserialize)]
pub struct Point {
    pub label: String,
    /// Whether it stands out.
    #[serde(default)]
    pub highlighted: bool,
    pub x: f64,
    pub y: f64,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 56.0;
/// Percent from one line to the next.
const STEP: i32 = 5;

impl Scatter {
    /// The chart as an SVG document.
    pub fn svg(&self) -> String {
        let mut svg = begun(&self.title, [WIDTH, HEIGHT]);
        self.grid(&mut svg);
        for point in &self.points {
            let (x, y) = (self.across(point.x), self.up(point.y));
            let class = if point.highlighted { " class=\"own\"" } else { "" };
            let _ = writeln!(svg, "<circle{class} cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"/>");
            let words = format!("{}: {} %, {}", point.label, point.y, milliseconds(point.x));
            // Where there is no room at the right, words end at the point.
            let (anchor, beside) = if x < WIDTH / 2.0 { ("start", 10.0) } else { ("end", -10.0) };
            text(&mut svg, "", anchor, x + beside, y - 8.0, &words);
        }
        svg + "</svg>\n"
    }

    fn grid(&self, svg: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - 24.0);
        for power in self.powers().0..=self.powers().1 {
            let x = self.across(10f64.powi(power));
            let _ = writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>");
            text(svg, "axis", "middle", x, bottom + 16.0, &Unit::Milliseconds.round(power));
        }
        for percent in (self.percents().0..=self.percents().1).step_by(STEP as usize) {
            let y = self.up(f64::from(percent));
            let _ = writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>");
            text(svg, "axis", "end", LEFT - 8.0, y + 4.0, &format!("{percent} %"));
        }
        text(svg, "", "start", 12.0, 48.0, &self.y);
        text(svg, "", "end", right, HEIGHT - 12.0, &self.x);
    }

    fn range(&self, of: impl Fn(&Point) -> f64) -> (f64, f64) {
        let values = || self.points.iter().map(&of);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    }

    fn powers(&self) -> (i32, i32) {
        let (least, most) = self.range(|point| point.x.log10());
        (least.floor() as i32, most.ceil() as i32)
    }

    fn percents(&self) -> (i32, i32) {
        let (least, most) = self.range(|point| point.y / f64::from(STEP));
        (least.floor() as i32 * STEP, most.ceil() as i32 * STEP)
    }

    fn across(&self, x: f64) -> f64 {
        let (least, most) = self.powers();
        LEFT + (x.log10() - f64::from(least)) / f64::from((most - least).max(1)) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, y: f64) -> f64 {
        let (least, most) = self.percents();
        HEIGHT - BOTTOM - (y - f64::from(least)) / f64::from((most - least).max(1)) * (HEIGHT - TOP - BOTTOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_figures_say() {
        let point = |x, y| Point { label: "a<b".into(), highlighted: false, x, y };
        let points = vec![point(10.0, 70.0), point(100.0, 75.0), point(1000.0, 80.0)];
        let svg = Scatter { title: "t".into(), x: "time".into(), y: "share".into(), points }.svg();
        let field = |line: &str, name: &str| {
            let (_, rest) = line.split_once(name).expect("the field");
            rest.split('"').next().expect("a figure").parse::<f64>().expect("a number")
        };
        let circles: Vec<_> = svg.lines().filter(|line| line.starts_with("<circle")).collect();
        let x: Vec<_> = circles.iter().map(|line| field(line, " cx=\"")).collect();
        let y: Vec<_> = circles.iter().map(|line| field(line, " cy=\"")).collect();
        assert_eq!((x[0], y[0], y[2]), (LEFT, HEIGHT - BOTTOM, TOP));
        assert!((2.0 * x[1] - x[0] - x[2]).abs() < 0.3 && (2.0 * y[1] - y[0] - y[2]).abs() < 0.3);
        assert!(svg.contains("a&lt;b"));
    }
}
