//! What is known of one token's use, and whether it allows one more.

use super::MOST_SET_ASIDE;
use crate::refusal::{Outcome, Refusal};
use crate::scope::{Rate, Scope};
use blindsight_protocol::{Allowance, Code};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What is known of a token's use. It is kept as JSON, wherever that is; nobody but the service reads it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    /// Inferences.
    pub(super) used: u64,
    /// So many may be used before the file is written again.
    pub(super) set_aside: u64,
    /// When those of the last period of the rate were: milliseconds since 1970, rising.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(super) recent: VecDeque<u64>,
    /// How many there were when the file was last brought up to date.
    #[serde(skip)]
    pub(super) flushed: u64,
}

impl Counter {
    /// Refuses one more than the scope allows.
    pub(super) fn check(&mut self, scope: &Scope, now: u64) -> Outcome<()> {
        if let Some(budget) = scope.budget.filter(|budget| self.used >= *budget) {
            let allowance = Allowance { limit: budget, period: None, remaining: 0, retry_after: None };
            let detail = format!(
                "all {budget} inferences of this token's budget are used: ask whoever runs the server for a \
                 new token"
            );
            return Err(Refusal::exhausted(Code::BudgetExceeded, detail, allowance));
        }
        let Some(rate) = scope.rate else { return Ok(()) };
        self.forget(rate, now);
        let surplus = self.recent.len().checked_sub(rate.count() as usize);
        let Some(wait) =
            surplus.map(|index| self.recent[index].saturating_add(1000 * rate.seconds()).saturating_sub(now))
        else {
            return Ok(());
        };
        let seconds = wait.div_ceil(1000).max(1);
        let (limit, period) = (rate.count(), Some(rate.seconds()));
        let allowance = Allowance { limit, period, remaining: 0, retry_after: Some(seconds) };
        let detail = format!(
            "this token's rate of {rate} is used up: ask again after {seconds} s, or ask whoever runs the \
             server for a higher rate"
        );
        Err(Refusal::exhausted(Code::RateExceeded, detail, allowance))
    }

    /// Counts one more.
    pub(super) fn count(&mut self, scope: &Scope, now: u64) {
        self.used = self.used.saturating_add(1);
        self.recent.extend(scope.rate.map(|_| now));
    }

    /// Counts one more, if the scope allows it, with nothing set aside.
    pub(super) fn charge(&mut self, scope: &Scope, now: u64) -> Outcome<()> {
        self.check(scope, now)?;
        self.count(scope, now);
        self.set_aside = self.used;
        Ok(())
    }

    /// So many took place, and nothing is set aside for more.
    pub(super) fn add(&mut self, uses: u64) {
        self.used = self.used.saturating_add(uses);
        self.set_aside = self.used;
    }

    /// One that was counted at `time` did not take place.
    pub(super) fn take_back(&mut self, time: u64) {
        self.used = self.used.saturating_sub(1);
        if let Some(index) = self.recent.iter().rposition(|other| *other == time) {
            self.recent.remove(index);
        }
    }

    /// Drops what lies before the period. A clock that was set back makes nobody wait longer.
    fn forget(&mut self, rate: Rate, now: u64) {
        self.recent.iter_mut().rev().take_while(|time| **time > now).for_each(|time| *time = now);
        while self.recent.front().is_some_and(|time| time.saturating_add(1000 * rate.seconds()) <= now) {
            self.recent.pop_front();
        }
    }

    pub(super) fn settle_after_crash(&mut self, now: u64) {
        let unsure = self.set_aside.saturating_sub(self.used);
        self.recent.extend((0..unsure.min(MOST_SET_ASIDE)).map(|_| now));
        self.used = self.used.max(self.set_aside);
    }
}
