//! `demo`: the whole of it in one command.

use super::classify;
use crate::arguments::PlanFlags;
use crate::failure::Outcome;
use crate::figures::{bytes, milliseconds, number};
use crate::machine;
use crate::page::{Page, Shown};
use crate::preview::half_blocks;
use crate::progress;
use crate::report::{Output, emit};
use crate::session::{Session, Setup, Times, timed};
use crate::shipped;
use crate::table::Table;
use crate::threads::on_threads;
use blindsight_network::Image;
use serde::Serialize;

/// Classifies a shipped digit, encrypted: keys, encryption, inference, decryption, with figures
///
/// Needs no file. The digits are drawn for the project and part of the binary, as is the network (trained on
/// MNIST).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight demo
  blindsight demo --digit 7
  blindsight demo --json")]
pub struct Demo {
    /// Which of the ten drawn digits to classify
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=9))]
    digit: u8,
}

/// The model of the demonstration.
const MODEL: &str = "cryptonets-mnist";

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    classification: classify::Report,
    digit: u8,
    encrypt_ms: f64,
    decrypt_ms: f64,
    #[serde(flatten)]
    setup: Setup,
    server_bytes: usize,
    total_ms: f64,
    peak_rss_bytes: Option<u64>,
    #[serde(skip)]
    told: Told,
}

/// What only the text tells.
#[derive(Debug)]
struct Told {
    picture: Image,
    times: Times,
    inputs: usize,
    keys: usize,
    hops: u64,
    key_switches: u64,
    security_bits: u32,
}

impl Demo {
    pub fn run(&self, output: Output) -> Outcome {
        let (report, total_ms) = timed(|| self.report());
        emit(&Report { total_ms, ..report? }, output)
    }

    fn report(&self) -> Outcome<Report> {
        let model = shipped::model(MODEL)?;
        let picture = shipped::digit(self.digit.into(), &model)?;
        let session = on_threads(machine::cores(), || Session::open(model, &PlanFlags::default()))?;
        let inputs = [session.model.input(&picture)?];
        let round = progress::spinning("running the network on ciphertexts", || session.classify(&inputs))?;
        let plain = session.plain_scores(&inputs)?;
        let (times, explained) = (round.times, session.explain()?);
        let public = &session.plan.public;
        let told = Told {
            picture,
            times,
            inputs: public.input.ciphertexts(),
            keys: public.keys.iter().count(),
            hops: explained.totals.hops,
            key_switches: explained.totals.key_switches,
            security_bits: explained.security_bits,
        };
        Ok(Report {
            digit: self.digit,
            encrypt_ms: times.encrypt,
            decrypt_ms: times.decrypt,
            setup: session.setup.clone(),
            server_bytes: session.server_bytes(),
            total_ms: 0.0,
            peak_rss_bytes: machine::peak_memory(),
            classification: classify::Report::new(&session, round, plain, false)?,
            told,
        })
    }
}

impl Report {
    fn steps(&self) -> Table {
        let (told, classified) = (&self.told, &self.classification);
        let key_bytes = bytes(self.setup.evaluation_key_bytes);
        let rows = [
            (
                "client",
                format!("draws a secret key and {} evaluation keys", told.keys),
                Some(self.setup.keygen_ms),
                key_bytes,
            ),
            (
                "client",
                format!("encrypts the picture into {} ciphertexts", told.inputs),
                Some(told.times.encrypt),
                bytes(classified.upload_bytes.unwrap_or(0)),
            ),
            (
                "server",
                format!(
                    "runs the network on them: {} operations, {} key-switches",
                    told.hops, told.key_switches
                ),
                Some(told.times.latency),
                String::new(),
            ),
            ("server", "sends the reply, still encrypted".into(), None, bytes(classified.download_bytes)),
            ("client", "decrypts ten scores".into(), Some(told.times.decrypt), String::new()),
        ];
        let mut table = Table::new(["who", "does", "time", "sends"]).texts(2);
        for (who, does, time, sends) in rows {
            table.row([who.to_string(), does, time.map_or(String::new(), milliseconds), sends]);
        }
        table
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let (told, classified) = (&self.told, &self.classification);
        page.title("The picture, which only the client sees:");
        page.gap();
        page.picture(&half_blocks(&told.picture));
        page.gap();
        page.table(&self.steps());
        page.gap();
        match classified.too_close() {
            None => page.good(format!("Decrypted: it is a {}.", classified.name)),
            Some(too_close) => page.bad(format!("Decrypted: {too_close}.")),
        }
        page.say(ranking(classified));
        if let Some(error) = classified.max_abs_error {
            page.say(format!("Computed in the clear, no score differs by more than {}.", number(error)));
        }
        page.say(format!(
            "The server saw {} ciphertexts, evaluation keys and its own weights ({} encoded). It holds no secret key: neither the \
             picture nor the scores can be read there ({}-bit security).",
            told.inputs,
            bytes(self.server_bytes as u64),
            told.security_bits
        ));
        let memory =
            self.peak_rss_bytes.map_or(String::new(), |m| format!(", at most {} of memory", bytes(m)));
        page.say(format!("All of it took {}{memory}.", milliseconds(self.total_ms)));
    }
}

/// The best scores, and how far apart the first two are.
fn ranking(classified: &classify::Report) -> String {
    let said = classified.top.iter().map(|best| format!("{}: {}", best.name, classified.figure(best.score)));
    let (said, error) = (said.collect::<Vec<_>>().join(", "), classified.predicted_error);
    let margin = classified.margin.map_or(String::new(), |margin| {
        format!(
            " The margin is {}, the predicted error of a score {}.",
            classified.figure(margin),
            number(error)
        )
    });
    format!("The best scores are {said}.{margin}")
}
