//! `completions`: what makes a shell complete commands, flags and values.

use crate::failure::Outcome;
use crate::page::{Page, Shown};
use crate::report::{Output, emit};
use clap::CommandFactory;
use clap_complete::{Shell, generate};
use serde::Serialize;

/// Prints the script that makes a shell complete this command's words
///
/// Put it where your shell looks for such scripts, and begin a new one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mkdir -p ~/.local/share/bash-completion/completions
  blindsight completions bash \\
    > ~/.local/share/bash-completion/completions/blindsight

  mkdir -p ~/.zfunc                                # with fpath+=(~/.zfunc) before compinit in ~/.zshrc
  blindsight completions zsh > ~/.zfunc/_blindsight

  mkdir -p ~/.config/fish/completions
  blindsight completions fish > ~/.config/fish/completions/blindsight.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Serialize)]
struct Report {
    shell: String,
    script: String,
}

impl Completions {
    pub fn run(&self, output: Output) -> Outcome {
        let mut script = vec![];
        generate(self.shell, &mut crate::Arguments::command(), "blindsight", &mut script);
        let script = String::from_utf8(script)?;
        emit(&Report { shell: self.shell.to_string(), script }, output)
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        page.picture(&self.script);
    }
}
