//! Encoded plaintexts: kept from before the first run, or made in each run for the operations that need them.

use crate::at_use::{Made, Schedule};
use crate::backend::Scheme;
use crate::circuit::{Circuit, Operation};
use crate::plaintext::{Encoded, Of, encode, numbers};
use crate::{Error, Plain};
use blindsight_ring::parallel;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// When plaintexts are encoded.
pub(crate) enum Plaintexts<S: Scheme> {
    /// Before the first run.
    Kept(Kept<S>),
    /// In each run.
    AtUse(Schedule),
}

/// All plaintexts of a circuit, equal ones once.
pub(crate) struct Kept<S: Scheme> {
    encoded: Vec<Of<S>>,
    /// For each plaintext of the circuit its position among the encoded ones.
    positions: Vec<usize>,
}

/// Plaintexts as they come, equal ones once.
struct Store<F, A> {
    encoded: Vec<Encoded<F, A>>,
    /// The positions of plaintexts by a hash of their numbers.
    by_hash: HashMap<u64, Vec<usize>>,
}

impl<S: Scheme> Plaintexts<S> {
    /// Encodes all, each thread of the rayon pool it is called in one at a time.
    pub fn kept(circuit: &Circuit, scheme: &S) -> Result<Self, Error> {
        let store = Mutex::new(Store { encoded: vec![], by_hash: HashMap::new() });
        let positions = parallel::map(circuit.plains().iter(), |spec| {
            let numbers = numbers(circuit, spec)?;
            let encoded = encode(scheme, spec, &numbers)?;
            Ok(store.lock().expect("nothing panics while it is locked").insert(hash(&numbers), encoded))
        });
        let positions = positions.into_iter().collect::<Result<_, Error>>()?;
        let store = store.into_inner().expect("nothing panics while it is locked");
        Ok(Self::Kept(Kept { encoded: store.encoded, positions }))
    }

    /// Encodes none yet.
    pub fn at_use(circuit: &Circuit, helpers: usize) -> Self {
        Self::AtUse(Schedule::new(circuit, helpers))
    }

    /// Bytes of memory of those that are kept.
    pub fn bytes(&self) -> usize {
        let bytes = |encoded: &Of<S>| match encoded {
            Encoded::Factor(factor) => S::factor_bytes(factor),
            Encoded::Summand(summand) => S::summand_bytes(summand),
        };
        match self {
            Self::Kept(kept) => kept.encoded.iter().map(bytes).sum(),
            Self::AtUse(_) => 0,
        }
    }

    /// Does the work of one run with its plaintexts.
    pub fn run<T>(&self, circuit: &Circuit, scheme: &S, work: impl FnOnce(OfRun<'_, S>) -> T) -> T {
        match self {
            Self::Kept(kept) => work(OfRun::Kept(kept)),
            Self::AtUse(schedule) => schedule.run(circuit, scheme, |made| work(OfRun::Made(made))),
        }
    }
}

/// The plaintexts of one run.
pub(crate) enum OfRun<'a, S: Scheme> {
    Kept(&'a Kept<S>),
    Made(Made<'a, S>),
}

impl<S: Scheme> OfRun<'_, S> {
    /// Sees to it that what an operation needs is there, and tells how long the run waited for that.
    pub fn make(&mut self, operation: &Operation) -> Result<Duration, Error> {
        match self {
            Self::Kept(_) => Ok(Duration::ZERO),
            Self::Made(made) => made.make(operation),
        }
    }

    /// Takes away what an operation was the last to use.
    pub fn release(&mut self, operation: &Operation) {
        if let Self::Made(made) = self {
            made.release(operation);
        }
    }

    /// A plaintext that the builder has checked to be a factor.
    pub fn factor(&self, plain: Plain) -> &S::Factor {
        match self.get(plain) {
            Encoded::Factor(factor) => factor,
            Encoded::Summand(_) => unreachable!("products are of factors, by construction"),
        }
    }

    /// A plaintext that the builder has made to be added.
    pub fn summand(&self, plain: Plain) -> &S::Summand {
        match self.get(plain) {
            Encoded::Summand(summand) => summand,
            Encoded::Factor(_) => unreachable!("sums are of summands, by construction"),
        }
    }

    fn get(&self, plain: Plain) -> &Of<S> {
        match self {
            Self::Kept(kept) => &kept.encoded[kept.positions[plain.index()]],
            Self::Made(made) => made.get(plain),
        }
    }
}

impl<F: PartialEq, A: PartialEq> Store<F, A> {
    /// Where the plaintext is, or else is put.
    fn insert(&mut self, hash: u64, plaintext: Encoded<F, A>) -> usize {
        let alike = self.by_hash.entry(hash).or_default();
        if let Some(same) = alike.iter().find(|i| self.encoded[**i] == plaintext) {
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
