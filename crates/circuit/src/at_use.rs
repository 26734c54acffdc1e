//! Plaintexts that each run encodes for itself: by the threads that it runs on when an operation needs them,
//! and by helpers that go ahead of it meanwhile.

use crate::Error;
use crate::backend::Scheme;
use crate::circuit::{Circuit, Value};
use crate::parts::Parts;
use crate::plaintext::Encoded;
use blindsight_ring::parallel;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Who encodes the parts of a circuit, in their order, and how far ahead.
pub(crate) struct Schedule {
    /// How often the circuit uses each part.
    uses: Vec<usize>,
    /// How many plaintexts may lie ready that no operation has asked for: as many as some operation needs, so
    /// that helpers have work while any operation runs, and memory is no more than about twice what that one
    /// takes.
    ahead: usize,
    /// Threads that encode beside those of the run.
    helpers: usize,
}

impl Schedule {
    pub fn new(circuit: &Circuit, parts: &Parts, helpers: usize) -> Self {
        let mut uses = vec![0; parts.all().len()];
        let (mut ahead, mut known) = (0, 0);
        for (index, node) in circuit.nodes().iter().enumerate() {
            let of_node = parts.of_node(Value(index), &node.operation);
            let end = of_node.iter().max().map_or(known, |last| known.max(last + 1));
            ahead = ahead.max(parts.plains_before(end) - parts.plains_before(known));
            known = end;
            of_node.into_iter().for_each(|part| uses[part] += 1);
        }
        Self { uses, ahead, helpers }
    }

    /// Does the work of one run, while helpers encode what it will ask for.
    pub fn run<S: Scheme, T>(
        &self,
        circuit: &Circuit,
        scheme: &S,
        parts: &Parts,
        work: impl FnOnce(Made<'_, S>) -> T,
    ) -> T {
        let claims = Claims::new(parts.after(self.ahead));
        let source = Source { schedule: self, parts, circuit, scheme, claims: &claims };
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
    /// How many parts have been claimed, each by who encodes it.
    claimed: usize,
    /// How far helpers may claim.
    allowed: usize,
    /// Those that are used no more: their memory is the next ones'. Fresh pages would cost a fault and a
    /// zeroing each, about a fifth of all encoding.
    spare: Vec<P>,
}

/// A part to be encoded, and memory that may be taken for it.
struct Claim<P> {
    part: usize,
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

    /// The next part before this one, if it is not claimed yet.
    fn next_before(&self, end: usize) -> Option<Claim<P>> {
        let mut state = self.lock();
        (state.claimed < end).then(|| state.claim())
    }

    /// The next part, as soon as helpers may encode it; none after the last of so many.
    fn next_ahead(&self, count: usize) -> Option<Claim<P>> {
        let waiting = |state: &mut State<P>| state.claimed < count && state.claimed >= state.allowed;
        let mut state = self.changed.wait_while(self.lock(), waiting).expect("nothing panics with it");
        (state.claimed < count).then(|| state.claim())
    }

    /// Lets helpers go on up to a part.
    fn allow(&self, part: usize) {
        self.lock().allowed = part;
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
        Claim { part: self.claimed - 1, spare: self.spare.pop() }
    }
}

/// What encodes the plaintexts of a run.
struct Source<'a, S: Scheme> {
    schedule: &'a Schedule,
    parts: &'a Parts,
    circuit: &'a Circuit,
    scheme: &'a S,
    claims: &'a Claims<Encoded<S>>,
}

impl<S: Scheme> Clone for Source<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Scheme> Copy for Source<'_, S> {}

/// The index of a part, and the part or why it is none.
type Indexed<S> = (usize, Result<Encoded<S>, Error>);
/// The same from a helper, where a panic is none that anybody shall wait for.
type Delivered<S> = thread::Result<Indexed<S>>;

impl<S: Scheme> Source<'_, S> {
    fn encode(&self, claim: Claim<Encoded<S>>) -> Indexed<S> {
        // A polynomial that is dropped is the memory of the next one that is made.
        drop(claim.spare);
        (claim.part, Encoded::new(self.circuit, self.scheme, self.parts.all()[claim.part]))
    }

    /// Encodes ahead of the run, until there is nothing left or the run has ended.
    fn help(&self, made: &Sender<Delivered<S>>) {
        while let Some(claim) = self.claims.next_ahead(self.parts.all().len()) {
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
    encoded: Vec<Option<Encoded<S>>>,
    /// Up to which part all have come.
    ready: usize,
    /// How often each is still used.
    uses: Vec<usize>,
}

impl<'a, S: Scheme> Made<'a, S> {
    fn new(source: Source<'a, S>, receiver: Receiver<Delivered<S>>) -> Self {
        let uses = source.schedule.uses.clone();
        Self { source, receiver, encoded: uses.iter().map(|_| None).collect(), ready: 0, uses }
    }

    /// Makes those parts that are not there, and tells how long the run waited for them.
    pub fn make(&mut self, needed: &[usize]) -> Result<Duration, Error> {
        let (start, source) = (Instant::now(), self.source);
        // Those of earlier operations come before them.
        let Some(end) = needed.iter().max().map(|last| last + 1) else { return Ok(Duration::ZERO) };
        source.claims.allow(source.parts.after(source.parts.plains_before(end) + source.schedule.ahead));
        for (index, made) in self.encode_before(end).into_iter().flatten() {
            self.encoded[index] = Some(made?);
        }
        while self.ready < end {
            if self.encoded[self.ready].is_some() {
                self.ready += 1;
                continue;
            }
            let delivered = self.receiver.recv().expect("helpers send what they have claimed");
            let (index, made) = delivered.unwrap_or_else(|panic| resume_unwind(panic));
            self.encoded[index] = Some(made?);
        }
        Ok(start.elapsed())
    }

    /// What the run's own threads encode of all before a part.
    fn encode_before(&self, end: usize) -> Vec<Vec<Indexed<S>>> {
        let source = self.source;
        parallel::map(0..parallel::threads(), |_| {
            std::iter::from_fn(|| Some(source.encode(source.claims.next_before(end)?))).collect()
        })
    }

    /// Takes away what was used for the last time.
    pub fn release(&mut self, used: &[usize]) {
        for part in used {
            self.uses[*part] -= 1;
            if self.uses[*part] == 0 {
                self.source.claims.lock().spare.extend(self.encoded[*part].take());
            }
        }
    }

    /// One that an operation needs, which was made before it.
    pub fn get(&self, part: usize) -> &Encoded<S> {
        self.encoded[part].as_ref().expect("what an operation needs is made before it")
    }
}

impl<S: Scheme> Drop for Made<'_, S> {
    fn drop(&mut self) {
        self.source.claims.end();
    }
}
