//! `evaluate`: accuracy over a data set, in the clear and encrypted.

use crate::arguments::{ModelArgument, PlanFlags, dataset};
use crate::failure::{During, Failure, Outcome};
use crate::progress;
use crate::report::{Facts, emit, percent};
use crate::session::{Round, Session, on_threads, timed};
use network::{Dataset, Image, Model};
use packing::planner::Objective;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Measures accuracy over a data set's test images, in the clear or encrypted
///
/// With --encrypted every image is encrypted, classified by the server and decrypted, and the result set beside the one in the clear.
/// Ctrl-C ends early, with the figures of the images done so far.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  blindsight evaluate cryptonets-mnist --data mnist\n  blindsight evaluate cryptonets-mnist --data mnist --encrypted --count 1000\n  blindsight evaluate cryptonets-mnist --data mnist --encrypted --batch"
)]
pub struct Evaluate {
    #[command(flatten)]
    model: ModelArgument,
    /// The folder with the data set's original files, plain or gzipped
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How many test images, from the first (default: all)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Classify encrypted, too
    #[arg(long)]
    encrypted: bool,
    /// Many images in the slots of each ciphertext: with a plan for batches, the one that --objective throughput chooses
    #[arg(long, requires = "encrypted")]
    batch: bool,
    /// Threads that the server's work is spread over
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    #[command(flatten)]
    plan: PlanFlags,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    count: usize,
    correct_plain: usize,
    correct_encrypted: Option<usize>,
    agree: Option<usize>,
    max_abs_error: Option<f64>,
    mean_abs_error: Option<f64>,
    images_per_second: f64,
    server_images_per_second: Option<f64>,
}

impl Evaluate {
    pub fn run(&self, json: bool) -> Outcome {
        let model = self.model.load()?;
        let images = dataset(&self.data, model.graph.input)?;
        let count = self.count.map_or(images.len(), |count| images.len().min(count as usize));
        let interrupted = interruption()?;
        let report = match self.encrypted {
            false => plain(&model, &images, count, &interrupted)?,
            true => {
                let session = self.session(model)?;
                on_threads(self.threads.into(), || encrypted(&session, &images, count, &interrupted))?
            }
        };
        emit(&report, json)
    }
}

impl Evaluate {
    fn session(&self, model: Model) -> Outcome<Session> {
        if !self.batch {
            return Session::open(model, &self.plan);
        }
        let session =
            Session::open(model, &PlanFlags { objective: Objective::Throughput, ..self.plan.clone() })?;
        match session.batch() {
            1 => Err(Failure::new(format!(
                "--batch needs a plan for batches, and {} is none: leave out --representation, or --batch",
                session.plan.public.representation
            ))),
            _ => Ok(session),
        }
    }
}

/// Is set when the user wants to end early; a second time ends at once.
fn interruption() -> Outcome<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).during(|| "cannot listen for Ctrl-C".into())?;
    Ok(interrupted)
}

/// Accuracy in the clear.
fn plain(model: &Model, images: &Dataset, count: usize, interrupted: &AtomicBool) -> Outcome<Report> {
    /// Images between two looks at the clock.
    const CHUNK: usize = 256;
    let bar = progress::bar("in the clear", count);
    let (mut done, mut correct) = (0, 0);
    let (outcome, ms) = timed(|| -> Outcome {
        while done < count && !interrupted.load(Ordering::Relaxed) {
            let chunk = done..count.min(done + CHUNK);
            let inputs =
                chunk.clone().map(|n| model.input(&images.image(n)?)).collect::<Result<Vec<_>, _>>()?;
            for (n, scores) in chunk.clone().zip(model.graph.infer_batch(&inputs)?) {
                correct += usize::from(Model::class_of(&scores) == usize::from(images.label(n)?));
            }
            done = chunk.end;
            bar.set_position(done as u64);
        }
        Ok(())
    });
    outcome?;
    bar.finish_and_clear();
    Ok(Report {
        model: model.name.clone(),
        count: done,
        correct_plain: correct,
        correct_encrypted: None,
        agree: None,
        max_abs_error: None,
        mean_abs_error: None,
        images_per_second: per_second(done, ms),
        server_images_per_second: None,
    })
}

/// Sums over encrypted images.
#[derive(Debug, Default)]
struct Sums {
    count: usize,
    correct_plain: usize,
    correct_encrypted: usize,
    agree: usize,
    scores: usize,
    errors: f64,
    largest: f64,
    server_ms: f64,
}

/// Accuracy on ciphertexts, beside that in the clear.
fn encrypted(session: &Session, images: &Dataset, count: usize, interrupted: &AtomicBool) -> Outcome<Report> {
    let bar = progress::bar("encrypted", count);
    let mut sums = Sums::default();
    let (outcome, ms) = timed(|| -> Outcome {
        while sums.count < count && !interrupted.load(Ordering::Relaxed) {
            let these = sums.count..count.min(sums.count + session.batch());
            let batch = these.clone().map(|n| images.image(n)).collect::<Result<Vec<Image>, _>>()?;
            let classes = these.clone().map(|n| images.label(n)).collect::<Result<Vec<u8>, _>>()?;
            let round = session.classify(&batch).during(|| format!("test images from {} on", these.start))?;
            sums.add(&round, &session.plain_scores(&batch)?, &classes);
            bar.set_position(sums.count as u64);
        }
        Ok(())
    });
    outcome?;
    bar.finish_and_clear();
    Ok(sums.report(session.model.name.clone(), ms))
}

impl Sums {
    fn add(&mut self, round: &Round, plain: &[Vec<f64>], classes: &[u8]) {
        for ((classification, plain), class) in round.classifications.iter().zip(plain).zip(classes) {
            let [encrypted, plain] = [&classification.scores, plain].map(|scores| Model::class_of(scores));
            self.count += 1;
            self.correct_encrypted += usize::from(encrypted == usize::from(*class));
            self.correct_plain += usize::from(plain == usize::from(*class));
            self.agree += usize::from(encrypted == plain);
        }
        self.scores += plain.iter().map(Vec::len).sum::<usize>();
        self.errors += round.errors(plain).sum::<f64>();
        self.largest = round.errors(plain).fold(self.largest, f64::max);
        self.server_ms += round.times.expand + round.times.latency;
    }

    fn report(self, model: String, ms: f64) -> Report {
        Report {
            model,
            count: self.count,
            correct_plain: self.correct_plain,
            correct_encrypted: Some(self.correct_encrypted),
            agree: Some(self.agree),
            max_abs_error: Some(self.largest),
            mean_abs_error: Some(self.errors / self.scores.max(1) as f64),
            images_per_second: per_second(self.count, ms),
            server_images_per_second: Some(per_second(self.count, self.server_ms)),
        }
    }
}

fn per_second(count: usize, ms: f64) -> f64 {
    if ms > 0.0 { count as f64 / ms * 1e3 } else { 0.0 }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: usize| format!("{part} of {} ({})", self.count, percent(part, self.count));
        let mut facts = Facts::default()
            .fact("model", self.model.clone())
            .fact("right in the clear", share(self.correct_plain));
        if let (Some(correct), Some(agree)) = (self.correct_encrypted, self.agree) {
            facts = facts.fact("right encrypted", share(correct)).fact("same label in both", share(agree));
        }
        if let (Some(largest), Some(mean)) = (self.max_abs_error, self.mean_abs_error) {
            facts = facts
                .fact("largest error of a score", format!("{largest:.6}"))
                .fact("mean error of a score", format!("{mean:.6}"));
        }
        facts = facts.fact("end to end", format!("{:.1} images a second", self.images_per_second));
        if let Some(server) = self.server_images_per_second {
            facts = facts.fact("server alone", format!("{server:.1} images a second"));
        }
        write!(f, "{facts}")
    }
}
