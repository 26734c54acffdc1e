//! `classify`: one input, encrypted end to end.

use crate::arguments::{ModelArgument, PlanFlags, PrecisionFlags};
use crate::failure::{During, Failure, Outcome};
use crate::figures::{bytes, milliseconds, number, percent};
use crate::page::{Facts, Page, Shown};
use crate::remote::{self, ServerFlags};
use crate::report::{Output, emit};
use crate::session::{Round, Session};
use crate::table::Table;
use crate::threads::on_threads;
use crate::{inputs, machine, progress};
use blindsight_client::Classification;
use blindsight_data::{InputSource, InputSpec};
use blindsight_network::FinalActivation;
use serde::Serialize;
use std::fmt;

/// Classifies one input, an image or numbers, encrypted end to end
///
/// Client and server run in this process: keys are generated, the image is encrypted, classified by the
/// server and decrypted, and the scores are set beside those computed in the clear.
///
/// With --server this process is the client alone: the first time it makes a secret key, keeps it in this
/// user's configuration folder, and registers evaluation keys; after that it sends encrypted images and
/// decrypts replies. The token is taken from BLINDSIGHT_TOKEN, or from what is known of the server since the
/// last time. MODEL is then the name of one of the server's models, and may be left out where it has only
/// one.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "blindsight classify [OPTIONS] MODEL INPUT\n       blindsight classify [OPTIONS] --server URL [MODEL] INPUT",
    after_help = "Examples:
  blindsight classify cryptonets-mnist digit.png
  blindsight classify cryptonets-mnist mnist:0 --json
  blindsight classify cancer.onnx patients.csv:17
  blindsight classify --server https://127.0.0.1:8443 digit.png"
)]
pub struct Classify {
    /// The model (an .onnx file, or the name of a shipped one), then the input: an image in any common format
    /// (converted and resized), FILE.npy, FILE.csv:ROW, FILE.json (a list of numbers), or DATA:N for test
    /// sample N of a data set (see `blindsight evaluate --help`); rows and samples are counted from 0
    #[arg(value_name = "MODEL> <INPUT", required = true, num_args = 1..=2)]
    words: Vec<String>,
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    plan: PlanFlags,
    #[command(flatten)]
    precision: PrecisionFlags,
}

/// What a classification gave, as far as it is known.
#[derive(Debug, Serialize)]
pub struct Report {
    pub label: String,
    /// The label, fit for a terminal.
    pub name: String,
    pub scores: Vec<f64>,
    /// The best classes, the best first.
    pub top: Vec<Ranked>,
    /// The best score minus the next one; for one score and two classes its size; else null.
    pub margin: Option<f64>,
    pub predicted_error: f64,
    /// Whether the margin is too small beside the predicted error for the label to be sure.
    pub too_close: bool,
    pub plain_scores: Option<Vec<f64>>,
    pub max_abs_error: Option<f64>,
    pub latency_ms: Option<f64>,
    pub upload_bytes: Option<u64>,
    pub download_bytes: u64,
    pub evaluation_key_bytes: Option<u64>,
    /// The version of TLS and the key exchange, where there was any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    pub warnings: Vec<String>,
    /// Decimals of a score that say something.
    #[serde(skip)]
    pub decimals: usize,
    /// How many classes there are.
    #[serde(skip)]
    classes: usize,
}

/// How many classes are ranked.
const TOP: usize = 5;
/// Decimals of scores that are not rounded, at least.
const DECIMALS: usize = 4;

/// A class among the best.
#[derive(Debug, Serialize)]
pub struct Ranked {
    #[serde(skip)]
    class: usize,
    pub label: String,
    /// The label, fit for a terminal.
    pub name: String,
    pub score: f64,
    /// Null where the network's file ends in scores.
    pub probability: Option<f64>,
}

impl Classify {
    pub fn run(&self, output: Output) -> Outcome {
        let report = match (&self.server.url, self.words.as_slice()) {
            (None, [model, input]) => self.here(parse(model)?, &parse(input)?)?,
            (Some(url), [input]) => self.there(url, None, &parse(input)?)?,
            (Some(url), [model, input]) => self.there(url, Some(model), &parse(input)?)?,
            _ => {
                let expected = "two words are expected, MODEL and INPUT; one is enough with --server URL";
                return Err(Failure::usage(expected));
            }
        };
        emit(&report, output)
    }

    fn there(&self, url: &str, model: Option<&str>, source: &InputSource) -> Outcome<Report> {
        let mut client = remote::open(&self.server, url, model, self.plan.max_key_bytes)?;
        let input = inputs::load(source, &inputs::spec_of(client.client().plan()))?;
        let answer = progress::spinning("the server computes", || match self.precision.exact_scores {
            true => client.classify_input_exactly(&input),
            false => client.classify_input(&input),
        })?;
        Ok(Report {
            connection: client.server().peer().map(|peer| peer.exchange),
            latency_ms: answer.timing.step("compute"),
            upload_bytes: Some(answer.upload_bytes),
            evaluation_key_bytes: Some(client.model().evaluation_key_bytes),
            ..Report::decrypted(answer.classification, self.precision.exact_scores, answer.download_bytes)
        })
    }

    fn here(&self, model: ModelArgument, source: &InputSource) -> Outcome<Report> {
        let model = model.load()?;
        let inputs = [inputs::load(source, &InputSpec::of(&model))?];
        let session = on_threads(machine::cores(), || Session::for_one_round(model, &self.plan))?;
        let round = progress::spinning("running the network on ciphertexts", || session.classify(&inputs))?;
        let report =
            Report::new(&session, round, session.plain_scores(&inputs)?, self.precision.exact_scores);
        let report = report.and_then(|report| report.warned(&session));
        let clamped = session.check(&inputs[0]).map(|warning| warning.to_string());
        let far_out = session.model.furthest_out(&inputs[0])?.map(|far_out| far_out.to_string());
        let unlike: Vec<String> = clamped.into_iter().chain(far_out).collect();
        if unlike.is_empty() {
            return report;
        }
        let mut report = report.during(|| unlike.join("; "))?;
        report.warnings.extend(unlike);
        Ok(report)
    }
}

fn parse<T: std::str::FromStr<Err: fmt::Display>>(word: &str) -> Outcome<T> {
    word.parse().map_err(|error: T::Err| Failure::new(error.to_string()))
}

impl Report {
    /// What a reply alone tells; `exact` where its scores are as they were decrypted.
    pub fn decrypted(answer: Classification, exact: bool, download_bytes: u64) -> Self {
        Self {
            name: answer.name().into(),
            top: answer.top(TOP).iter().map(Ranked::from).collect(),
            margin: answer.margin,
            predicted_error: answer.predicted_error,
            too_close: answer.too_close,
            plain_scores: None,
            max_abs_error: None,
            latency_ms: None,
            upload_bytes: None,
            download_bytes,
            evaluation_key_bytes: None,
            connection: None,
            warnings: answer.warnings.iter().map(ToString::to_string).collect(),
            decimals: if exact { answer.decimals().max(DECIMALS) } else { answer.decimals() },
            classes: answer.labels.len(),
            label: answer.label,
            scores: answer.scores,
        }
    }

    /// With what is to be known of the plan, before what is said of the image.
    fn warned(mut self, session: &Session) -> Outcome<Self> {
        self.warnings.splice(0..0, PlanFlags::notices(&session.model, &session.plan)?);
        Ok(self)
    }

    /// What is known where client and server are one process.
    pub fn new(session: &Session, round: Round, mut plain: Vec<Vec<f64>>, exact: bool) -> Outcome<Self> {
        let classification = session.shown(round.classifications?.swap_remove(0), exact);
        let plain = plain.swap_remove(0);
        let errors = classification.scores.iter().zip(&plain).map(|(e, p)| (e - p).abs());
        let max_abs_error = errors.fold(0.0, f64::max);
        Ok(Self {
            max_abs_error: Some(max_abs_error),
            plain_scores: Some(plain),
            latency_ms: Some(round.times.latency),
            upload_bytes: Some(round.upload_bytes),
            evaluation_key_bytes: Some(session.setup.evaluation_key_bytes),
            ..Self::decrypted(classification, exact, round.download_bytes)
        })
    }

    /// What is to be said instead of a name alone where another class may be the best.
    pub fn too_close(&self) -> Option<String> {
        let [best, next, ..] = self.top.as_slice() else { return None };
        self.too_close.then(|| format!("too close to call: {} or {}", best.name, next.name))
    }

    /// A figure with the decimals that say something.
    pub fn figure(&self, figure: f64) -> String {
        format!("{figure:.0$}", self.decimals)
    }

    fn ranking(&self) -> Table {
        // A client that has no model cannot compute in the clear.
        let plain =
            self.plain_scores.as_ref().map(|scores| FinalActivation::class_scores(scores, self.classes));
        let plain = plain.as_ref();
        let probable = self.top.iter().any(|ranked| ranked.probability.is_some());
        let headings = ["class", "score"].into_iter().chain(probable.then_some("probability"));
        let mut table = Table::new(headings.chain(plain.map(|_| "in the clear")));
        for Ranked { class, name, score, probability, .. } in &self.top {
            let probability = probability.map(percent);
            let plain = plain.map(|scores| format!("{:.1$}", scores[*class], self.decimals.max(DECIMALS)));
            table.row([name.clone(), self.figure(*score)].into_iter().chain(probability).chain(plain));
        }
        table
    }

    /// What is not in the ranking.
    fn rest(&self) -> Option<String> {
        let rest = self.classes.saturating_sub(self.top.len());
        (rest > 0).then(|| format!("and {rest} more, which --json lists"))
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        if let Some(margin) = self.margin {
            facts = facts.fact("margin over the next score", self.figure(margin));
        }
        facts = facts.fact("predicted error of a score", number(self.predicted_error));
        if let Some(error) = self.max_abs_error {
            facts = facts.fact("largest error of a score", number(error));
        }
        if let Some(latency) = self.latency_ms {
            facts = facts.fact("server latency", milliseconds(latency));
        }
        if let Some(upload) = self.upload_bytes {
            facts = facts.fact("upload", bytes(upload));
        }
        facts = facts.fact("reply", bytes(self.download_bytes));
        if let Some(keys) = self.evaluation_key_bytes {
            facts = facts.fact("evaluation keys, sent once", bytes(keys));
        }
        if let Some(connection) = &self.connection {
            facts = facts.fact("connection", connection);
        }
        facts
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        page.good(format!("label: {}", self.name));
        if let Some(too_close) = self.too_close() {
            page.bad(too_close);
        }
        page.gap();
        page.table(&self.ranking());
        if let Some(rest) = self.rest() {
            page.aside(rest);
        }
        page.gap();
        page.facts(self.facts());
        self.warnings.iter().for_each(|warning| page.warning(warning));
    }
}

impl From<&blindsight_client::Ranked<'_>> for Ranked {
    fn from(ranked: &blindsight_client::Ranked<'_>) -> Self {
        Self {
            class: ranked.class,
            label: ranked.label.into(),
            name: ranked.name.clone().into_owned(),
            score: ranked.score,
            probability: ranked.probability,
        }
    }
}
