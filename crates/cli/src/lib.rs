//! The `blindsight` command: classifies images that the classifier cannot see.
//!
//! Each command is one file in `commands`: its arguments, what it does (a call or two of `client`, `server`
//! and `planner`), and the report it prints. Everything that computes lies in those libraries.
//!
//! A library, so that the Python package can carry the command, too:
//!
//! ```
//! assert_eq!(blindsight_cli::run(["blindsight", "models"]), 0);
//! assert_eq!(blindsight_cli::run(["blindsight", "no-such-command"]), 2);
//! ```

mod arguments;
mod chart;
mod commands;
mod configuration;
mod details;
mod failure;
mod figures;
mod files;
mod fleet;
mod inputs;
mod journal;
mod lines;
mod machine;
mod page;
mod passphrase;
mod plan_cache;
mod plan_file;
mod preview;
mod progress;
mod remote;
mod report;
mod scatter;
mod session;
mod shipped;
mod table;
mod threads;

use clap::Parser;
use failure::Failure;
use report::Output;
use std::ffi::OsString;

/// Classifies images it cannot see.
///
/// A client encrypts an image, a server without any secret key runs a neural network on the ciphertexts, the
/// client decrypts the scores. Start with `blindsight demo`.
#[derive(Debug, Parser)]
#[command(name = "blindsight", version, propagate_version = true, after_help = EXAMPLES, max_term_width = 80)]
struct Arguments {
    /// Print one JSON document on stdout, for scripts
    #[arg(long, global = true)]
    json: bool,
    /// All columns of tables, and lines as long as they are (otherwise they fit the terminal: COLUMNS, or its
    /// width, or 80 in a pipe)
    #[arg(long, global = true)]
    wide: bool,
    #[command(subcommand)]
    command: commands::Command,
}

const EXAMPLES: &str = "\
Examples:
  blindsight demo                                 # everything at once, no file needed
  blindsight classify cryptonets-mnist digit.png  # one image of your own
  blindsight explain cryptonets-mnist             # what the encrypted run will do, and cost
  blindsight bench cryptonets-mnist               # how fast it is on this machine

The same between two machines, over files (client, then server):
  blindsight plan cryptonets-mnist --out net.plan
  blindsight keygen --plan net.plan --secret my.secret --keys my.keys
  blindsight encrypt --plan net.plan --secret my.secret \\
    --in digit.png --out digit.enc
  blindsight infer cryptonets-mnist --plan net.plan --keys my.keys \\
    --in digit.enc --out digit.reply
  blindsight decrypt --plan net.plan --secret my.secret --in digit.reply

And over HTTPS, with a page to try it:
  blindsight serve --model cryptonets-mnist
  blindsight classify --server https://127.0.0.1:8443 digit.png

Your shell completes commands and flags: `blindsight completions --help`; pages for man: `blindsight manual --help`.

Exit status: 0 success, 1 failure (the reason is on stderr; with --json a document with \"error\" on stdout, too), \
2 wrong usage (the same).";

/// Does what these arguments, the program's name before them, say, as the command `blindsight` does it; its
/// exit status.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let Arguments { json, wide, command } = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return no_command(&error, &arguments),
    };
    match command.run(Output::new(json, wide)) {
        Ok(()) => 0,
        Err(failure) => {
            report::failed(&failure.to_string());
            if json {
                report::document(&failure.document());
            }
            failure.status()
        }
    }
}

/// Prints what was asked of the parser, help or the version, or else what is wrong with the arguments.
fn no_command(error: &clap::Error, arguments: &[OsString]) -> u8 {
    // Where that cannot be written nothing is left to tell it to.
    let _ = error.print();
    let flags = || arguments.iter().take_while(|argument| *argument != "--");
    if error.use_stderr() && flags().any(|flag| flag == "--json") {
        report::document(&Failure::unparsed(error).document());
    }
    error.exit_code() as u8
}

#[cfg(test)]
#[path = "../tests/common/examples.rs"]
mod examples;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use examples::{Example, examples};

    /// The help of a command and of all below it.
    fn helps(command: &mut clap::Command, all: &mut Vec<(String, String)>) {
        let name = command.get_bin_name().unwrap_or("blindsight").to_string();
        all.push((name, command.render_long_help().to_string()));
        command.get_subcommands_mut().for_each(|below| helps(below, all));
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        let (mut command, mut all) = (Arguments::command(), vec![]);
        command.build();
        helps(&mut command, &mut all);
        assert!(all.len() > 25, "{} helps", all.len());
        for (name, help) in all.iter().filter(|(name, _)| !name.contains(" help")) {
            let examples = examples(help);
            assert!(!examples.is_empty(), "{name} has no examples: {help}");
            for Example { line, words } in &examples {
                let parsed = Arguments::try_parse_from(words);
                assert!(parsed.is_ok(), "{name}: {line}: {}", parsed.expect_err("it is wrong"));
            }
            // clap breaks all lines but the usage.
            let lines = help.lines().filter(|line| !line.starts_with("Usage:"));
            let longest = lines.map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(longest <= 80, "{name}: a line of {longest} characters: {help}");
        }
    }
}
