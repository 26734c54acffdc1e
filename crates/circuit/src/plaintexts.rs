//! Encoded plaintexts: kept from before the first run, or made in each run for the operation that needs them.

use crate::backend::Scheme;
use crate::circuit::{Circuit, Operation};
use crate::plain::{PlainSpec, Role};
use crate::{Error, Plain};
use blindsight_ckks::Extension;
use blindsight_ring::parallel::{self, Pool};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A plaintext to multiply by, or one to add.
#[derive(PartialEq)]
pub(crate) enum Encoded<F, A> {
    Factor(F),
    Summand(A),
}

type Of<S> = Encoded<<S as Scheme>::Factor, <S as Scheme>::Summand>;

/// When plaintexts are encoded.
pub(crate) enum Plaintexts<S: Scheme> {
    /// Before the first run.
    Kept(Kept<S>),
    /// In each run, at their first use.
    AtUse {
        /// How often the circuit uses each.
        uses: Vec<usize>,
        /// The threads that encode.
        encoders: Pool,
    },
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
    pub fn at_use(circuit: &Circuit, encoders: Pool) -> Self {
        let mut uses = vec![0; circuit.plains().len()];
        let plains = circuit.nodes().iter().flat_map(|node| node.operation.plains());
        plains.for_each(|plain| uses[plain.index()] += 1);
        Self::AtUse { uses, encoders }
    }

    /// Bytes of memory of those that are kept.
    pub fn bytes(&self) -> usize {
        let bytes = |encoded: &Of<S>| match encoded {
            Encoded::Factor(factor) => S::factor_bytes(factor),
            Encoded::Summand(summand) => S::summand_bytes(summand),
        };
        match self {
            Self::Kept(kept) => kept.encoded.iter().map(bytes).sum(),
            Self::AtUse { .. } => 0,
        }
    }

    /// Those of one run.
    pub fn of_run(&self) -> OfRun<'_, S> {
        match self {
            Self::Kept(kept) => OfRun::Kept(kept),
            Self::AtUse { uses, encoders } => {
                let none = uses.iter().map(|_| None).collect();
                OfRun::Made { encoded: none, uses: uses.clone(), spare: vec![], encoders }
            }
        }
    }
}

/// The plaintexts of one run.
pub(crate) enum OfRun<'a, S: Scheme> {
    Kept(&'a Kept<S>),
    /// Those that are there, and how often each is still used.
    Made {
        encoded: Vec<Option<Of<S>>>,
        uses: Vec<usize>,
        /// Those that are used no more: their memory is the next ones'. Fresh pages would cost a fault and a
        /// zeroing each, about a fifth of all encoding. As each that is made takes one, there are never more
        /// of both together than some operation needed.
        spare: Vec<Of<S>>,
        encoders: &'a Pool,
    },
}

impl<S: Scheme> OfRun<'_, S> {
    /// Makes what an operation needs and is not there, and tells how long that took.
    pub fn make(&mut self, circuit: &Circuit, scheme: &S, operation: &Operation) -> Result<Duration, Error> {
        let Self::Made { encoded, spare, encoders, .. } = self else { return Ok(Duration::ZERO) };
        let start = Instant::now();
        let mut missing: Vec<usize> = operation.plains().iter().map(|plain| plain.index()).collect();
        missing.sort_unstable();
        missing.dedup();
        missing.retain(|index| encoded[*index].is_none());
        let spares = std::iter::repeat_with(|| spare.pop());
        let make = |(index, spare): (&usize, Option<Of<S>>)| {
            // A polynomial that a thread drops is the memory of the next one that it makes.
            drop(spare);
            let spec = &circuit.plains()[*index];
            encode(scheme, spec, &numbers(circuit, spec)?)
        };
        let made = encoders.run(|| parallel::map(missing.iter().zip(spares.take(missing.len())), make));
        for (index, made) in missing.into_iter().zip(made) {
            encoded[index] = Some(made?);
        }
        Ok(start.elapsed())
    }

    /// Takes away what an operation was the last to use.
    pub fn release(&mut self, operation: &Operation) {
        let Self::Made { encoded, uses, spare, .. } = self else { return };
        for plain in operation.plains() {
            uses[plain.index()] -= 1;
            if uses[plain.index()] == 0 {
                spare.extend(encoded[plain.index()].take());
            }
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
            Self::Made { encoded, .. } => {
                encoded[plain.index()].as_ref().expect("what an operation needs is made before it")
            }
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

/// The numbers of a plaintext, which repeat as it says.
fn numbers(circuit: &Circuit, spec: &PlainSpec) -> Result<Vec<f64>, Error> {
    let numbers = spec.numbers.make();
    if !spec.repeats_as_said(&numbers, circuit.slots()) {
        return Err(Error::Repeats { expected: spec.repeats });
    }
    Ok(numbers)
}

/// A plaintext in the scheme's form for its role.
fn encode<S: Scheme>(scheme: &S, spec: &PlainSpec, numbers: &[f64]) -> Result<Of<S>, Error> {
    let (level, scale) = (spec.level, spec.scale);
    let factor = |extension| Ok(Encoded::Factor(scheme.factor(numbers, level, scale, extension)?));
    match spec.role {
        Role::Factor => factor(Extension::Plain),
        Role::ExtendedFactor => factor(Extension::Extended),
        Role::Summand(encoding) => Ok(Encoded::Summand(scheme.summand(numbers, encoding, level, scale)?)),
    }
}
