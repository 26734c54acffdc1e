//! What was done for a request, and how long it took.

use std::time::{Duration, Instant};

/// Steps in the order in which they were done, each with its time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timing(Vec<(&'static str, Duration)>);

/// The steps that there are: names come from here, also where times were sent from another machine.
const STEPS: [&str; 7] = ["read", "store", "queue", "keys", "expand", "compute", "reply"];

impl Timing {
    /// Does something, and adds it as a step.
    pub fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.push((name, start.elapsed()));
        done
    }

    /// Adds a step that was done.
    pub fn add(&mut self, name: &'static str, time: Duration) {
        self.0.push((name, time));
    }

    /// These steps, then those of `rest`.
    pub fn then(mut self, rest: Self) -> Self {
        self.0.extend(rest.0);
        self
    }

    /// How long a step took, if it was done.
    pub fn of(&self, name: &str) -> Option<Duration> {
        self.0.iter().find(|(step, _)| *step == name).map(|(_, time)| *time)
    }

    /// How long all of them took.
    pub fn total(&self) -> Duration {
        self.0.iter().map(|(_, time)| *time).sum()
    }

    /// Numbers of steps and microseconds, to be sent to another machine.
    pub fn to_numbers(&self) -> Vec<(u8, u32)> {
        let number = |name: &str| STEPS.iter().position(|step| *step == name);
        let micros = |time: &Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.0.iter().filter_map(|(name, time)| Some((number(name)? as u8, micros(time)))).collect()
    }

    /// What was sent; steps that are not known here are left out.
    pub fn from_numbers(numbers: &[(u8, u32)]) -> Self {
        let step = |(number, micros): &(u8, u32)| {
            Some((*STEPS.get(usize::from(*number))?, Duration::from_micros(u64::from(*micros))))
        };
        Self(numbers.iter().filter_map(step).collect())
    }

    /// The header `Server-Timing`.
    pub(crate) fn header(&self) -> String {
        let step = |(name, time): &(&str, Duration)| format!("{name};dur={:.3}", time.as_secs_f64() * 1e3);
        self.0.iter().map(step).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_back_and_unknown_ones_left_out() {
        let mut timing = Timing::default();
        timing.add("keys", Duration::from_micros(7));
        timing.add("compute", Duration::from_micros(1500));
        let mut numbers = timing.to_numbers();
        assert_eq!(Timing::from_numbers(&numbers), timing);
        numbers.push((200, 1));
        assert_eq!(Timing::from_numbers(&numbers), timing);
        assert_eq!(timing.header(), "keys;dur=0.007, compute;dur=1.500");
    }
}
