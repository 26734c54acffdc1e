//! Whose turn it is to compute.

use crate::lock::lock;
use crate::tokens::ClientName;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a thread does for a client.
pub type Job = Box<dyn FnOnce() + Send>;

/// Jobs that wait for a thread; clients take turns.
pub struct Turns {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    waiting: Waitlist<Job>,
    company: Company,
}

/// Who waits, by client, and whose turn it is.
pub struct Waitlist<J> {
    /// The jobs of each client that has any.
    jobs: HashMap<ClientName, Line<J>>,
    /// The turn in which each client last had a job begun: a number for each client that was here.
    served: HashMap<ClientName, u64>,
    /// How many jobs came, and how many turns there were.
    came: u64,
    turns: u64,
    /// Whether no more jobs come.
    closed: bool,
}

impl<J> Default for Waitlist<J> {
    fn default() -> Self {
        Self { jobs: HashMap::new(), served: HashMap::new(), came: 0, turns: 0, closed: false }
    }
}

/// The jobs of one client, first come, first served.
struct Line<J> {
    jobs: VecDeque<J>,
    /// When the client began to wait.
    since: u64,
}

/// Who computes, and who had a thread a moment ago.
///
/// A client that asks one thing after the other comes back within milliseconds. Had the second request of a
/// client with many taken the last thread by then, it would wait for a whole computation each time. So such a
/// request waits a moment: no longer than the other's last computation took, which bounds what is lost, and
/// never longer than [`MOMENT`]. (Disk schedulers wait for the next read of a reader in the same way:
/// anticipatory scheduling, Iyer and Druschel, SOSP 2001.)
struct Company {
    threads: usize,
    computing: HashMap<ClientName, usize>,
    /// Until when each client that had an answer lately is waited for.
    expected: HashMap<ClientName, Instant>,
}

/// The longest that a thread is kept for a client that may come back.
const MOMENT: Duration = Duration::from_millis(10);

impl Company {
    fn new(threads: usize) -> Self {
        Self { threads, computing: HashMap::new(), expected: HashMap::new() }
    }

    /// A client has a thread.
    fn begin(&mut self, client: &ClientName) {
        self.expected.remove(client);
        *self.computing.entry(client.clone()).or_default() += 1;
    }

    /// It gives the thread back, after so long.
    fn end(&mut self, client: &ClientName, took: Duration, now: Instant) {
        if let Some(held) = self.computing.get_mut(client) {
            *held -= 1;
            if *held == 0 {
                self.computing.remove(client);
                self.expected.insert(client.clone(), now + took.min(MOMENT));
            }
        }
        self.expected.retain(|_, until| *until > now);
    }

    /// How long the last thread is kept from a client that has others.
    fn keeps_from(&self, client: &ClientName, now: Instant) -> Option<Duration> {
        let taken: usize = self.computing.values().sum();
        if taken + 1 < self.threads || !self.computing.contains_key(client) {
            return None;
        }
        let until = self.expected.values().max()?;
        until.checked_duration_since(now).filter(|rest| !rest.is_zero())
    }
}

impl Turns {
    pub fn new(threads: usize) -> Self {
        let state = State { waiting: Waitlist::default(), company: Company::new(threads) };
        Self { state: Mutex::new(state), more: Condvar::new() }
    }

    pub fn add(&self, client: &ClientName, job: Job) {
        lock(&self.state).waiting.add(client, job);
        self.more.notify_one();
    }

    /// Does jobs as long as any come.
    pub fn work_off(&self) {
        while let Some((client, job)) = self.next() {
            let start = Instant::now();
            job();
            let end = Instant::now();
            lock(&self.state).company.end(&client, end - start, end);
        }
    }

    /// The next job and whose it is, when there is one; none where no more come.
    fn next(&self) -> Option<(ClientName, Job)> {
        let mut state = lock(&self.state);
        loop {
            let State { waiting, company } = &mut *state;
            let first = waiting.first().cloned();
            let kept = first.as_ref().and_then(|client| company.keeps_from(client, Instant::now()));
            state = match (first, kept) {
                (Some(client), None) => {
                    company.begin(&client);
                    return waiting.take(&client).map(|job| (client, job));
                }
                (Some(_), Some(rest)) => {
                    self.more.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
                }
                (None, _) if waiting.closed => return None,
                (None, _) => self.more.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    pub fn close(&self) {
        lock(&self.state).waiting.closed = true;
        self.more.notify_all();
    }
}

impl<J> Waitlist<J> {
    pub fn add(&mut self, client: &ClientName, job: J) {
        self.came += 1;
        let since = self.came;
        let line = self.jobs.entry(client.clone()).or_insert_with(|| Line { jobs: VecDeque::new(), since });
        line.jobs.push_back(job);
    }

    /// The client whose turn it is: the one that was served longest ago, or never; of several, the one that
    /// waits longest. There are no more clients here than places, so looking at each is quick.
    pub fn first(&self) -> Option<&ClientName> {
        let turn = |client: &ClientName| self.served.get(client).copied().unwrap_or(0);
        let first = self.jobs.iter().min_by_key(|(client, line)| (turn(client), line.since));
        first.map(|(client, _)| client)
    }

    /// How many jobs wait.
    pub fn count(&self) -> usize {
        self.jobs.values().map(|line| line.jobs.len()).sum()
    }

    /// A client's first job: it has had its turn.
    pub fn take(&mut self, client: &ClientName) -> Option<J> {
        let line = self.jobs.get_mut(client)?;
        let job = line.jobs.pop_front();
        if line.jobs.is_empty() {
            self.jobs.remove(client);
        }
        self.turns += 1;
        self.served.insert(client.clone(), self.turns);
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn name(name: &str) -> ClientName {
        name.parse().expect("a name")
    }

    /// The last thread is kept for who was just answered, from who has others, for as long as the answer
    /// took.
    #[test]
    fn the_last_thread_is_kept_for_a_moment() {
        let (many, other, hour) = (name("many"), name("other"), Duration::from_secs(3600));
        let (now, mut company) = (Instant::now(), Company::new(2));
        company.begin(&many);
        assert_eq!(company.keeps_from(&many, now), None, "nobody else was here");
        company.begin(&other);
        company.end(&other, MOMENT / 2, now);
        assert_eq!(company.keeps_from(&many, now), Some(MOMENT / 2));
        assert_eq!(company.keeps_from(&many, now + MOMENT / 2), None, "no longer than the answer took");
        assert_eq!(company.keeps_from(&other, now), None, "it is kept for that one");
        assert_eq!(company.keeps_from(&name("new"), now), None, "who has no thread gets one");
        company.begin(&other);
        company.end(&other, hour, now);
        assert_eq!(company.keeps_from(&many, now), Some(MOMENT), "and no longer than a moment");
        company.end(&many, hour, now);
        assert_eq!(company.keeps_from(&many, now), None, "both threads are free");
    }

    /// What is kept is given in the end, though nobody comes.
    #[test]
    fn a_thread_that_was_kept_in_vain_goes_on() {
        let turns = Turns::new(2);
        let (many, other) = (name("many"), name("other"));
        {
            let company = &mut lock(&turns.state).company;
            company.begin(&many);
            company.begin(&other);
            company.end(&other, Duration::from_secs(3600), Instant::now());
        }
        turns.add(&many, Box::new(|| ()));
        assert_eq!(turns.next().map(|(client, _)| client), Some(many));
    }

    /// Jobs of so many clients, all waiting from the start, and the time that they take on one thread.
    fn work_off(clients: usize, jobs: usize) -> Duration {
        let turns = Turns::new(1);
        let names: Vec<ClientName> = (0..clients).map(|n| name(&format!("client-{n}"))).collect();
        let done: Arc<AtomicUsize> = Arc::default();
        for n in 0..jobs {
            let done = done.clone();
            let job = move || {
                done.fetch_add(1, Ordering::Relaxed);
            };
            turns.add(&names[n % clients], Box::new(job));
        }
        turns.close();
        let start = Instant::now();
        turns.work_off();
        let took = start.elapsed();
        assert_eq!(done.load(Ordering::Relaxed), jobs);
        took
    }

    /// One client's jobs are a plain line, first come, first served. Choosing among as many clients as there
    /// are places takes a few microseconds more, where a request takes milliseconds.
    #[test]
    fn choosing_whose_turn_it_is_costs_next_to_nothing() {
        let fastest = |clients| (0..5).map(|_| work_off(clients, 960)).min().expect("five");
        let more = fastest(96).saturating_sub(fastest(1)) / 960;
        println!("{more:?} a job");
        assert!(more < Duration::from_micros(70), "{more:?} a job: more than 1 % of 7 ms");
    }
}
