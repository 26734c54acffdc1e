//! The server's processes: they know the model, the evaluation keys and the requests, and no secret.

use crate::instance::{Instance, create, open};
use crate::{During, Outcome, Size, Submission, memory};
use blindsight_ckks::wire::Frames;
use blindsight_server::{ClientKeys, PreparedModel};
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

/// From so many bytes of requests on, answering them may take seconds.
const LONG_WORK: u64 = 16 << 20;

/// Checks that the model and its plan are there and fit each other. Nothing is kept: who computes encodes the
/// weights in less time than it takes to read them.
///
/// # Errors
/// Where they do not.
pub fn preprocess_model(submission: &Submission) -> Outcome {
    Ok(PreparedModel::for_one_request(&submission.model()?, &submission.plan()?, 0).map(drop)?)
}

/// Answers the requests, one after the other.
///
/// # Errors
/// For keys and requests that are not of this plan.
pub fn encrypted_compute(instance: &Instance, submission: &Submission) -> Outcome {
    if fs::metadata(instance.requests()).is_ok_and(|file| file.len() > LONG_WORK) {
        memory::for_long_work(submission.request_bytes()?);
    }
    let mut steps = Steps::default();
    let server = steps.time("Preparing the model", || prepare(instance, submission))?;
    let keys = steps.time("Reading the keys", || read_keys(instance, &server))?;
    let requests = instance.requests();
    let mut frames = Frames::new(open(&requests)?, server.request_bytes());
    let mut replies = create(&instance.replies())?;
    while let Some(request) = frames.next()? {
        let parsed = steps.time("Reading requests", || server.read_request(&keys, &request));
        let parsed = parsed.during(|| requests.display().to_string())?;
        drop(request);
        let answer = steps.time("Computing", || server.compute(&keys, parsed))?;
        replies.write_all(&server.write_reply(&answer))?;
    }
    replies.flush()?;
    steps.write(instance)
}

fn prepare(instance: &Instance, submission: &Submission) -> Outcome<PreparedModel> {
    let (model, plan) = (submission.model()?, submission.plan()?);
    Ok(match instance.size() {
        Size::Single => PreparedModel::for_one_request(&model, &plan, 0)?,
        _ => PreparedModel::new(&model, &plan)?,
    })
}

fn read_keys(instance: &Instance, server: &PreparedModel) -> Outcome<ClientKeys> {
    let path = instance.evaluation_keys();
    server.read_keys(open(&path)?).during(|| path.display().to_string())
}

/// How long each step took, by name.
#[derive(Debug, Default)]
struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// Does a step; what a step of the same name takes is added up.
    fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, taken)) => *taken += start.elapsed(),
            None => self.0.push((name, start.elapsed())),
        }
        done
    }

    /// Writes them as the harness reads them: an object of names and seconds.
    fn write(&self, instance: &Instance) -> Outcome {
        let seconds = self.0.iter().map(|(name, taken)| ((*name).to_string(), taken.as_secs_f64().into()));
        let document = serde_json::Value::Object(seconds.collect());
        let mut file = create(&instance.reported_steps())?;
        Ok(writeln!(file, "{document}").and_then(|()| file.flush())?)
    }
}
