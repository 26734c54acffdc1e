//! Plaintexts that each run encodes for itself: by the threads that it runs on when an operation needs them,
//! and by helpers that go ahead of it meanwhile.

use crate::backend::Scheme;
use crate::circuit::{Circuit, Operation};
use crate::plaintext::{Of, encoded};
use crate::{Error, Plain};
use blindsight_ring::parallel;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The order in which the plaintexts of a circuit are encoded, and who does it.
pub(crate) struct Schedule {
    /// The plaintexts in the order of their first use.
    order: Vec<usize>,
    /// For each plaintext its place in the order.
    places: Vec<usize>,
    /// How often the circuit uses each.
    uses: Vec<usize>,
    /// How many may lie ready that no operation has asked for: as many as some operation needs, so that
    /// helpers have work while any operation runs, and memory is no more than about twice what that one
    /// takes.
    ahead: usize,
    /// Threads that encode beside those of the run.
    helpers: usize,
}

impl Schedule {
    pub fn new(circuit: &Circuit, helpers: usize) -> Self {
        let count = circuit.plains().len();
        let (mut order, mut places, mut uses) = (vec![], vec![0; count], vec![0; count]);
        let mut ahead = 0;
        for node in circuit.nodes() {
            let before = order.len();
            for index in node.operation.plains().iter().map(|plain| plain.index()) {
                if uses[index] == 0 {
                    places[index] = order.len();
                    order.push(index);
                }
                uses[index] += 1;
            }
            ahead = ahead.max(order.len() - before);
        }
        Self { order, places, uses, ahead, helpers }
    }

    /// Does the work of one run, while helpers encode what it will ask for.
    pub fn run<S: Scheme, T>(&self, circuit: &Circuit, scheme: &S, work: impl FnOnce(Made<'_, S>) -> T) -> T {
        let claims = Claims::new(self.ahead);
        let source = Source { schedule: self, circuit, scheme, claims: &claims };
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            for _ in 0..self.helpers {
                let sender = sender.clone();
                // Where the system gives no more threads, the run encodes itself what these would have.
                let _ = thread::Builder::new().spawn_scoped(scope, move || source.help(&sender));
            }
            work(Made::new(source, receiver))
        })
    }
}

/// What is still to be encoded.
struct Claims<P> {
    state: Mutex<State<P>>,
    /// Helpers wait here until they may go on.
    changed: Condvar,
}

struct State<P> {
    /// How far in the order plaintexts have been claimed, each by who encodes it.
    claimed: usize,
    /// How far helpers may claim.
    allowed: usize,
    /// Those that are used no more: their memory is the next ones'. Fresh pages would cost a fault and a
    /// zeroing each, about a fifth of all encoding.
    spare: Vec<P>,
}

/// A plaintext to be encoded: its place in the order, and memory that may be taken for it.
struct Claim<P> {
    place: usize,
    spare: Option<P>,
}

impl<P> Claims<P> {
    fn new(allowed: usize) -> Self {
        let state = Mutex::new(State { claimed: 0, allowed, spare: vec![] });
        Self { state, changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().expect("nothing panics while it is locked")
    }

    /// The next plaintext before this place, if it is not claimed yet.
    fn next_before(&self, end: usize) -> Option<Claim<P>> {
        let mut state = self.lock();
        (state.claimed < end).then(|| state.claim())
    }

    /// The next plaintext, as soon as helpers may encode it; none after the last of so many.
    fn next_ahead(&self, count: usize) -> Option<Claim<P>> {
        let waiting = |state: &mut State<P>| state.claimed < count && state.claimed >= state.allowed;
        let mut state = self.changed.wait_while(self.lock(), waiting).expect("nothing panics with it");
        (state.claimed < count).then(|| state.claim())
    }

    /// Lets helpers go on up to a place.
    fn allow(&self, place: usize) {
        self.lock().allowed = place;
        self.changed.notify_all();
    }

    /// Leaves nothing to be claimed, and helpers to end.
    fn end(&self) {
        self.lock().claimed = usize::MAX;
        self.changed.notify_all();
    }
}

impl<P> State<P> {
    fn claim(&mut self) -> Claim<P> {
        self.claimed += 1;
        Claim { place: self.claimed - 1, spare: self.spare.pop() }
    }
}

/// What encodes the plaintexts of a run.
struct Source<'a, S: Scheme> {
    schedule: &'a Schedule,
    circuit: &'a Circuit,
    scheme: &'a S,
    claims: &'a Claims<Of<S>>,
}

impl<S: Scheme> Clone for Source<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Scheme> Copy for Source<'_, S> {}

/// The index of a plaintext, and the plaintext or why it is none.
type Indexed<S> = (usize, Result<Of<S>, Error>);
/// The same from a helper, where a panic is none that anybody shall wait for.
type Delivered<S> = thread::Result<Indexed<S>>;

impl<S: Scheme> Source<'_, S> {
    fn encode(&self, claim: Claim<Of<S>>) -> Indexed<S> {
        // A polynomial that a thread drops is the memory of the next one that it makes.
        drop(claim.spare);
        let index = self.schedule.order[claim.place];
        (index, encoded(self.circuit, self.scheme, index))
    }

    /// Encodes ahead of the run, until there is nothing left or the run has ended.
    fn help(&self, made: &Sender<Delivered<S>>) {
        while let Some(claim) = self.claims.next_ahead(self.schedule.order.len()) {
            let encoded = catch_unwind(AssertUnwindSafe(|| self.encode(claim)));
            if made.send(encoded).is_err() {
                return;
            }
        }
    }
}

/// The plaintexts of one run that are there.
pub(crate) struct Made<'a, S: Scheme> {
    source: Source<'a, S>,
    receiver: Receiver<Delivered<S>>,
    encoded: Vec<Option<Of<S>>>,
    /// How far in the order all have come.
    ready: usize,
    /// How often each is still used.
    uses: Vec<usize>,
}

impl<'a, S: Scheme> Made<'a, S> {
    fn new(source: Source<'a, S>, receiver: Receiver<Delivered<S>>) -> Self {
        let uses = source.schedule.uses.clone();
        Self { source, receiver, encoded: uses.iter().map(|_| None).collect(), ready: 0, uses }
    }

    /// Makes what an operation needs and is not there, and tells how long the run waited for it.
    pub fn make(&mut self, operation: &Operation) -> Result<Duration, Error> {
        let (start, schedule) = (Instant::now(), self.source.schedule);
        let places = operation.plains().into_iter().map(|plain| schedule.places[plain.index()]);
        // Those of earlier operations come before it in the order.
        let Some(end) = places.max().map(|last| last + 1) else { return Ok(Duration::ZERO) };
        self.source.claims.allow(end + schedule.ahead);
        for (index, made) in self.encode_before(end).into_iter().flatten() {
            self.encoded[index] = Some(made?);
        }
        while self.ready < end {
            if self.encoded[schedule.order[self.ready]].is_some() {
                self.ready += 1;
                continue;
            }
            let delivered = self.receiver.recv().expect("helpers send what they have claimed");
            let (index, made) = delivered.unwrap_or_else(|panic| resume_unwind(panic));
            self.encoded[index] = Some(made?);
        }
        Ok(start.elapsed())
    }

    /// What the run's own threads encode of all before a place.
    fn encode_before(&self, end: usize) -> Vec<Vec<Indexed<S>>> {
        let source = self.source;
        parallel::map(0..parallel::threads(), |_| {
            std::iter::from_fn(|| Some(source.encode(source.claims.next_before(end)?))).collect()
        })
    }

    /// Takes away what an operation was the last to use.
    pub fn release(&mut self, operation: &Operation) {
        for index in operation.plains().iter().map(|plain| plain.index()) {
            self.uses[index] -= 1;
            if self.uses[index] == 0 {
                self.source.claims.lock().spare.extend(self.encoded[index].take());
            }
        }
    }

    /// One that an operation needs, which was made before it.
    pub fn get(&self, plain: Plain) -> &Of<S> {
        self.encoded[plain.index()].as_ref().expect("what an operation needs is made before it")
    }
}

impl<S: Scheme> Drop for Made<'_, S> {
    fn drop(&mut self) {
        self.source.claims.end();
    }
}
