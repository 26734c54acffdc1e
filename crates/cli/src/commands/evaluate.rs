//! `evaluate`: accuracy over a data set, in the clear and encrypted.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::failure::{During, Failure, Outcome};
use crate::figures::{number, part, rate};
use crate::inputs::{self, Notes};
use crate::journal::{Entry, Journal, Subject};
use crate::machine;
use crate::page::{Facts, Page, Shown};
use crate::progress;
use crate::report::{Output, emit};
use crate::session::{Round, Session, timed};
use crate::threads::on_threads;
use blindsight_client::Classification;
use blindsight_data::{Dataset, InputSpec};
use blindsight_network::Model;
use blindsight_planner::{Objective, Plan};
use serde::Serialize;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Measures accuracy over a data set's test images, in the clear or encrypted
///
/// With --encrypted every image is encrypted, classified by the server and decrypted, and the result set
/// beside the one in the clear. Answers whose two best scores are too near each other for the predicted error
/// are counted, as are those that the client refuses. Ctrl-C ends early, with the figures of the images done
/// so far. With --resume FILE they are kept: the same command goes on where it was interrupted, whatever
/// interrupted it, and its figures cover all images, those of earlier runs too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight evaluate cryptonets-mnist --data mnist
  blindsight evaluate cryptonets-mnist --data mnist --encrypted --count 1000
  blindsight evaluate cryptonets-mnist --data mnist \\
    --encrypted --resume mnist.journal
  blindsight evaluate cryptonets-mnist --data mnist --encrypted --batch")]
pub struct Evaluate {
    #[command(flatten)]
    model: ModelArgument,
    /// The data set: a folder with its original files, a folder of images by class, FILE.npz (arrays x and
    /// y), or FILE.csv with a header (the column label, else the last one, is the label)
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// How many test images, from the first (default: all)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Classify encrypted, too
    #[arg(long)]
    encrypted: bool,
    /// Many images in the slots of each ciphertext: with a plan for batches, the one that --objective
    /// throughput chooses
    #[arg(long, requires = "encrypted")]
    batch: bool,
    /// Keep each image's result in FILE, and go on after those that are there already: of the same model,
    /// plan and data set
    #[arg(long, value_name = "FILE", requires = "encrypted")]
    resume: Option<PathBuf>,
    /// Threads that the server's work is spread over
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    #[command(flatten)]
    plan: PlanFlags,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    model: String,
    count: usize,
    /// How many of these were done by earlier runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<usize>,
    correct_plain: usize,
    correct_encrypted: Option<usize>,
    agree: Option<usize>,
    /// Images with scores that the plan cannot carry: the client says so instead of giving a label.
    refused: Option<usize>,
    /// Images whose two best scores are too near each other for the label to be sure: the client says so.
    too_close: Option<usize>,
    max_abs_error: Option<f64>,
    mean_abs_error: Option<f64>,
    /// The root mean square that the plan predicts.
    predicted_error: Option<f64>,
    images_per_second: f64,
    server_images_per_second: Option<f64>,
}

impl Evaluate {
    pub fn run(&self, output: Output) -> Outcome {
        let model = self.model.load()?;
        let images = inputs::data_set(&self.data, &InputSpec::of(&model))?;
        let count = self.count.map_or(images.len(), |count| images.len().min(count as usize));
        let interrupted = interruption()?;
        let report = match self.encrypted {
            false => plain(&model, &images, count, &interrupted)?,
            true => self.encrypted(model, &images, count, &interrupted)?,
        };
        emit(&report, output)
    }

    /// Accuracy on ciphertexts, beside that in the clear, with the images that the journal has.
    fn encrypted(
        &self,
        model: Model,
        images: &Dataset,
        count: usize,
        interrupted: &AtomicBool,
    ) -> Outcome<Report> {
        let (name, (plan, plan_ms)) = (model.name.clone(), timed(|| self.plan(&model)));
        let plan = plan?;
        let predicted_error = Some(plan.public.predicted_error);
        let (mut run, mut journal) = (Run { images, count, interrupted, sums: Sums::default() }, None);
        if let Some(path) = &self.resume {
            let (opened, entries) =
                Journal::open(path, &Subject::new(&model, &plan, &self.data, images)?, images)?;
            entries.iter().take(count).for_each(|entry| run.sums.add(entry));
            journal = Some(opened);
        }
        let resumed = self.resume.as_ref().map(|_| run.sums.count);
        if run.sums.count < count {
            let session = on_threads(machine::cores(), || Session::with_plan(model, plan, plan_ms))?;
            on_threads(self.threads.into(), || run.finish(&session, journal.as_mut()))?;
        }
        Ok(Report { predicted_error, ..run.sums.report(name, resumed) })
    }

    /// The plan, which is one for batches where that was asked for.
    fn plan(&self, model: &Model) -> Outcome<Plan> {
        if !self.batch {
            return self.plan.plan(model);
        }
        let plan = PlanFlags { objective: Objective::Throughput, ..self.plan.clone() }.plan(model)?;
        match plan.public.input.images() {
            1 => Err(Failure::new(format!(
                "--batch needs a plan for batches, and {} is none: leave out --representation, or --batch",
                plan.public.representation
            ))),
            _ => Ok(plan),
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

/// Some of the inputs.
fn read(images: &Dataset, these: Range<usize>, notes: &mut Notes) -> Outcome<Vec<Vec<f64>>> {
    these.map(|n| Ok(notes.values(images.input(n)?))).collect()
}

/// Accuracy in the clear.
fn plain(model: &Model, images: &Dataset, count: usize, interrupted: &AtomicBool) -> Outcome<Report> {
    /// Images between two looks at the clock.
    const CHUNK: usize = 256;
    let bar = progress::bar("in the clear", count);
    let (mut done, mut correct, mut notes) = (0, 0, Notes::default());
    let (outcome, ms) = timed(|| -> Outcome {
        while done < count && !interrupted.load(Ordering::Relaxed) {
            let chunk = done..count.min(done + CHUNK);
            let inputs = read(images, chunk.clone(), &mut notes)?;
            for (n, scores) in chunk.clone().zip(model.graph.infer_batch(&inputs)?) {
                correct += usize::from(images.label(n) == Some(model.class(&scores)));
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
        images_per_second: per_second(done, ms),
        ..Report::default()
    })
}

/// Sums over encrypted images.
#[derive(Debug, Default)]
struct Sums {
    count: usize,
    correct_plain: usize,
    correct_encrypted: usize,
    agree: usize,
    refused: usize,
    too_close: usize,
    /// Of the images' mean errors.
    errors: f64,
    largest: f64,
    server_ms: f64,
    ms: f64,
}

/// The images of an encrypted evaluation, and what came out for those that are done: the first `sums.count`.
struct Run<'a> {
    images: &'a Dataset,
    count: usize,
    interrupted: &'a AtomicBool,
    sums: Sums,
}

impl Run<'_> {
    /// Classifies what is left.
    fn finish(&mut self, session: &Session, mut journal: Option<&mut Journal>) -> Outcome {
        let (bar, mut notes) =
            (progress::resumed("encrypted", self.sums.count, self.count), Notes::default());
        while self.sums.count < self.count && !self.interrupted.load(Ordering::Relaxed) {
            let these = self.sums.count..self.count.min(self.sums.count + session.batch());
            let entries = self.request(session, these, &mut notes)?;
            if let Some(journal) = &mut journal {
                journal.append(&entries)?;
            }
            entries.iter().for_each(|entry| self.sums.add(entry));
            bar.set_position(self.sums.count as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// What comes out for the images of one request.
    fn request(&self, session: &Session, these: Range<usize>, notes: &mut Notes) -> Outcome<Vec<Entry>> {
        let (done, ms) = timed(|| -> Outcome<(Round, Vec<Vec<f64>>)> {
            let batch = read(self.images, these.clone(), notes)?;
            for warning in batch.iter().filter_map(|input| session.check(input)) {
                notes.say(&format!("warning: {warning}"));
            }
            let round = session.classify(&batch).during(|| format!("test images from {} on", these.start))?;
            Ok((round, session.plain_scores(&batch)?))
        });
        let (round, plain) = done?;
        let share = |ms: f64| ms / these.len() as f64;
        let server_ms = share(round.times.expand + round.times.latency);
        let answers = answers(round.classifications, these.len())?;
        let entry = |(image, (answer, plain)): (usize, (Option<Classification>, Vec<f64>))| {
            let class = self.images.label(image).expect("one of the images");
            let classes = [class, session.model.class(&plain)];
            Ok(Entry { server_ms, ms: share(ms), ..Entry::new(image, classes, answer.as_ref(), &plain) })
        };
        these.clone().zip(answers.into_iter().zip(plain)).map(entry).collect()
    }
}

/// The answers to so many images; none where the client refused the reply for its scores.
fn answers(
    classified: Result<Vec<Classification>, blindsight_client::Error>,
    images: usize,
) -> Outcome<Vec<Option<Classification>>> {
    use blindsight_client::Error::{Garbage, WrappedAround};
    match classified {
        Ok(answers) => Ok(answers.into_iter().map(Some).collect()),
        // The keys are right, so what makes no sense has overflowed.
        Err(WrappedAround { .. } | Garbage { .. }) => Ok(vec![None; images]),
        Err(error) => Err(error.into()),
    }
}

impl Entry {
    /// What came out for an image, without the time that it took; its true class and that in the clear.
    fn new(
        image: usize,
        [class, plain_class]: [usize; 2],
        answer: Option<&Classification>,
        plain: &[f64],
    ) -> Self {
        let errors = || answer.iter().flat_map(|a| a.scores.iter().zip(plain)).map(|(e, p)| (e - p).abs());
        Self {
            image,
            class,
            plain: plain_class,
            encrypted: answer.map(|answer| answer.class),
            too_close: answer.is_some_and(|answer| answer.too_close),
            max_abs_error: errors().fold(0.0, f64::max),
            mean_abs_error: errors().sum::<f64>() / plain.len().max(1) as f64,
            server_ms: 0.0,
            ms: 0.0,
        }
    }
}

impl Sums {
    fn add(&mut self, entry: &Entry) {
        self.count += 1;
        self.refused += usize::from(entry.encrypted.is_none());
        self.too_close += usize::from(entry.too_close);
        self.correct_encrypted += usize::from(entry.encrypted == Some(entry.class));
        self.correct_plain += usize::from(entry.plain == entry.class);
        self.agree += usize::from(entry.encrypted == Some(entry.plain));
        self.errors += entry.mean_abs_error;
        self.largest = self.largest.max(entry.max_abs_error);
        self.server_ms += entry.server_ms;
        self.ms += entry.ms;
    }

    fn report(self, model: String, resumed: Option<usize>) -> Report {
        Report {
            model,
            count: self.count,
            resumed,
            correct_plain: self.correct_plain,
            correct_encrypted: Some(self.correct_encrypted),
            agree: Some(self.agree),
            refused: Some(self.refused),
            too_close: Some(self.too_close),
            max_abs_error: Some(self.largest),
            mean_abs_error: Some(self.errors / (self.count - self.refused).max(1) as f64),
            predicted_error: None,
            images_per_second: per_second(self.count, self.ms),
            server_images_per_second: Some(per_second(self.count, self.server_ms)),
        }
    }
}

fn per_second(count: usize, ms: f64) -> f64 {
    if ms > 0.0 { count as f64 / ms * 1e3 } else { 0.0 }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let share = |correct: usize| part(correct, self.count);
        let mut facts = Facts::default()
            .fact("model", self.model.clone())
            .fact("right in the clear", share(self.correct_plain));
        if let Some(resumed) = self.resumed {
            facts = facts.fact("taken from the journal", share(resumed));
        }
        if let (Some(correct), Some(agree)) = (self.correct_encrypted, self.agree) {
            facts = facts.fact("right encrypted", share(correct)).fact("same label in both", share(agree));
        }
        if let (Some(too_close), Some(refused)) = (self.too_close, self.refused) {
            facts = facts
                .fact("too close to call, and told", share(too_close))
                .fact("scores out of range, told and not used", share(refused));
        }
        if let (Some(largest), Some(mean)) = (self.max_abs_error, self.mean_abs_error) {
            facts = facts
                .fact("largest error of a score", number(largest))
                .fact("mean error of a score", number(mean));
        }
        if let Some(error) = self.predicted_error {
            facts = facts.fact("predicted error of a score", format!("{} root mean square", number(error)));
        }
        facts = facts.fact("images, end to end", rate(self.images_per_second));
        if let Some(server) = self.server_images_per_second {
            facts = facts.fact("images, server alone", rate(server));
        }
        page.facts(facts);
    }
}
