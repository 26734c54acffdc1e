//! Progress on stderr: seen on a terminal, silent elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar over `count` steps, with the time left.
pub fn bar(what: &'static str, count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}, {per_sec}, {eta} left");
    let bar = ProgressBar::new(count as u64).with_message(what);
    bar.with_style(style.expect("the template is well formed").progress_chars("=> "))
}

/// A sign that something goes on whose steps nobody can count, with the time that it has taken.
pub fn spinner(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    let spinner = ProgressBar::new_spinner().with_message(what);
    let spinner = spinner.with_style(style.expect("the template is well formed"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// As [`bar`], with `done` steps behind it that say nothing of the time left.
pub fn resumed(what: &'static str, done: usize, count: usize) -> ProgressBar {
    let bar = bar(what, count).with_position(done as u64);
    // The estimate must have seen these steps before it is reset, or it takes them for the first of this run.
    bar.tick();
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_earlier_runs_do_not_shorten_the_time_left() {
        let bar = resumed("test", 9_000, 10_000);
        std::thread::sleep(Duration::from_millis(100));
        bar.inc(1);
        bar.tick();
        assert_eq!(bar.position(), 9_001);
        // One step in a tenth of a second or longer; nine thousand would be tens of thousands a second.
        assert!(bar.per_sec() > 0.0 && bar.per_sec() < 20.0, "{}", bar.per_sec());
    }
}
