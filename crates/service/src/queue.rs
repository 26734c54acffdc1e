//! A bounded queue in front of the threads that compute.

use crate::Limits;
use crate::refusal::{Outcome, Refusal};
use crate::tokens::ClientName;
use blindsight_protocol::Code;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// Places for requests that are received, wait or are computed, and threads for those computed. The threads
/// do nothing else: one that is done takes the next request at once, with its memory and its caches warm.
/// Clients take turns: of those that wait, the one that was served longest ago is next. So each that waits
/// has one request computed before any has a second one, a client that asks now and then does not stand
/// behind one that always asks, and a client with many requests delays its own and nobody else's. No client's
/// further request takes the last thread while another client may be back at once: see [`Company`].
pub struct Queue {
    places: Places,
    jobs: Arc<Turns>,
    wait: Duration,
}

/// A bounded number of places, of which one client may hold so many.
pub struct Places {
    common: Arc<Semaphore>,
    /// For clients that hold no place.
    reserve: Arc<Semaphore>,
    capacity: usize,
    held: Arc<Mutex<HashMap<ClientName, usize>>>,
    per_client: usize,
    what: &'static str,
}

/// A place: held from before a body is read until its answer is there, so that it bounds memory, too.
pub struct Place {
    held: Arc<Mutex<HashMap<ClientName, usize>>>,
    client: ClientName,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many, and a reserve; `what` says in refusals what they are for.
    pub fn new(common: usize, reserve: usize, per_client: usize, what: &'static str) -> Self {
        Self {
            common: Arc::new(Semaphore::new(common)),
            reserve: Arc::new(Semaphore::new(reserve)),
            capacity: common + reserve,
            held: Arc::default(),
            per_client,
            what,
        }
    }

    /// A place, if there is one for this client now.
    pub fn enter(&self, client: &ClientName) -> Outcome<Place> {
        let what = self.what;
        let busy = |why: String| Refusal::for_now(Code::Busy, &format!("{why}: try again after a moment"));
        let mut held = lock(&self.held);
        let mine = held.get(client).copied().unwrap_or(0);
        if mine >= self.per_client {
            return Err(busy(format!("this client has as many {what} under way as one may")));
        }
        let mut permit = self.common.clone().try_acquire_owned();
        if permit.is_err() && mine == 0 {
            permit = self.reserve.clone().try_acquire_owned();
        }
        let permit =
            permit.map_err(|_| busy(format!("there are as many {what} under way as there may be")))?;
        *held.entry(client.clone()).or_default() += 1;
        Ok(Place { held: self.held.clone(), client: client.clone(), _permit: permit })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.capacity - self.common.available_permits() - self.reserve.available_permits()
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Work that waits for a thread. Whoever comes first takes it: a thread to do it, or the client that waits no
/// longer to drop it, and with it the memory of its request.
struct Waiting<W>(Arc<Mutex<Option<W>>>);

impl<W> Waiting<W> {
    fn take(&self) -> Option<W> {
        lock(&self.0).take()
    }
}

impl<W> Drop for Waiting<W> {
    fn drop(&mut self) {
        self.take();
    }
}

/// Jobs that wait for a thread; clients take turns.
struct Turns {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    waiting: Waitlist<Job>,
    company: Company,
}

/// Who waits, by client, and whose turn it is.
struct Waitlist<J> {
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
    fn new(threads: usize) -> Self {
        let state = State { waiting: Waitlist::default(), company: Company::new(threads) };
        Self { state: Mutex::new(state), more: Condvar::new() }
    }

    fn add(&self, client: &ClientName, job: Job) {
        lock(&self.state).waiting.add(client, job);
        self.more.notify_one();
    }

    /// Does jobs as long as any come.
    fn work_off(&self) {
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

    fn close(&self) {
        lock(&self.state).waiting.closed = true;
        self.more.notify_all();
    }
}

impl<J> Waitlist<J> {
    fn add(&mut self, client: &ClientName, job: J) {
        self.came += 1;
        let since = self.came;
        let line = self.jobs.entry(client.clone()).or_insert_with(|| Line { jobs: VecDeque::new(), since });
        line.jobs.push_back(job);
    }

    /// The client whose turn it is: the one that was served longest ago, or never; of several, the one that
    /// waits longest. There are no more clients here than places, so looking at each is quick.
    fn first(&self) -> Option<&ClientName> {
        let turn = |client: &ClientName| self.served.get(client).copied().unwrap_or(0);
        let first = self.jobs.iter().min_by_key(|(client, line)| (turn(client), line.since));
        first.map(|(client, _)| client)
    }

    /// A client's first job: it has had its turn.
    fn take(&mut self, client: &ClientName) -> Option<J> {
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

/// Lets so many through at once, clients in turns as in the queue of one process: of those that wait, the one
/// that was served longest ago is next.
#[derive(Clone)]
pub struct Turnstile(Arc<Mutex<Passage>>);

struct Passage {
    waiting: Waitlist<oneshot::Sender<Pass>>,
    within: usize,
    most: usize,
}

/// Who has this is within; whoever drops it is through.
pub struct Pass(Turnstile);

impl Turnstile {
    /// For so many at once.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Passage { waiting: Waitlist::default(), within: 0, most })))
    }

    /// From now on so many at once.
    pub fn widen(&self, most: usize) {
        lock(&self.0).most = most;
        self.admit();
    }

    /// Waits for this client's turn. Whoever waits no longer gives it up.
    pub async fn enter(&self, client: &ClientName) -> Pass {
        let (turn, comes) = oneshot::channel();
        lock(&self.0).waiting.add(client, turn);
        self.admit();
        comes.await.expect("turns come as long as there is a turnstile")
    }

    /// How many are within, and how many wait.
    pub fn count(&self) -> (usize, usize) {
        let passage = lock(&self.0);
        (passage.within, passage.waiting.jobs.values().map(|line| line.jobs.len()).sum())
    }

    fn admit(&self) {
        while let Some(turn) = self.next() {
            // Where nobody waits for it any more, the pass comes back at once, and makes room for the next.
            let _ = turn.send(Pass(self.clone()));
        }
    }

    fn next(&self) -> Option<oneshot::Sender<Pass>> {
        let mut passage = lock(&self.0);
        if passage.within >= passage.most {
            return None;
        }
        let first = passage.waiting.first().cloned()?;
        let turn = passage.waiting.take(&first)?;
        passage.within += 1;
        Some(turn)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        lock(&self.0.0).within -= 1;
        self.0.admit();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

impl Queue {
    /// # Errors
    /// Where the system has no more threads.
    pub fn new(limits: &Limits) -> std::io::Result<Self> {
        let jobs = Arc::new(Turns::new(limits.threads));
        for index in 0..limits.threads {
            let jobs = jobs.clone();
            thread::Builder::new().name(format!("compute-{index}")).spawn(move || jobs.work_off())?;
        }
        let places =
            Places::new(limits.threads + limits.queue, limits.reserve, limits.places_per_client, "requests");
        Ok(Self { places, jobs, wait: limits.wait })
    }

    /// A place, if there is one for this client now.
    pub fn enter(&self, client: &ClientName) -> Outcome<Place> {
        self.places.enter(client)
    }

    /// Computes for a client on a thread, when it is its turn. A request whose client has gone gives up its
    /// turn; a computation that has begun ends.
    pub async fn compute<T: Send + 'static>(
        &self,
        client: &ClientName,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<T> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting(Arc::new(Mutex::new(Some(work))));
        let turn = waiting.0.clone();
        let job = move || {
            let Some(work) = lock(&turn).take() else { return };
            // Nobody may be there any more to hear it.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        };
        self.jobs.add(client, Box::new(job));
        let mut answered = pin!(answered);
        let answer = match timeout(self.wait, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if waiting.take().is_some() => {
                return Err(Refusal::for_now(Code::Unavailable, "no thread became free in time: try again"));
            }
            Err(_) => answered.await,
        };
        match answer {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(panic)) => Err(Refusal::internal(&format!("a computation panicked: {}", said(&*panic)))),
            Err(gone) => Err(Refusal::internal(&gone)),
        }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.places.taken()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(mine) = held.get_mut(&self.client) {
            *mine -= 1;
            if *mine == 0 {
                held.remove(&self.client);
            }
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("nothing")
}

/// No one panics while holding such a lock; if one did, what it guards would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    fn name(name: &str) -> ClientName {
        name.parse().expect("a name")
    }

    /// A queue of one thread.
    fn queue(wait: Duration) -> Arc<Queue> {
        Arc::new(Queue::new(&Limits { threads: 1, wait, ..Limits::default() }).expect("a thread"))
    }

    /// Keeps the thread busy until the sender that it gives is dropped.
    async fn keep_busy(queue: &Arc<Queue>) -> mpsc::Sender<()> {
        let ((begun, has_begun), (end, until)) = (oneshot::channel(), mpsc::channel::<()>());
        let work = move || {
            begun.send(()).expect("someone waits");
            until.recv()
        };
        let queue = queue.clone();
        tokio::spawn(async move { queue.compute(&name("busy"), work).await });
        has_begun.await.expect("the thread is free");
        end
    }

    #[tokio::test]
    async fn work_whose_client_goes_is_dropped_before_a_thread_is_free() {
        let queue = queue(Duration::from_secs(60));
        let busy = keep_busy(&queue).await;
        let request = Arc::new(());
        let held = request.clone();
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.compute(&name("alice"), move || Arc::strong_count(&held)).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&request), 2);
        waiting.abort();
        waiting.await.expect_err("it was aborted");
        assert_eq!(Arc::strong_count(&request), 1);
        drop(busy);
        assert_eq!(queue.compute(&name("alice"), || 7).await.expect("a free thread"), 7);
    }

    #[tokio::test]
    async fn work_that_waits_too_long_is_refused_and_never_done() {
        let queue = queue(Duration::from_millis(20));
        let busy = keep_busy(&queue).await;
        let refused = queue
            .compute(&name("alice"), || unreachable!("it was refused"))
            .await
            .expect_err("no thread is free");
        assert_eq!(refused.code, Code::Unavailable);
        drop(busy);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let queue = queue(Duration::from_secs(60));
        let refused =
            queue.compute(&name("alice"), || -> () { panic!("as asked") }).await.expect_err("a panic");
        assert_eq!(refused.code, Code::Internal);
        assert_eq!(said(&*catch_unwind(|| panic!("as {}", "asked")).expect_err("a panic")), "as asked");
        assert_eq!(queue.compute(&name("alice"), || 7).await.expect("the thread goes on"), 7);
    }

    /// First come, first served would let bob wait for all of alice's.
    #[tokio::test]
    async fn clients_take_turns() {
        let queue = queue(Duration::from_secs(60));
        let busy = keep_busy(&queue).await;
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut all = vec![];
        for who in ["alice", "alice", "alice", "alice", "bob", "bob", "carol"] {
            let (queue, order) = (queue.clone(), order.clone());
            all.push(tokio::spawn(async move {
                queue.compute(&name(who), move || lock(&order).push(who)).await.map(|()| who)
            }));
            tokio::task::yield_now().await;
        }
        drop(busy);
        for done in all {
            done.await.expect("no panic").expect("computed");
        }
        let expected = ["alice", "bob", "carol", "alice", "bob", "alice", "alice"];
        assert_eq!(*lock(&order), expected);
    }

    /// A client that comes back while another one has waited all the time, with many requests, goes first:
    /// else it would wait for two of the other's each time.
    #[tokio::test]
    async fn who_was_served_longest_ago_is_next() {
        let queue = queue(Duration::from_secs(60));
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut all = vec![];
        for round in 0..3 {
            let busy = keep_busy(&queue).await;
            for who in ["alice", "alice", "bob"].into_iter().skip(usize::from(round > 0)) {
                let (queue, order) = (queue.clone(), order.clone());
                all.push(tokio::spawn(async move {
                    queue.compute(&name(who), move || lock(&order).push(who)).await.expect("computed")
                }));
                tokio::task::yield_now().await;
            }
            drop(busy);
            while lock(&order).len() < 3 + 2 * round {
                tokio::task::yield_now().await;
            }
        }
        // Alice was served last in the first round; from then on bob comes before her, who waits already.
        assert_eq!(*lock(&order), ["alice", "bob", "alice", "bob", "alice", "bob", "alice"]);
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

    #[tokio::test]
    async fn a_turnstile_lets_clients_through_in_turns_and_forgets_who_has_gone() {
        let gate = Turnstile::new(1);
        let within = gate.enter(&name("busy")).await;
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut all = vec![];
        for who in ["alice", "alice", "alice", "bob", "gone", "carol"] {
            let (gate, order) = (gate.clone(), order.clone());
            all.push(tokio::spawn(async move {
                let _pass = gate.enter(&name(who)).await;
                lock(&order).push(who);
            }));
            tokio::task::yield_now().await;
        }
        all.remove(4).abort();
        assert_eq!(gate.count().0, 1);
        drop(within);
        for done in all {
            done.await.expect("through");
        }
        assert_eq!(*lock(&order), ["alice", "bob", "carol", "alice", "alice"]);
        assert_eq!(gate.count(), (0, 0));
        gate.widen(2);
        let both = (gate.enter(&name("alice")).await, gate.enter(&name("alice")).await);
        assert_eq!(gate.count(), (2, 0));
        drop(both);
    }

    #[test]
    fn clients_without_a_place_find_one_when_others_have_taken_all() {
        let places = Places::new(3, 1, 3, "places");
        let held: Vec<Place> = (0..3).map(|_| places.enter(&name("alice")).expect("a place")).collect();
        assert_eq!(places.enter(&name("alice")).err().map(|refused| refused.code), Some(Code::Busy));
        let bob = places.enter(&name("bob")).expect("the reserve");
        assert!(places.enter(&name("bob")).is_err() && places.enter(&name("carol")).is_err());
        assert_eq!(places.taken(), 4);
        drop((bob, held));
        assert_eq!(places.taken(), 0);
    }
}
