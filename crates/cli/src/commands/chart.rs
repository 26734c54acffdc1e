//! `chart`: figures from a file, drawn.

use crate::chart::Chart;
use crate::failure::{During, Outcome};
use crate::files;
use crate::page::{Page, Shown};
use crate::report::{Output, emit};
use crate::scatter::Scatter;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Draws the figures of a JSON file as bars or points
///
/// Bars, on logarithmic axes: the file has a `title`, `panels` (each a `heading` and a `unit`: count or
/// milliseconds) and `rows` (each a `label`, a figure or null for each panel in `values`, and whether it is
/// `highlighted`). Points: a `title`, what `x` (milliseconds, logarithmic) and `y` (percent) are, and
/// `points` (each a `label`, `x`, `y`, and whether it is `highlighted`). Other fields, such as a `source`,
/// are for readers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight chart docs/literature.json --out docs/literature.svg")]
pub struct Draw {
    /// The figures
    #[arg(value_name = "FIGURES")]
    figures: PathBuf,
    /// Where the SVG goes
    #[arg(long, value_name = "FILE.svg")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    out: PathBuf,
    rows: usize,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Figures {
    Bars(Chart),
    Points(Scatter),
}

impl Draw {
    pub fn run(&self, output: Output) -> Outcome {
        let text =
            std::fs::read(&self.figures).during(|| format!("cannot read {}", self.figures.display()))?;
        let figures: Figures =
            serde_json::from_slice(&text).during(|| format!("figures in {}", self.figures.display()))?;
        let (svg, rows) = match &figures {
            Figures::Bars(chart) => (chart.svg(), chart.rows.len()),
            Figures::Points(scatter) => (scatter.svg(), scatter.points.len()),
        };
        files::write(&self.out, svg.as_bytes())?;
        emit(&Report { out: self.out.clone(), rows }, output)
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        page.say(format!("{} rows drawn in {}", self.rows, self.out.display()));
    }
}
