//! `fit`: a trained network and calibration data in, a network that runs encrypted out.

mod findings;

use crate::arguments::ModelArgument;
use crate::failure::{During, Failure, Outcome};
use crate::figures::{milliseconds, number, percent};
use crate::inputs::Notes;
use crate::page::{Facts, Page, Shown};
use crate::report::{Output, emit};
use crate::scatter::{Point, Scatter};
use crate::table::Table;
use crate::threads::on_threads;
use crate::{configuration, files, machine, progress};
use blindsight_data::{Dataset, InputSpec, Split};
use blindsight_fit::{Options, Step, Trial, fit};
use blindsight_network::{Metadata, Model};
use findings::Kept;
use serde::Serialize;
use std::path::PathBuf;

/// Replaces activations by polynomials and corrects the weights, on calibration data
///
/// Takes a network as it was trained, with ReLU, GELU, SiLU and the like, and writes one that runs
/// encrypted and needs no more metadata. No training: least squares, layer by layer. A fifth of the data is
/// held back; degrees rise as far as the accuracy on it needs, and the report is about it. Of a network
/// that is polynomial already it only measures what the planner has to know. The same command goes on where
/// it was broken off: what was found out lies in OUT.findings until OUT is there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight fit relu.onnx --data mnist --mean 0.1307 --std 0.3081 \\
    --out private.onnx
  blindsight evaluate private.onnx --data mnist --encrypted --count 50")]
pub struct Fit {
    #[command(flatten)]
    model: ModelArgument,
    /// The folder with the data set's original files; the training images are used where there are some
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Where the fitted network goes
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
    /// What is subtracted from each channel's pixels, as a share of 255 (default: as the model's file says)
    #[arg(long, value_name = "M,..", value_delimiter = ',', allow_negative_numbers = true)]
    mean: Option<Vec<f64>>,
    /// What each channel is divided by after that (default: as the model's file says)
    #[arg(long, value_name = "S,..", value_delimiter = ',')]
    std: Option<Vec<f64>>,
    /// A file with a name for each score, one a line (default: as the model's file says, or the data's names)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How many inputs to use, spread over the data
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// One degree for all activations (default: the cheapest that keep the accuracy)
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u8).range(2..=31))]
    degree: Option<u8>,
    /// How many points of accuracy may be lost on the data held back
    #[arg(long, value_name = "POINTS", default_value_t = 1.0)]
    max_drop: f64,
    /// What may be replaced by something similar: max-pool, by average pooling over the same windows
    #[arg(long, value_name = "WHAT")]
    replace: Vec<Replaced>,
    /// Draw accuracy against predicted latency of all that was tried
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Replaced {
    MaxPool,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    out: PathBuf,
    #[serde(flatten)]
    fit: blindsight_fit::Report,
    /// What was taken for granted, a sentence each.
    assumptions: Vec<&'static str>,
}

/// Whoever forgets how a network's pixels were normalised loses accuracy before anything is fitted.
const UNSAID: &str = "neither the network's file nor --mean and --std say how its pixels were normalised: \
    they were taken as shares of 255, from 0 to 1. Where \"right before\" is less than the network is known for, \
    this is why";

/// Inputs, normalised, and their classes.
struct Calibration {
    inputs: Vec<Vec<f64>>,
    labels: Vec<usize>,
    /// The data set's names of classes, where the model has none.
    names: Option<Vec<String>>,
    /// What the data call the numbers of an input, where the network takes numbers.
    features: Option<Vec<String>>,
}

impl Fit {
    pub fn run(&self, output: Output) -> Outcome {
        let mut model = self.model.load()?;
        model.metadata = self.described(model.metadata)?;
        let mut calibration = self.calibration(&model)?;
        if let Some(names) = calibration.names.take() {
            model.metadata.labels = names;
        }
        if model.metadata.features.is_none() {
            model.metadata.features = calibration.features.take();
        }
        let mut options = Options {
            degree: self.degree.map(usize::from),
            max_drop: self.max_drop,
            replace_max_pool: self.replace.contains(&Replaced::MaxPool),
            plan: blindsight_planner::Options { cost: configuration::costs()?, ..Default::default() },
            ..Options::default()
        };
        let mut kept = Kept::open(&self.out, &model, (&calibration.inputs, &calibration.labels), &options)?;
        options.known = kept.take();
        let bar = progress::slow_bar("fitting", 0);
        let mut told = |step: Step<'_>| match step {
            Step::Found(finding) => kept.keep(finding),
            step => tell(&bar, step),
        };
        let fitted = on_threads(machine::cores(), || {
            let Calibration { inputs, labels, .. } = &calibration;
            Ok(fit(&model.graph, &model.metadata, inputs, Some(labels), &options, &mut told)?)
        });
        bar.finish_and_clear();
        let fitted = fitted.during(|| format!("fitting {}", model.name)).inspect_err(|_| kept.remove())?;
        let report = Report {
            model: model.name.clone(),
            out: self.out.clone(),
            fit: fitted.report,
            assumptions: if takes_pixels_as_shares(&model) { vec![UNSAID] } else { vec![] },
        };
        let fitted = Model { graph: fitted.graph, metadata: fitted.metadata, ..model };
        let bytes = fitted.to_onnx()?;
        if let Some(path) = &self.plot {
            files::write(path, report.plot().svg().as_bytes())?;
        }
        files::write(&self.out, &bytes)?;
        kept.remove();
        emit(&report, output)
    }

    /// The metadata with what the flags say.
    fn described(&self, metadata: Metadata) -> Outcome<Metadata> {
        let mut metadata = match (&self.mean, &self.std) {
            (None, None) => metadata,
            (mean, std) => {
                let mean = mean.clone().unwrap_or_else(|| metadata.mean.clone());
                let std = std.clone().unwrap_or_else(|| metadata.std.clone());
                metadata.with_normalisation(mean, std).during(|| "--mean and --std".into())?
            }
        };
        let Some(path) = &self.labels else { return Ok(metadata) };
        let text = std::fs::read_to_string(path).during(|| format!("cannot read {}", path.display()))?;
        let labels: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
        let (expected, found) = (metadata.labels.len(), labels.len());
        if found != expected {
            let path = path.display();
            return Err(Failure::new(format!(
                "labels in {path}: expected {expected} lines, a name for each score, got {found}"
            )));
        }
        metadata.labels = labels;
        Ok(metadata)
    }

    /// The inputs, spread evenly over the data: everything that depends on the kind of data.
    fn calibration(&self, model: &Model) -> Outcome<Calibration> {
        let (spec, path) = (InputSpec::of(model), &self.data);
        let samples = Dataset::open(path, Split::Train, &spec)
            .or_else(|_| Dataset::open(path, Split::Test, &spec))
            .during(|| format!("data set {}", path.display()))?;
        let count = samples.len().min(usize::try_from(self.count).unwrap_or(usize::MAX));
        let names = samples.names().filter(|names| is_numbered(&model.metadata.labels, names.len()));
        let names = names.map(<[String]>::to_vec);
        let features = samples.samples().features().filter(|_| !spec.is_of_images()).map(<[String]>::to_vec);
        let (mut calibration, mut notes) =
            (Calibration { inputs: vec![], labels: vec![], names, features }, Notes::default());
        for n in (0..count).map(|i| i * samples.len() / count) {
            calibration.inputs.push(notes.values(samples.input(n)?));
            calibration.labels.extend(samples.label(n));
        }
        Ok(calibration)
    }
}

/// Whether nothing says how pixels become a network's input.
fn takes_pixels_as_shares(model: &Model) -> bool {
    InputSpec::of(model).is_of_images() && !model.metadata.is_normalised
}

/// Whether labels are numbers from 0, so many: a file that names no classes has these.
fn is_numbered(labels: &[String], count: usize) -> bool {
    labels.len() == count && labels.iter().enumerate().all(|(i, label)| *label == i.to_string())
}

/// Shows what is being done.
fn tell(bar: &indicatif::ProgressBar, step: Step<'_>) {
    let spelled = |degrees: &[usize]| match degrees {
        [first, rest @ ..] if rest.iter().all(|d| d == first) => format!("degree {first}"),
        [] => "no activations".into(),
        mixed => format!("degrees {}", listed(mixed)),
    };
    match step {
        Step::Fitting { degrees, node, nodes } => {
            bar.set_length(nodes as u64);
            bar.set_position(node as u64);
            bar.set_message(format!("fitting, {}", spelled(degrees)));
        }
        Step::Planning { degrees } => bar.set_message(format!("planning, {}", spelled(degrees))),
        Step::Found(_) => {}
    }
}

fn listed(degrees: &[usize]) -> String {
    degrees.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

impl Report {
    /// Accuracy against predicted latency of what was tried and has a plan.
    fn plot(&self) -> Scatter {
        let point = |tried: &Trial| {
            let chosen = self.fit.activations.iter().map(|a| a.degree).eq(tried.degrees.iter().copied());
            let uniform = tried.degrees.iter().all(|d| *d == tried.degree());
            let label = if uniform { format!("degree {}", tried.degree()) } else { listed(&tried.degrees) };
            let y = (1e4 * tried.accuracy).round() / 1e2;
            Some(Point { label, highlighted: chosen, x: tried.predicted_ms?, y })
        };
        Scatter {
            title: format!("{}, fitted", self.model),
            x: "predicted latency, one core".into(),
            y: format!("accuracy on {} inputs held back", self.fit.held_back),
            points: self.fit.tried.iter().filter_map(point).collect(),
        }
    }

    fn activations(&self) -> Table {
        let mut table =
            Table::new(["activation", "was", "degree", "inputs\nfrom", "to", "error\n(rms)"]).texts(2);
        for a in &self.fit.activations {
            let figures = [number(a.low), number(a.high), number(a.rms_error)];
            let [low, high, error] = figures;
            table.row([a.name.clone(), a.function.into(), a.degree.to_string(), low, high, error]);
        }
        table
    }

    fn tried(&self) -> Table {
        let mut table = Table::new(["degrees tried", "accuracy", "predicted latency"]);
        for tried in &self.fit.tried {
            let price = tried.predicted_ms.map_or("-".into(), milliseconds);
            table.row([listed(&tried.degrees), percent(tried.accuracy), price]);
        }
        table
    }

    fn facts(&self) -> Facts {
        let accuracy = |share_of: Option<f64>| share_of.map_or("unknown".into(), percent);
        let fit = &self.fit;
        let spread = format!(
            "{} root mean square, {} about the mean of each input",
            number(fit.score_rms),
            number(fit.score_spread)
        );
        Facts::default()
            .fact("inputs", format!("{}, {} of them held back", fit.count, fit.held_back))
            .fact("right before", accuracy(fit.accuracy_before))
            .fact("right after", accuracy(fit.accuracy_after))
            .fact("same class", percent(fit.agree))
            .fact("scores", format!("{spread}, below {}", number(fit.score_bound)))
            .fact("levels", fit.levels.to_string())
            .fact("predicted latency", format!("{} on one core", milliseconds(fit.predicted_ms)))
            .fact("written", self.out.display().to_string())
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        if !self.fit.activations.is_empty() {
            page.table(&self.activations());
            page.gap();
            page.table(&self.tried());
            page.gap();
        }
        page.facts(self.facts());
        for said in &self.assumptions {
            page.item("note", said);
        }
    }
}
