//! `manual`: pages for `man`.

use crate::failure::{During, Outcome};
use crate::page::{Page, Shown};
use crate::report::{Output, emit};
use clap::CommandFactory;
use serde::Serialize;
use std::path::PathBuf;

/// Writes pages for `man`, one for each command
///
/// They say what `--help` says.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight manual ~/.local/share/man/man1
  man blindsight-explain")]
pub struct Manual {
    /// The folder for the pages; made where it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    folder: PathBuf,
    pages: Vec<String>,
}

impl Manual {
    pub fn run(&self, output: Output) -> Outcome {
        let during = || format!("cannot write pages to {}", self.folder.display());
        std::fs::create_dir_all(&self.folder).during(during)?;
        clap_mangen::generate_to(crate::Arguments::command(), &self.folder).during(during)?;
        let entries = std::fs::read_dir(&self.folder).during(during)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut pages: Vec<_> =
            names.filter(|name| name.starts_with("blindsight") && name.ends_with(".1")).collect();
        pages.sort();
        emit(&Report { folder: self.folder.clone(), pages }, output)
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let folder = self.folder.display();
        page.say(format!("{} pages in {folder}; the first is blindsight(1)", self.pages.len()));
    }
}
