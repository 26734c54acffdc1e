//! How often each token was used, and whether it may be used once more.
//!
//! Counts live in memory and in `usage.json`, beside the tokens, where the command line reads them. The file
//! is not written at every request: it says how many inferences were used *and up to how many may be before
//! it is written again*, and no count goes beyond that before the file says so. So a crash loses no use:
//! after one, all that was set aside counts as used, just now. What is set aside is one inference of small
//! bounds and 64 of large ones, and a token that rests for some seconds has none.
//!
//! Where several services [share](Counts) their tokens, each use of a bounded token is counted there at once.

mod counter;
mod shared;

pub use counter::Counter;
pub use shared::Counts;

use crate::document::{Document, InFolder};
use crate::lock::lock;
use crate::refusal::{Outcome, Refusal};
use crate::scope::Scope;
use crate::tokens::Entry;
use crate::whole::write_whole;
use blindsight_protocol::Code;
use shared::SharedFile;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

/// The most inferences that are set aside at a time.
const MOST_SET_ASIDE: u64 = 64;

/// The counts of all tokens.
#[derive(Debug)]
pub(crate) struct Usage {
    place: Place,
    /// Of a file of its own all that it holds; otherwise what was used of tokens without bounds since the
    /// last flush.
    counters: Mutex<Counters>,
}

/// Where counts last.
#[derive(Debug)]
enum Place {
    /// A file that nobody else writes.
    Own(PathBuf),
    /// Where others count, too.
    Shared(Arc<dyn Counts>),
}

/// By the SHA-256 of the token: a new token of a client begins anew.
pub type Counters = BTreeMap<String, Counter>;

/// One inference that is counted; it is taken back when this is dropped before its work began.
pub(crate) struct Charge {
    usage: Arc<Usage>,
    token: String,
    time: u64,
    stands: bool,
    /// Where it was counted, if not in memory.
    shared: Option<Arc<dyn Counts>>,
}

impl Charge {
    /// Its work begins: from now on it counts, whatever becomes of the connection.
    pub fn begin(&mut self) {
        self.stands = true;
    }

    /// Its work was not done after all.
    pub fn take_back(&mut self) {
        self.stands = false;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.stands {
            return;
        }
        let (token, time) = (std::mem::take(&mut self.token), self.time);
        let Some(shared) = self.shared.take() else {
            self.usage.lock().entry(token).and_modify(|counter| counter.take_back(time));
            return;
        };
        let take_back = move || {
            if let Err(error) = shared.change(&token, &mut |counter| counter.take_back(time)) {
                tracing::warn!(%error, "a use that did not take place stays counted");
            }
        };
        // Nobody waits for it, and least of all those who serve connections.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(take_back)),
            Err(_) => take_back(),
        }
    }
}

fn cannot_write(error: &io::Error) -> Refusal {
    tracing::error!(%error, "what is used of tokens cannot be written down");
    let detail = "the server cannot write down what is used of this token: try again later";
    Refusal::for_now(Code::Unavailable, detail)
}

impl Usage {
    /// The counts in `folder`, which exists. What was set aside when the last server crashed counts as used.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn open(folder: &Path) -> io::Result<Arc<Self>> {
        let path = path(folder);
        let mut counters = read(&path)?;
        counters.values_mut().for_each(|counter| counter.settle_after_crash(milliseconds()));
        Ok(Arc::new(Self { place: Place::Own(path), counters: Mutex::new(counters) }))
    }

    /// Counts that other services share.
    pub fn shared(counts: Arc<dyn Counts>) -> Arc<Self> {
        Arc::new(Self { place: Place::Shared(counts), counters: Mutex::default() })
    }

    /// Whether counting one may wait for a disk or a network for long.
    pub fn waits(&self, token: &Entry) -> bool {
        matches!(self.place, Place::Shared(_)) && token.scope.is_bounded()
    }

    /// Counts one inference under a token, if its rate and budget have room for it.
    pub fn charge(self: &Arc<Self>, token: &Entry) -> Outcome<Charge> {
        self.charge_at(token, milliseconds())
    }

    fn charge_at(self: &Arc<Self>, token: &Entry, now: u64) -> Outcome<Charge> {
        let shared = match &self.place {
            Place::Own(path) => self.charge_here(path, token, now).map(|()| None)?,
            Place::Shared(counts) if token.scope.is_bounded() => {
                charge_there(counts.as_ref(), token, now).map(|()| Some(counts.clone()))?
            }
            Place::Shared(_) => {
                self.lock().entry(token.sha256.clone()).or_default().add(1);
                None
            }
        };
        Ok(Charge { usage: self.clone(), token: token.sha256.clone(), time: now, stands: false, shared })
    }

    /// Counts in memory, up to what the file says that may be.
    fn charge_here(&self, path: &Path, token: &Entry, now: u64) -> Outcome<()> {
        let (key, scope) = (&token.sha256, &token.scope);
        let mut counters = self.lock();
        let counter = counters.entry(key.clone()).or_default();
        counter.check(scope, now)?;
        if scope.is_bounded() && counter.used >= counter.set_aside {
            let before = counter.set_aside;
            counter.set_aside = counter.used.saturating_add(scope.block(counter.used));
            if let Err(error) = write(path, &counters) {
                counters.entry(key.clone()).and_modify(|counter| counter.set_aside = before);
                return Err(cannot_write(&error));
            }
        }
        counters.entry(key.clone()).or_default().count(scope, now);
        Ok(())
    }

    /// Brings what lasts up to date. What is set aside for tokens that rested since the last time, or for all
    /// where the server `ends`, is free again.
    pub fn flush(&self, ends: bool) -> io::Result<()> {
        match &self.place {
            Place::Own(path) => self.flush_here(path, ends),
            Place::Shared(counts) => self.flush_there(counts.as_ref()),
        }
    }

    fn flush_here(&self, path: &Path, ends: bool) -> io::Result<()> {
        let mut counters = self.lock();
        let before = counters.clone();
        let mut changed = false;
        for counter in counters.values_mut() {
            changed |= counter.used != counter.flushed;
            if (ends || counter.used == counter.flushed) && counter.set_aside > counter.used {
                (counter.set_aside, changed) = (counter.used, true);
            }
            counter.flushed = counter.used;
        }
        let written = if changed { write(path, &counters) } else { Ok(()) };
        if written.is_err() {
            *counters = before;
        }
        written
    }

    /// Adds what was used here of tokens without bounds. Requests go on meanwhile.
    fn flush_there(&self, counts: &dyn Counts) -> io::Result<()> {
        let mut uses = std::mem::take(&mut *self.lock());
        let added = counts.add(&mut uses);
        let mut counters = self.lock();
        uses.into_iter().for_each(|(token, left)| counters.entry(token).or_default().add(left.used));
        added
    }

    /// Forgets tokens that are no more.
    pub fn retain(&self, tokens: &HashSet<String>) {
        match &self.place {
            Place::Own(_) => self.lock().retain(|token, _| tokens.contains(token)),
            Place::Shared(counts) => counts
                .retain(tokens)
                .unwrap_or_else(|error| tracing::warn!(%error, "counts of tokens that are no more stay")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        lock(&self.counters)
    }
}

/// Counts where all services do.
fn charge_there(counts: &dyn Counts, token: &Entry, now: u64) -> Outcome<()> {
    let mut charged = Ok(());
    let counted = counts.change(&token.sha256, &mut |counter| charged = counter.charge(&token.scope, now));
    counted.map_err(|error| cannot_write(&error)).and(charged)
}

impl Scope {
    /// Whether uses have to be counted before they take place.
    fn is_bounded(&self) -> bool {
        self.rate.is_some() || self.budget.is_some()
    }

    /// How many inferences to set aside at a time: few of a small bound, as a crash may cost them.
    fn block(&self, used: u64) -> u64 {
        let of_budget = self.budget.map_or(MOST_SET_ASIDE, |budget| budget.saturating_sub(used) / 16);
        let of_rate = self.rate.map_or(MOST_SET_ASIDE, |rate| rate.count() / 4);
        of_budget.min(of_rate).clamp(1, MOST_SET_ASIDE)
    }
}

/// What a server wrote down of the use of its tokens, some seconds ago where it runs.
#[derive(Debug, Clone, Default)]
pub struct Used(Counters);

impl Used {
    /// What lies in a server's folder.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        read(&path(folder)).map(Self)
    }

    /// What services that share it counted.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn shared(counts: &dyn Counts) -> io::Result<Self> {
        counts.all().map(Self)
    }

    /// Inferences under a token.
    pub fn of(&self, token: &Entry) -> u64 {
        self.0.get(&token.sha256).map_or(0, |counter| counter.used)
    }
}

/// Counts in a file of a folder that other services have, too.
pub(crate) fn in_folder(folder: &Path) -> Arc<dyn Counts> {
    Arc::new(SharedFile(InFolder(path(folder))))
}

fn path(folder: &Path) -> PathBuf {
    folder.join("usage.json")
}

fn read(path: &Path) -> io::Result<Counters> {
    InFolder(path.into()).read().and_then(|bytes| parse(bytes.as_deref())).map_err(|error| {
        let text = format!("cannot read {}: {error}", path.display());
        io::Error::new(error.kind(), text)
    })
}

/// The counts that a file holds; none where there is no file.
fn parse(bytes: Option<&[u8]>) -> io::Result<Counters> {
    Ok(bytes.map_or(Ok(Counters::new()), serde_json::from_slice)?)
}

fn write(path: &Path, counters: &Counters) -> io::Result<()> {
    write_whole(path, &serde_json::to_vec_pretty(counters)?)
}

fn milliseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("blindsight-usage-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).expect("the temporary folder can be written");
            Self(folder)
        }

        fn open(&self) -> Arc<Usage> {
            Usage::open(&self.0).expect("readable")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn token(rate: Option<&str>, budget: Option<u64>) -> Entry {
        let rate = rate.map(|rate| rate.parse().expect("a rate"));
        let scope = Scope { models: vec![], rate, budget };
        Entry { sha256: "ab".repeat(32), created: 0, expires: None, revoked: false, scope }
    }

    /// Whether one more was allowed; it stands then.
    fn used(usage: &Arc<Usage>, token: &Entry, now: u64) -> Result<(), Refusal> {
        usage.charge_at(token, now).map(|mut charge| charge.begin())
    }

    #[test]
    fn a_budget_and_a_rate_hold_over_several_services() {
        let folder = Folder::new("shared");
        for (token, bound) in [(token(None, Some(10)), 10), (token(Some("7/h"), None), 7)] {
            let token = Entry { sha256: format!("{bound:064}"), ..token };
            let allowed: usize = std::thread::scope(|scope| {
                let service = || {
                    let usage = Usage::shared(in_folder(&folder.0));
                    (0..10).filter(|_| used(&usage, &token, 1000).is_ok()).count()
                };
                let services: Vec<_> = (0..3).map(|_| scope.spawn(service)).collect();
                services.into_iter().map(|service| service.join().expect("no panic")).sum()
            });
            assert_eq!(allowed, bound);
            assert_eq!(Used::read(&folder.0).expect("readable").of(&token), bound as u64);
        }
        let (usage, free) = (Usage::shared(in_folder(&folder.0)), token(None, None));
        (0..3).for_each(|_| used(&usage, &free, 1000).expect("no bound"));
        usage.flush(true).expect("written");
        assert_eq!(Used::read(&folder.0).expect("readable").of(&free), 3);
        let token = token(None, Some(1));
        let token = Entry { sha256: "c".repeat(64), ..token };
        drop(usage.charge_at(&token, 1000).expect("one"));
        used(&usage, &token, 1000).expect("it was taken back");
    }

    #[test]
    fn what_was_used_survives_an_end_exactly_and_a_crash_strictly() {
        let folder = Folder::new("restart");
        let token = token(None, Some(100));
        let usage = folder.open();
        (0..10).for_each(|_| used(&usage, &token, 0).expect("room"));
        usage.flush(true).expect("written");
        assert_eq!(Used::read(&folder.0).expect("readable").of(&token), 10);
        // Without a flush, as after a crash: nothing that was used is free again, and little more is gone.
        let usage = folder.open();
        (0..10).for_each(|_| used(&usage, &token, 0).expect("room"));
        drop(usage);
        let left = (0..).take_while(|_| used(&folder.open(), &token, 0).is_ok()).count();
        assert!((40..=80).contains(&left), "{left} of at most 80 are left, each after a crash of its own");
    }

    #[test]
    fn what_never_began_is_taken_back() {
        let folder = Folder::new("back");
        let (usage, token) = (folder.open(), token(Some("1/h"), Some(1)));
        drop(usage.charge_at(&token, 0).expect("room"));
        let mut charge = usage.charge_at(&token, 0).expect("room again");
        charge.begin();
        charge.take_back();
        drop(charge);
        used(&usage, &token, 0).expect("room again");
        assert_eq!(used(&usage, &token, 0).expect_err("none").code, Code::BudgetExceeded);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_for_longer_than_a_period() {
        let folder = Folder::new("clock");
        let (usage, token) = (folder.open(), token(Some("1/min"), None));
        used(&usage, &token, 10_000_000).expect("room");
        used(&usage, &token, 1_000_000).expect_err("within a minute, as far as is known");
        used(&usage, &token, 1_060_000).expect("a minute later");
    }

    /// A file with the largest numbers: nothing wraps around, and no budget comes back.
    #[test]
    fn counts_that_are_as_large_as_can_be_stay_so() {
        let folder = Folder::new("largest");
        let token = token(Some("2/s"), Some(u64::MAX));
        let (most, key) = (u64::MAX, &token.sha256);
        let text =
            format!("{{\"{key}\":{{\"used\":{},\"set_aside\":{most},\"recent\":[{most}]}}}}", most - 1);
        fs::write(folder.0.join("usage.json"), text).expect("writable");
        let usage = folder.open();
        assert_eq!(used(&usage, &token, 5_000).expect_err("none is left").code, Code::BudgetExceeded);
        let unbounded = Entry { scope: Scope { budget: None, ..token.scope.clone() }, ..token.clone() };
        assert_eq!(used(&usage, &unbounded, 9_000_000).expect_err("just now").code, Code::RateExceeded);
        used(&usage, &unbounded, 9_002_000).expect("two seconds later");
        assert_eq!(Used::read(&folder.0).expect("readable").of(&token), most);
    }

    #[test]
    fn tokens_that_cannot_be_counted_are_refused_and_others_served() {
        let folder = Folder::new("unwritable");
        let usage = folder.open();
        fs::remove_dir_all(&folder.0).expect("there");
        assert_eq!(used(&usage, &token(None, Some(9)), 0).expect_err("strict").code, Code::Unavailable);
        used(&usage, &token(None, None), 0).expect("nothing to bound");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..Default::default() })]

        /// Against the definition: no period of the rate's length has more than its count, and one is refused
        /// only where the period before it is full.
        #[test]
        fn no_period_has_more_than_the_rate_allows(
            steps in prop::collection::vec(0u64..400, 1..120),
            count in 1u32..6,
        ) {
            let folder = Folder::new(&format!("rate-{count}-{}", steps.len()));
            let (usage, token) = (folder.open(), token(Some(&format!("{count}/s")), None));
            let (mut now, mut allowed) = (5_000, Vec::<u64>::new());
            for step in steps {
                now += step;
                let in_period = allowed.iter().filter(|time| **time + 1000 > now).count();
                let passed = used(&usage, &token, now).is_ok();
                prop_assert_eq!(passed, in_period < count as usize);
                if passed {
                    allowed.push(now);
                }
            }
        }
    }
}
