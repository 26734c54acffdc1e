//! Progress on stderr: seen on a terminal, silent elsewhere.

use crate::figures;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::time::Duration;

/// How often what moves by itself does.
const TICK: Duration = Duration::from_millis(100);

/// A bar over `count` steps, with the time left; over one step, which would say nothing, a sign that it goes
/// on.
pub fn bar(what: &'static str, count: usize) -> ProgressBar {
    if count == 1 {
        return spinner(what);
    }
    let style =
        ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {done} of {all}, {rate}, {left} left");
    let style = style
        .expect("the template is well formed")
        .with_key("done", figure(|state| figures::count(state.pos())))
        .with_key("all", figure(|state| figures::count(state.len().unwrap_or(0))))
        .with_key("rate", figure(|state| figures::rate(state.per_sec())))
        .with_key("left", figure(|state| figures::milliseconds(state.eta().as_secs() as f64 * 1e3)));
    let bar = ProgressBar::new(count as u64).with_message(what);
    bar.with_style(style.progress_chars("=> "))
}

/// A figure in a bar. What a terminal cannot show is no failure.
fn figure(
    say: impl Fn(&ProgressState) -> String + Clone + Send + Sync + 'static,
) -> impl Fn(&ProgressState, &mut dyn Write) + Clone + Send + Sync + 'static {
    move |state, out| {
        let _ = out.write_str(&say(state));
    }
}

/// As [`bar`], for steps that may be far apart: it moves between them.
pub fn slow_bar(what: &'static str, count: usize) -> ProgressBar {
    let bar = bar(what, count);
    bar.enable_steady_tick(TICK);
    bar
}

/// A sign that something goes on whose steps nobody can count, with the time that it has taken.
pub fn spinner(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    let spinner = ProgressBar::new_spinner().with_message(what);
    let spinner = spinner.with_style(style.expect("the template is well formed"));
    spinner.enable_steady_tick(TICK);
    spinner
}

/// Does work under a [`spinner`].
pub fn spinning<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    let spinner = spinner(what);
    let done = work();
    spinner.finish_and_clear();
    done
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
