//! The commands, one file each.

mod bench;
mod calibrate;
mod chart;
mod check;
mod classify;
mod compare;
mod completions;
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
mod manual;
mod models;
mod plan;
mod serve;
mod signing_key;
mod simulate;
mod token;
mod worker;

use crate::failure::Outcome;
use crate::report::Output;

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
    Completions(completions::Completions),
    Manual(manual::Manual),
}

impl Command {
    /// Runs the command and prints its report.
    pub fn run(&self, output: Output) -> Outcome {
        match self {
            Self::Demo(command) => command.run(output),
            Self::Models(command) => command.run(output),
            Self::Check(command) => command.run(output),
            Self::Explain(command) => command.run(output),
            Self::Fit(command) => command.run(output),
            Self::Compare(command) => command.run(output),
            Self::Classify(command) => command.run(output),
            Self::Evaluate(command) => command.run(output),
            Self::Bench(command) => command.run(output),
            Self::Plan(command) => command.run(output),
            Self::Keygen(command) => command.run(output),
            Self::Encrypt(command) => command.run(output),
            Self::Infer(command) => command.run(output),
            Self::Decrypt(command) => command.run(output),
            Self::Calibrate(command) => command.run(output),
            Self::Chart(command) => command.run(output),
            Self::Serve(command) => command.run(output),
            Self::Worker(command) => command.run(output),
            Self::Fleet(command) => command.run(output),
            Self::SigningKey(command) => command.run(output),
            Self::Token(command) => command.run(output),
            Self::Keys(command) => command.run(output),
            Self::Completions(command) => command.run(output),
            Self::Manual(command) => command.run(output),
        }
    }
}
