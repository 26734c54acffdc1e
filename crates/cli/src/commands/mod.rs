//! The commands, one file each.

mod bench;
mod calibrate;
mod chart;
mod check;
mod classify;
mod compare;
mod decrypt;
mod demo;
mod encrypt;
mod evaluate;
mod explain;
mod fit;
mod fleet;
mod infer;
mod keygen;
mod keys;
mod models;
mod plan;
mod serve;
mod signing_key;
mod simulate;
mod token;
mod worker;

use crate::failure::Outcome;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Demo(demo::Demo),
    Models(models::Models),
    Check(check::Check),
    Explain(explain::Explain),
    Fit(fit::Fit),
    Compare(compare::Compare),
    Classify(classify::Classify),
    Evaluate(evaluate::Evaluate),
    Bench(bench::Bench),
    Plan(plan::Plan),
    Keygen(keygen::Keygen),
    Encrypt(encrypt::Encrypt),
    Infer(infer::Infer),
    Decrypt(decrypt::Decrypt),
    Calibrate(calibrate::Calibrate),
    Chart(chart::Draw),
    Serve(Box<serve::Serve>),
    Worker(worker::Work),
    Fleet(fleet::Fleet),
    SigningKey(signing_key::SigningKey),
    Token(token::Token),
    Keys(keys::Keys),
}

impl Command {
    /// Runs the command and prints its report.
    pub fn run(&self, json: bool) -> Outcome {
        match self {
            Self::Demo(command) => command.run(json),
            Self::Models(command) => command.run(json),
            Self::Check(command) => command.run(json),
            Self::Explain(command) => command.run(json),
            Self::Fit(command) => command.run(json),
            Self::Compare(command) => command.run(json),
            Self::Classify(command) => command.run(json),
            Self::Evaluate(command) => command.run(json),
            Self::Bench(command) => command.run(json),
            Self::Plan(command) => command.run(json),
            Self::Keygen(command) => command.run(json),
            Self::Encrypt(command) => command.run(json),
            Self::Infer(command) => command.run(json),
            Self::Decrypt(command) => command.run(json),
            Self::Calibrate(command) => command.run(json),
            Self::Chart(command) => command.run(json),
            Self::Serve(command) => command.run(json),
            Self::Worker(command) => command.run(json),
            Self::Fleet(command) => command.run(json),
            Self::SigningKey(command) => command.run(json),
            Self::Token(command) => command.run(json),
            Self::Keys(command) => command.run(json),
        }
    }
}
