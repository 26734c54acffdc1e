//! Encoded plaintexts: kept from before the first run, or made in each run for the operations that need them.

use crate::at_use::{Made, Schedule};
use crate::backend::Scheme;
use crate::circuit::{Circuit, Operation, Value};
use crate::parts::{Part, Parts, giant_steps};
use crate::plaintext::{Encoded, numbers};
use crate::{Error, Plain};
use blindsight_ring::parallel;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// The plaintexts of a circuit.
pub(crate) struct Plaintexts<S: Scheme> {
    parts: Parts,
    when: When<S>,
}

/// When plaintexts are encoded.
enum When<S: Scheme> {
    /// Before the first run.
    Before(Kept<S>),
    /// In each run.
    AtUse(Schedule),
}

/// All parts of a circuit, equal plaintexts once.
pub(crate) struct Kept<S: Scheme> {
    encoded: Vec<Encoded<S>>,
    /// For each part its position among the encoded ones.
    positions: Vec<usize>,
}

/// Plaintexts as they come, equal ones once.
struct Store<S: Scheme> {
    encoded: Vec<Encoded<S>>,
    /// The positions of plaintexts by a hash of their numbers.
    by_hash: HashMap<u64, Vec<usize>>,
}

impl<S: Scheme> Plaintexts<S> {
    /// Encodes all. Of the rayon pool it is called in each thread encodes one plaintext at a time.
    pub fn before(circuit: &Circuit, scheme: &S) -> Result<Self, Error> {
        let parts = Parts::new(circuit);
        let kept = Kept::new(circuit, scheme, parts.all())?;
        Ok(Self { parts, when: When::Before(kept) })
    }

    /// Encodes none yet.
    pub fn at_use(circuit: &Circuit, helpers: usize) -> Self {
        let parts = Parts::new(circuit);
        let schedule = Schedule::new(circuit, &parts, helpers);
        Self { parts, when: When::AtUse(schedule) }
    }

    /// Bytes of memory of those that are kept.
    pub fn bytes(&self) -> usize {
        match &self.when {
            When::Before(kept) => kept.encoded.iter().map(Encoded::bytes).sum(),
            When::AtUse(_) => 0,
        }
    }

    /// Does the work of one run with its plaintexts.
    pub fn run<T>(&self, circuit: &Circuit, scheme: &S, work: impl FnOnce(OfRun<'_, S>) -> T) -> T {
        let parts = &self.parts;
        match &self.when {
            When::Before(kept) => work(OfRun { parts, source: Source::Kept(kept) }),
            When::AtUse(schedule) => {
                schedule.run(circuit, scheme, parts, |made| work(OfRun { parts, source: Source::Made(made) }))
            }
        }
    }
}

impl<S: Scheme> Kept<S> {
    fn new(circuit: &Circuit, scheme: &S, parts: &[Part]) -> Result<Self, Error> {
        let store = Mutex::new(Store { encoded: vec![], by_hash: HashMap::new() });
        let plains = parallel::map(parts.iter(), |part| {
            let Part::Plain(index) = part else { return Ok(None) };
            let spec = &circuit.plains()[*index];
            let numbers = numbers(circuit, spec)?;
            let encoded = Encoded::plain(scheme, spec, &numbers)?;
            Ok(Some(store.lock().expect("nothing panics while it is locked").insert(hash(&numbers), encoded)))
        });
        let plains = plains.into_iter().collect::<Result<Vec<_>, Error>>()?;
        let mut encoded = store.into_inner().expect("nothing panics while it is locked").encoded;
        // One transform after the other: of each threads make a factor each.
        let mut positions = Vec::with_capacity(parts.len());
        for (part, position) in parts.iter().zip(plains) {
            match (part, position) {
                (_, Some(position)) => positions.push(position),
                (Part::GiantStep { node, index: 0 }, None) => {
                    let steps = Encoded::giant_steps(circuit, scheme, giant_steps(circuit, *node))?;
                    positions.extend(encoded.len()..encoded.len() + steps.len());
                    encoded.extend(steps);
                }
                _ => {}
            }
        }
        Ok(Self { encoded, positions })
    }
}

/// The plaintexts of one run.
pub(crate) struct OfRun<'a, S: Scheme> {
    parts: &'a Parts,
    source: Source<'a, S>,
}

/// Where they come from.
enum Source<'a, S: Scheme> {
    Kept(&'a Kept<S>),
    Made(Made<'a, S>),
}

impl<S: Scheme> OfRun<'_, S> {
    /// Sees to it that what a node needs is there, and tells how long the run waited for that.
    pub fn make(&mut self, value: Value, operation: &Operation) -> Result<Duration, Error> {
        match &mut self.source {
            Source::Kept(_) => Ok(Duration::ZERO),
            Source::Made(made) => made.make(&self.parts.of_node(value, operation)),
        }
    }

    /// Takes away what a node was the last to use.
    pub fn release(&mut self, value: Value, operation: &Operation) {
        if let Source::Made(made) = &mut self.source {
            made.release(&self.parts.of_node(value, operation));
        }
    }

    /// A plaintext that the builder has checked to be a factor, of no transform.
    pub fn factor(&self, plain: Plain) -> &S::Factor {
        match self.get(self.parts.of_plain(plain)) {
            Encoded::Factor(factor) => factor,
            _ => unreachable!("products are of factors, by construction"),
        }
    }

    /// A plaintext that the builder has made to be added.
    pub fn summand(&self, plain: Plain) -> &S::Summand {
        match self.get(self.parts.of_plain(plain)) {
            Encoded::Summand(summand) => summand,
            _ => unreachable!("sums are of summands, by construction"),
        }
    }

    /// The giant steps of a transform.
    pub fn giant_steps(&self, value: Value) -> Vec<&S::GiantStep> {
        let giant_step = |part| match self.get(part) {
            Encoded::GiantStep(giant_step) => giant_step,
            _ => unreachable!("parts of transforms are giant steps, by construction"),
        };
        self.parts.of_transform(value).map(giant_step).collect()
    }

    fn get(&self, part: usize) -> &Encoded<S> {
        match &self.source {
            Source::Kept(kept) => &kept.encoded[kept.positions[part]],
            Source::Made(made) => made.get(part),
        }
    }
}

impl<S: Scheme> Store<S> {
    /// Where the plaintext is, or else is put.
    fn insert(&mut self, hash: u64, plaintext: Encoded<S>) -> usize {
        let alike = self.by_hash.entry(hash).or_default();
        if let Some(same) = alike.iter().find(|i| self.encoded[**i].is_same_plaintext(&plaintext)) {
            return *same;
        }
        alike.push(self.encoded.len());
        self.encoded.push(plaintext);
        self.encoded.len() - 1
    }
}

/// A hash that tells numbers apart; where it does not, they are compared. FNV-1a by words instead of bytes,
/// turned so that low bits see high ones: the hash of the standard library took a twentieth of all encoding.
fn hash(numbers: &[f64]) -> u64 {
    numbers.iter().fold(0xcbf2_9ce4_8422_2325, |hash, x| {
        ((hash ^ x.to_bits()).wrapping_mul(0x0000_0100_0000_01b3)).rotate_left(29)
    })
}
