//! `compare`: every representation that can run a model.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::chart::{Chart, Panel, Unit};
use crate::configuration;
use crate::failure::Outcome;
use crate::figures::{bytes, count, milliseconds, number};
use crate::files;
use crate::inputs;
use crate::page::{Page, Shown};
use crate::progress;
use crate::report::{Output, emit};
use crate::session::Session;
use crate::table::Table;
use blindsight_network::Model;
use blindsight_planner::{Explanation, Lola, Packing};
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::PathBuf;

/// Compares the representations that can run a model: counts, bytes, predicted and measured time, and the
/// ratio to `auto`
///
/// With --measure each of them is run encrypted, on one core, and the median of the server's times shown;
/// those predicted to take very long are not, and it is said so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight compare cryptonets-mnist
  blindsight compare cryptonets-mnist --objective operations --json
  blindsight compare cryptonets-mnist --measure --plot chart.svg")]
pub struct Compare {
    #[command(flatten)]
    model: ModelArgument,
    /// Run each representation encrypted, too
    #[arg(long)]
    measure: bool,
    /// Inferences that are measured of each representation
    #[arg(long, value_name = "N", default_value_t = 5, requires = "measure", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// What is predicted to take longer than so many seconds is not measured
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, requires = "measure")]
    longest: f64,
    /// Draw operations and times as a chart
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanFlags,
}

/// Plans that have a ring of their own: without keys, and those of the literature.
const NAMED: [Packing; 4] =
    [Packing::Keyless, Packing::Batch, Packing::Lola(Lola::Offsets), Packing::Lola(Lola::Dense)];
/// No more taps in a ciphertext are tried.
const MOST_TAPS: usize = 64;

#[derive(Debug, Serialize)]
struct Report {
    rows: Vec<Row>,
    not_offered: Vec<NotOffered>,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    explanation: Explanation,
    /// HOPs, as a multiple of those of `auto`.
    hops_ratio: f64,
    /// Predicted time, as a multiple of that of `auto`.
    time_ratio: f64,
    /// The median of the server's times, where they were measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_ms: Option<f64>,
    /// The same, as a multiple of that of `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_ratio: Option<f64>,
    /// Why it was not measured, where it should have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_measured: Option<String>,
}

#[derive(Debug, Serialize)]
struct NotOffered {
    representation: String,
    reason: String,
}

/// A way to run the model, and what is asked of the planner for it.
struct Candidate {
    flags: PlanFlags,
    explanation: Explanation,
}

impl Compare {
    pub fn run(&self, output: Output) -> Outcome {
        let model = self.model.load()?;
        let (candidates, not_offered) = self.candidates(&model)?;
        let mut report = Report { rows: rows(&candidates), not_offered };
        if self.measure {
            self.measure(&model, &candidates, &mut report.rows)?;
        }
        if let Some(path) = &self.plot {
            files::write(path, chart(&model, &report.rows).svg().as_bytes())?;
        }
        emit(&report, output)
    }

    /// What can run the model: `auto` first.
    fn candidates(&self, model: &Model) -> Outcome<(Vec<Candidate>, Vec<NotOffered>)> {
        let auto = self.candidate(model, Packing::Auto, self.plan.ring_degree)?;
        // Rows are comparable in the ring that `auto` chose, or would have with keys; there the taps of one
        // ciphertext end where it is full.
        let degree = match auto.explanation.totals.key_switches {
            0 => {
                let first = self.candidate(model, Packing::Im2col(1), self.plan.ring_degree);
                first.map(|first| first.explanation.ring_degree).ok()
            }
            _ => Some(auto.explanation.ring_degree),
        };
        let (mut candidates, mut not_offered) = (vec![auto], vec![]);
        let taps =
            (1..=MOST_TAPS).map_while(|taps| self.candidate(model, Packing::Im2col(taps), degree).ok());
        candidates.extend(taps);
        // The plans of the literature come in the smallest ring that they fit.
        let named = NAMED.map(|packing| (packing, self.plan.ring_degree));
        for (packing, degree) in std::iter::once((Packing::Image, degree)).chain(named) {
            match self.candidate(model, packing, degree) {
                Ok(candidate) => candidates.push(candidate),
                Err(reason) => not_offered
                    .push(NotOffered { representation: packing.to_string(), reason: reason.to_string() }),
            }
        }
        Ok((candidates, not_offered))
    }

    fn candidate(&self, model: &Model, packing: Packing, ring_degree: Option<usize>) -> Outcome<Candidate> {
        let flags = PlanFlags { representation: packing, ring_degree, ..self.plan.clone() };
        let (plan, costs) = (flags.plan(model)?, configuration::costs()?);
        let explanation =
            progress::spinning("dry run", || blindsight_planner::explain(&plan, model, &costs))?;
        Ok(Candidate {
            flags,
            explanation: Explanation { representation: packing.to_string(), ..explanation },
        })
    }

    /// Runs what does not take too long.
    fn measure(&self, model: &Model, candidates: &[Candidate], rows: &mut [Row]) -> Outcome {
        let bar = progress::slow_bar("measuring", candidates.len() * self.runs as usize);
        for (candidate, row) in candidates.iter().zip(rows.iter_mut()) {
            let seconds = candidate.explanation.predicted_ms / 1e3;
            if seconds > self.longest {
                row.not_measured = Some(format!(
                    "predicted to take {}, longer than {} s (--longest)",
                    milliseconds(seconds * 1e3),
                    self.longest
                ));
                bar.inc(self.runs.into());
                continue;
            }
            row.measured_ms = Some(self.median(model, &candidate.flags, &bar)?);
        }
        bar.finish_and_clear();
        let auto = rows[0].measured_ms;
        rows.iter_mut().for_each(|row| row.measured_ratio = row.measured_ms.zip(auto).map(|(ms, a)| ms / a));
        Ok(())
    }

    /// The median of the server's times after one that is not counted.
    fn median(&self, model: &Model, flags: &PlanFlags, bar: &ProgressBar) -> Outcome<f64> {
        let session = Session::open(model.clone(), flags)?;
        let images = vec![inputs::black(model)?; session.batch()];
        session.classify(&images)?;
        let mut times = vec![];
        for _ in 0..self.runs {
            times.push(session.classify(&images)?.times.latency);
            bar.inc(1);
        }
        times.sort_by(f64::total_cmp);
        Ok((times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0)
    }
}

/// Rows with their ratios to the first.
fn rows(candidates: &[Candidate]) -> Vec<Row> {
    let auto = &candidates[0].explanation;
    let row = |candidate: &Candidate| Row {
        hops_ratio: candidate.explanation.totals.hops as f64 / auto.totals.hops as f64,
        time_ratio: candidate.explanation.predicted_ms / auto.predicted_ms,
        explanation: candidate.explanation.clone(),
        measured_ms: None,
        measured_ratio: None,
        not_measured: None,
    };
    candidates.iter().map(row).collect()
}

/// Operations, predicted times and, where there are any, measured ones.
fn chart(model: &Model, rows: &[Row]) -> Chart {
    let panel = |heading: &str, unit| Panel { heading: heading.into(), unit };
    let mut panels = vec![
        panel("homomorphic operations", Unit::Count),
        panel("predicted time, one core", Unit::Milliseconds),
    ];
    let measured = rows.iter().any(|row| row.measured_ms.is_some());
    if measured {
        panels.push(panel("measured time, one core", Unit::Milliseconds));
    }
    let row = |row: &Row| crate::chart::Row {
        label: match row.explanation.images {
            1 => row.explanation.representation.clone(),
            images => format!("{} ({images} images)", row.explanation.representation),
        },
        highlighted: row.explanation.representation == "auto",
        values: vec![
            Some(row.explanation.totals.hops as f64),
            Some(row.explanation.predicted_ms),
            row.measured_ms,
        ],
    };
    let title = format!("{}, representations, best for {}", model.name, rows[0].explanation.objective);
    Chart { title, panels, rows: rows.iter().map(row).collect() }
}

/// The headings of figures that are left out first where there is no room; JSON and --wide have them.
const SPARE: [&str; 7] =
    ["NTTs", "cipher\nproducts", "additions", "plain\nproducts", "operations\nof auto", "rotations", "keys"];

impl Report {
    fn heading(&self) -> String {
        let Explanation { model, objective, .. } = &self.rows[0].explanation;
        format!("{model}: the packings that can run it, best for {objective}")
    }

    fn table(&self) -> Table {
        let measured = self.rows.iter().any(|row| row.measured_ms.is_some());
        let mut headings = vec![
            "packing",
            "operations",
            "operations\nof auto",
            "rotations",
            "plain\nproducts",
            "cipher\nproducts",
            "additions",
            "key-\nswitches",
            "NTTs",
            "predicted",
            "predicted\nof auto",
        ];
        headings.extend(["measured", "measured\nof auto"].iter().filter(|_| measured));
        headings.extend(["request", "keys"]);
        let mut table = Table::new(headings).spare(SPARE);
        for row in &self.rows {
            table.row(row.cells(measured));
        }
        table
    }
}

impl Row {
    fn cells(&self, measured: bool) -> Vec<String> {
        let (e, t) = (&self.explanation, &self.explanation.totals);
        let mut cells = vec![
            e.representation.clone(),
            count(t.hops),
            number(self.hops_ratio),
            count(t.rotations),
            count(t.plaintext_multiplications),
            count(t.ciphertext_multiplications),
            count(t.additions),
            count(t.key_switches),
            count(t.ntts),
            milliseconds(e.predicted_ms),
            number(self.time_ratio),
        ];
        if measured {
            cells.push(self.measured_ms.map_or("".into(), milliseconds));
            cells.push(self.measured_ratio.map_or("".into(), number));
        }
        cells.extend([bytes(e.upload_bytes), bytes(e.evaluation_key_bytes)]);
        cells
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        page.title(self.heading());
        page.gap();
        page.table(&self.table());
        page.gap();
        page.say(
            "\"of auto\" is the ratio to the planner's own choice, the first row; operations are rotations, products \
             and additions together. Keys are sent once, a request for each image. Times are of one core.",
        );
        for row in self.rows.iter().filter(|row| row.explanation.images > 1) {
            let Explanation { representation, images, .. } = &row.explanation;
            page.say(format!("{representation}: all figures are of a batch of {images} images."));
        }
        for row in &self.rows {
            if let Some(reason) = &row.not_measured {
                page.say(format!("{} was not measured: {reason}", row.explanation.representation));
            }
        }
        self.not_offered.iter().for_each(|none| page.item(&none.representation, &none.reason));
    }
}
