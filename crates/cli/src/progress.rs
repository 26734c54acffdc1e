//! Progress on stderr: seen on a terminal, silent elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `count` steps, with the time left.
pub fn bar(what: &'static str, count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}, {per_sec}, {eta} left");
    let bar = ProgressBar::new(count as u64).with_message(what);
    bar.with_style(style.expect("the template is well formed").progress_chars("=> "))
}
