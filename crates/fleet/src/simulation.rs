//! A day of a large fleet, simulated: what shards, memory and failures do to latency, traffic and cost.
//!
//! Events in the order of their times: sessions of clients begin and ask for images one after the other, jobs
//! end, workers fail and come back. A client's keys are read and expanded where a worker does not have them
//! in memory, and those used longest ago go. With shards a job goes to the worker at home for its client, and
//! to an idle one that looks around where that one is busy; without, to any idle worker.

use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Microseconds of a day.
const DAY: u64 = 86_400_000_000;
/// Looks of an idle worker at shards of others, per second.
const LOOKS: f64 = 128.0;
/// From a worker's death to its jobs' redelivery: see [`ACK_WAIT`](crate::bus::ACK_WAIT).
const REDELIVERY: u64 = 3_000_000;
/// From a worker's death to its successor.
const REPLACEMENT: u64 = 30_000_000;

/// A fleet, and what is asked of it.
#[derive(Debug, Clone, Serialize)]
pub struct Scenario {
    /// Machines.
    pub workers: usize,
    /// Inferences at once on each.
    pub threads: usize,
    /// Clients that ask at some time.
    pub clients: u32,
    /// Images in the day.
    pub images: u64,
    /// The busiest hour's rate over the day's mean.
    pub peak: f64,
    /// Images of a session, on average.
    pub session: f64,
    /// Seconds between two images of a session.
    pub pause: f64,
    /// Milliseconds of one inference.
    pub service_ms: f64,
    /// Milliseconds to expand a client's keys.
    pub expand_ms: f64,
    /// Bytes of a client's keys in the store.
    pub key_bytes: f64,
    /// Bytes of them in a worker's memory.
    pub expanded_bytes: f64,
    /// Bytes of a worker's memory for keys.
    pub memory: f64,
    /// Bytes of a request.
    pub request_bytes: f64,
    /// Bytes a second that a worker reads from the store.
    pub store_rate: f64,
    /// Milliseconds until the store begins to answer.
    pub store_ms: f64,
    /// Shards of clients for each worker; none where jobs go to any worker.
    pub shards: Option<usize>,
    /// Milliseconds that idle workers leave a job to the one at home.
    pub courtesy_ms: f64,
    /// Failures of each worker in a day.
    pub failures: f64,
    /// What a worker's hour costs.
    pub hour: f64,
}

/// What became of a day.
#[derive(Debug, Clone, Serialize)]
pub struct Day {
    /// Images answered.
    pub images: u64,
    /// Jobs that a dead worker had begun.
    pub redelivered: u64,
    /// Milliseconds within which half of the images, 99 of 100 and 999 of 1000 were answered.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1000.
    pub p999_ms: f64,
    /// Images whose client's keys were in memory, of 1.
    pub key_hits: f64,
    /// Time of all threads that was used, of 1.
    pub busy: f64,
    /// Bytes read from the store.
    pub store_bytes: f64,
    /// The most bytes read from the store in a second, over an hour.
    pub store_peak_rate: f64,
    /// Bytes of requests over the network.
    pub network_bytes: f64,
    /// What a million images cost in workers' hours.
    pub cost_per_million: f64,
    /// The same three latencies, hour by hour.
    pub hours: Vec<[f64; 3]>,
}

impl Default for Scenario {
    /// A thousand machines of four threads and a million clients of a network of CIFAR-10's size.
    fn default() -> Self {
        Self {
            workers: 1000,
            threads: 4,
            clients: 1_000_000,
            images: 120_000_000,
            peak: 1.8,
            session: 10.0,
            pause: 6.0,
            service_ms: 985.0,
            expand_ms: 400.0,
            key_bytes: 93e6,
            expanded_bytes: 215e6,
            memory: 16e9,
            request_bytes: 27.5e6,
            store_rate: 250e6,
            store_ms: 20.0,
            shards: Some(4),
            courtesy_ms: 800.0,
            failures: 1.0,
            hour: 0.16,
        }
    }
}

/// Runs a day.
pub fn simulate(scenario: &Scenario) -> Day {
    let mut run = Run::new(scenario);
    run.begin();
    while let Some(Reverse((time, _, event))) = run.events.pop() {
        run.now = time;
        run.happen(event);
    }
    run.day()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The next session begins.
    Session,
    /// A client asks, with so many images to follow.
    Ask {
        client: u32,
        follow: u32,
    },
    /// A worker is done with a job; `life` is the worker's at its beginning.
    Done {
        worker: u32,
        life: u32,
        job: u32,
    },
    /// An idle worker may find a job in another's shard.
    Help {
        job: u32,
        of: u64,
    },
    /// A job of a dead worker is delivered again.
    Again {
        job: u32,
    },
    Fail {
        worker: u32,
    },
    Back {
        worker: u32,
    },
}

/// A job, in a slot that is used again: `number` tells which one it is now.
#[derive(Debug, Clone, Copy, Default)]
struct Job {
    number: u64,
    client: u32,
    follow: u32,
    asked: u64,
    waits: bool,
}

#[derive(Debug, Default)]
struct Machine {
    /// How often it was started; jobs of a life before are no longer its own.
    life: u32,
    down: bool,
    free: usize,
    /// Clients whose keys are in memory, used last at the end.
    keys: VecDeque<u32>,
    line: VecDeque<(u32, u64)>,
    running: Vec<u32>,
}

struct Run<'a> {
    scenario: &'a Scenario,
    random: Random,
    now: u64,
    count: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    jobs: Vec<Job>,
    unused: Vec<u32>,
    machines: Vec<Machine>,
    idle: Idle,
    line: VecDeque<(u32, u64)>,
    hours: Vec<Latencies>,
    misses: [u64; 24],
    redelivered: u64,
    busy: u64,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let machine = |_| Machine { free: scenario.threads, ..Machine::default() };
        Self {
            scenario,
            random: Random(7),
            now: 0,
            count: 0,
            events: BinaryHeap::new(),
            jobs: vec![],
            unused: vec![],
            machines: (0..scenario.workers).map(machine).collect(),
            idle: Idle::all(scenario.workers),
            line: VecDeque::new(),
            hours: (0..24).map(|_| Latencies::new()).collect(),
            misses: [0; 24],
            redelivered: 0,
            busy: 0,
        }
    }

    fn begin(&mut self) {
        self.at(0, Event::Session);
        for worker in 0..self.scenario.workers as u32 {
            self.fail_later(worker);
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((time, self.count, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Session => self.session(),
            Event::Ask { client, follow } => self.ask(client, follow),
            Event::Done { worker, life, job } => self.done(worker, life, job),
            Event::Help { job, of } => self.help(job, of),
            Event::Again { job } => self.place(job),
            Event::Fail { worker } => self.fail(worker),
            Event::Back { worker } => self.back(worker),
        }
    }

    /// A client begins to ask; when the next one does depends on the time of the day.
    fn session(&mut self) {
        let client = self.random.below(u64::from(self.scenario.clients)) as u32;
        let follow = self.random.exponential(self.scenario.session - 1.0).round() as u32;
        self.ask(client, follow);
        let mean = self.scenario.images as f64 / self.scenario.session / DAY as f64;
        let phase = (self.now as f64 / DAY as f64 - 0.25) * std::f64::consts::TAU;
        let rate = mean * (1.0 + (self.scenario.peak - 1.0) * phase.sin());
        let next = self.now + self.random.exponential(1.0 / rate.max(mean * 0.01)) as u64;
        if next < DAY {
            self.at(next, Event::Session);
        }
    }

    fn ask(&mut self, client: u32, follow: u32) {
        let slot = self.unused.pop().unwrap_or_else(|| {
            self.jobs.push(Job::default());
            self.jobs.len() as u32 - 1
        });
        self.count += 1;
        self.jobs[slot as usize] = Job { number: self.count, client, follow, asked: self.now, waits: true };
        self.place(slot);
    }

    /// A job goes where it is to be computed, or waits.
    fn place(&mut self, slot: u32) {
        self.jobs[slot as usize].waits = true;
        let job = self.jobs[slot as usize];
        let Some(shards) = self.scenario.shards else {
            match self.idle.any(&mut self.random) {
                Some(worker) => self.start(worker, slot),
                None => self.line.push_back((slot, job.number)),
            }
            return;
        };
        let home = self.home(job.client, shards);
        if self.machines[home as usize].free > 0 && !self.machines[home as usize].down {
            return self.start(home, slot);
        }
        self.machines[home as usize].line.push_back((slot, job.number));
        self.help_later(slot);
    }

    /// The worker at home for a client: the next that is not down.
    fn home(&self, client: u32, shards: usize) -> u32 {
        let shard = mixed(u64::from(client)) % (shards * self.scenario.workers) as u64;
        let workers = self.scenario.workers as u64;
        let candidates = (0..workers).map(|step| ((mixed(shard ^ (step << 40))) % workers) as u32);
        candidates.into_iter().find(|worker| !self.machines[*worker as usize].down).unwrap_or(0)
    }

    fn help_later(&mut self, slot: u32) {
        let shards = self.scenario.shards.unwrap_or(1) * self.scenario.workers;
        let looks = LOOKS * self.idle.count().max(1) as f64;
        let wait = self.random.exponential(shards as f64 / looks * 1e6) as u64;
        let asked = self.jobs[slot as usize].asked;
        let earliest = asked + (1e3 * self.scenario.courtesy_ms) as u64;
        let time = (self.now + wait).max(earliest);
        self.at(time, Event::Help { job: slot, of: self.jobs[slot as usize].number });
    }

    fn help(&mut self, slot: u32, of: u64) {
        let job = self.jobs[slot as usize];
        if job.number != of || !job.waits {
            return;
        }
        match self.idle.any(&mut self.random) {
            Some(worker) => self.start(worker, slot),
            None => self.help_later(slot),
        }
    }

    fn start(&mut self, worker: u32, slot: u32) {
        let (scenario, client) = (self.scenario, self.jobs[slot as usize].client);
        self.jobs[slot as usize].waits = false;
        let machine = &mut self.machines[worker as usize];
        machine.free -= 1;
        machine.running.push(slot);
        let known = machine.keys.iter().rposition(|key| *key == client);
        let most = (scenario.memory / scenario.expanded_bytes).max(1.0) as usize;
        let mut time = scenario.service_ms;
        match known {
            Some(index) => drop(machine.keys.remove(index)),
            None => {
                let read = scenario.key_bytes / scenario.store_rate * 1e3;
                time += scenario.store_ms + read + scenario.expand_ms;
                self.misses[hour(self.now)] += 1;
                if machine.keys.len() >= most {
                    machine.keys.pop_front();
                }
            }
        }
        machine.keys.push_back(client);
        let life = machine.life;
        if machine.free == 0 {
            self.idle.remove(worker);
        }
        let micros = (time * 1e3) as u64;
        self.busy += micros;
        self.at(self.now + micros, Event::Done { worker, life, job: slot });
    }

    fn done(&mut self, worker: u32, life: u32, slot: u32) {
        let machine = &mut self.machines[worker as usize];
        if machine.life != life {
            return;
        }
        machine.free += 1;
        machine.running.retain(|other| *other != slot);
        let job = self.jobs[slot as usize];
        self.hours[hour(job.asked)].add(self.now - job.asked);
        self.unused.push(slot);
        if job.follow > 0 {
            let pause = (self.random.exponential(self.scenario.pause) * 1e6) as u64;
            self.at(self.now + pause, Event::Ask { client: job.client, follow: job.follow - 1 });
        }
        self.idle.insert(worker);
        self.take_next(worker);
    }

    /// A worker that has a free thread takes what waits for it.
    fn take_next(&mut self, worker: u32) {
        while self.machines[worker as usize].free > 0 {
            let own = self.machines[worker as usize].line.pop_front();
            let Some((slot, number)) = own.or_else(|| self.line.pop_front()) else { return };
            let job = self.jobs[slot as usize];
            if job.number == number && job.waits {
                self.start(worker, slot);
            }
        }
    }

    fn fail_later(&mut self, worker: u32) {
        if self.scenario.failures > 0.0 {
            let next = self.now + self.random.exponential(DAY as f64 / self.scenario.failures) as u64;
            if next < DAY {
                self.at(next, Event::Fail { worker });
            }
        }
    }

    fn fail(&mut self, worker: u32) {
        let machine = &mut self.machines[worker as usize];
        let (running, line) = (std::mem::take(&mut machine.running), std::mem::take(&mut machine.line));
        *machine = Machine { life: machine.life + 1, down: true, ..Machine::default() };
        self.idle.remove(worker);
        self.redelivered += running.len() as u64;
        running.into_iter().for_each(|job| self.at(self.now + REDELIVERY, Event::Again { job }));
        for (slot, number) in line {
            if self.jobs[slot as usize].number == number && self.jobs[slot as usize].waits {
                self.place(slot);
            }
        }
        self.at(self.now + REPLACEMENT, Event::Back { worker });
    }

    fn back(&mut self, worker: u32) {
        let machine = &mut self.machines[worker as usize];
        (machine.down, machine.free) = (false, self.scenario.threads);
        self.idle.insert(worker);
        self.take_next(worker);
        self.fail_later(worker);
    }

    fn day(&self) -> Day {
        let scenario = self.scenario;
        let mut all = Latencies::new();
        self.hours.iter().for_each(|hour| all.join(hour));
        let (images, missed) = (all.total(), self.misses.iter().sum::<u64>());
        let most = *self.misses.iter().max().expect("24 hours");
        let hours = self.hours.iter().map(|hour| [0.5, 0.99, 0.999].map(|part| hour.within(part))).collect();
        let capacity = (scenario.workers * scenario.threads) as f64 * DAY as f64;
        Day {
            images,
            redelivered: self.redelivered,
            p50_ms: all.within(0.5),
            p99_ms: all.within(0.99),
            p999_ms: all.within(0.999),
            key_hits: 1.0 - missed as f64 / images.max(1) as f64,
            busy: self.busy as f64 / capacity,
            store_bytes: missed as f64 * scenario.key_bytes,
            store_peak_rate: most as f64 * scenario.key_bytes / 3600.0,
            network_bytes: images as f64 * scenario.request_bytes,
            cost_per_million: scenario.workers as f64 * 24.0 * scenario.hour / images.max(1) as f64 * 1e6,
            hours,
        }
    }
}

fn hour(time: u64) -> usize {
    (time / (DAY / 24)).min(23) as usize
}

/// Workers with a free thread.
struct Idle {
    workers: Vec<u32>,
    index: Vec<Option<usize>>,
}

impl Idle {
    fn all(workers: usize) -> Self {
        Self { workers: (0..workers as u32).collect(), index: (0..workers).map(Some).collect() }
    }

    fn count(&self) -> usize {
        self.workers.len()
    }

    fn any(&self, random: &mut Random) -> Option<u32> {
        (!self.workers.is_empty()).then(|| self.workers[random.below(self.workers.len() as u64) as usize])
    }

    fn insert(&mut self, worker: u32) {
        if self.index[worker as usize].is_none() {
            self.index[worker as usize] = Some(self.workers.len());
            self.workers.push(worker);
        }
    }

    fn remove(&mut self, worker: u32) {
        if let Some(index) = self.index[worker as usize].take() {
            self.workers.swap_remove(index);
            if let Some(moved) = self.workers.get(index) {
                self.index[*moved as usize] = Some(index);
            }
        }
    }
}

/// How long answers took: counts in steps of five per cent, from a millisecond on.
#[derive(Clone)]
struct Latencies(Vec<u64>);

impl Latencies {
    const STEP: f64 = 1.05;

    fn new() -> Self {
        Self(vec![0; 400])
    }

    fn add(&mut self, micros: u64) {
        let step = (micros as f64 / 1e3).max(1.0).ln() / Self::STEP.ln();
        self.0[(step as usize).min(399)] += 1;
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Milliseconds within which this part of all was answered.
    fn within(&self, part: f64) -> f64 {
        let wanted = (part * self.total() as f64).ceil() as u64;
        let mut seen = 0;
        let step = self.0.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        Self::STEP.powi(step.unwrap_or(0) as i32 + 1)
    }
}

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        let uniform = ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        -mean * uniform.ln()
    }
}

fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Scenario {
        Scenario { workers: 20, clients: 5000, images: 200_000, memory: 60.0 * 215e6, ..Scenario::default() }
    }

    #[test]
    fn every_image_is_answered_whatever_fails() {
        let day = simulate(&Scenario { failures: 50.0, ..small() });
        assert!((day.images as f64 / 200_000.0 - 1.0).abs() < 0.1, "{day:?}");
        assert!(day.redelivered > 0 && day.p50_ms >= 985.0, "{day:?}");
    }

    /// With one thread, no keys to read and no peak this is the queue M/D/1, more or less: its mean wait at a
    /// load of a half is half a service time; the median of all latencies lies within one.
    #[test]
    fn an_empty_fleet_answers_in_the_time_of_one_inference() {
        let day = simulate(&Scenario {
            images: 2000,
            failures: 0.0,
            expand_ms: 0.0,
            key_bytes: 0.0,
            store_ms: 0.0,
            ..small()
        });
        assert!(day.p99_ms < 985.0 * 1.06, "{day:?}");
    }

    #[test]
    fn shards_keep_keys_in_memory() {
        let with = simulate(&small());
        let without = simulate(&Scenario { shards: None, ..small() });
        assert!(with.key_hits > 0.8 && with.key_hits > without.key_hits + 0.1, "{with:?} {without:?}");
        assert!(with.store_bytes < without.store_bytes);
    }

    #[test]
    fn the_same_day_is_simulated_twice() {
        assert_eq!(format!("{:?}", simulate(&small())), format!("{:?}", simulate(&small())));
    }
}
