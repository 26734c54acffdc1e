//! The encrypted executor: the circuit on ciphertexts.

use crate::backend::{Backend, Scheme};
use crate::chain::EncodedChain;
use crate::circuit::{Circuit, GiantStep, Node, Operation};
use crate::interpret::{self, Executor, Live};
use crate::plain::{PlainSpec, Role};
use crate::{Counts, Error, Plain};
use blindsight_ckks::{Ciphertext, Context, Extension, Rescale};
use blindsight_ring::parallel;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Mutex;

/// A circuit with its plaintexts encoded by a scheme: made once for a model, run for every request.
pub struct Program<S: Scheme = Context> {
    circuit: Circuit,
    plaintexts: Store<S::Factor, S::Summand>,
    /// For each plaintext of the circuit its position in the store.
    positions: Vec<usize>,
    /// Its chains by their first node, encoded.
    chains: BTreeMap<usize, EncodedChain<S::Chain>>,
}

impl<S: Scheme> std::fmt::Debug for Program<S> {
    /// The circuit: weights are not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("circuit", &self.circuit).finish_non_exhaustive()
    }
}

/// Encoded plaintexts, equal ones once.
struct Store<F, A> {
    encoded: Vec<Encoded<F, A>>,
    /// The positions of plaintexts by a hash of their numbers.
    by_hash: HashMap<u64, Vec<usize>>,
}

/// A plaintext to multiply by, or one to add.
#[derive(PartialEq)]
enum Encoded<F, A> {
    Factor(F),
    Summand(A),
}

/// What a run gave.
#[derive(Debug)]
pub struct Run<C = Ciphertext> {
    /// The outputs, in order.
    pub outputs: Vec<C>,
    /// The operations that were performed, counted as they were. Holds no [`Work`](crate::Work): that lies
    /// below.
    pub counts: Counts,
}

impl Program {
    /// Encodes the circuit's plaintexts for the CPU: see [`encode_by`](Self::encode_by).
    ///
    /// # Errors
    /// Where a plaintext cannot be encoded: too many numbers, none finite, too large for its level.
    pub fn encode(circuit: Circuit, context: &Context) -> Result<Self, Error> {
        Self::encode_by(circuit, context)
    }
}

impl<S: Scheme> Program<S> {
    /// Encodes the circuit's plaintexts, each thread of the rayon pool it is called in one at a time, and
    /// keeps equal ones once.
    ///
    /// # Errors
    /// Where a plaintext cannot be encoded: too many numbers, none finite, too large for its level, or
    /// numbers that do not repeat as it says.
    pub fn encode_by(circuit: Circuit, scheme: &S) -> Result<Self, Error> {
        let store = Mutex::new(Store { encoded: vec![], by_hash: HashMap::new() });
        let positions = parallel::map(circuit.plains().iter(), |spec| {
            let numbers = spec.numbers.make();
            if !spec.repeats_as_said(&numbers, circuit.slots()) {
                return Err(Error::Repeats { expected: spec.repeats });
            }
            let encoded = encode(scheme, spec, &numbers)?;
            Ok(store.lock().expect("nothing panics while it is locked").insert(hash(&numbers), encoded))
        });
        let positions = positions.into_iter().collect::<Result<_, Error>>()?;
        let plaintexts = store.into_inner().expect("nothing panics while it is locked");
        let starts = (0..circuit.nodes().len()).filter_map(|start| Some((start, circuit.chain_at(start)?)));
        let chains = starts.map(|(start, chain)| Ok((start, EncodedChain::new(&circuit, scheme, &chain)?)));
        let chains = chains.collect::<Result<_, Error>>()?;
        Ok(Self { circuit, plaintexts, positions, chains })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Bytes of the encoded plaintexts in memory.
    pub fn bytes(&self) -> usize {
        let chains: usize = self.chains.values().map(|chain| S::chain_bytes(chain.stages())).sum();
        let plaintext = |encoded: &Encoded<S::Factor, S::Summand>| match encoded {
            Encoded::Factor(factor) => S::factor_bytes(factor),
            Encoded::Summand(summand) => S::summand_bytes(summand),
        };
        self.plaintexts.encoded.iter().map(plaintext).sum::<usize>() + chains
    }

    /// A plaintext that the builder has checked to be a factor.
    fn factor(&self, plain: Plain) -> &S::Factor {
        match self.plaintext(plain) {
            Encoded::Factor(factor) => factor,
            Encoded::Summand(_) => unreachable!("products are of factors, by construction"),
        }
    }

    /// A plaintext that the builder has made to be added.
    fn summand(&self, plain: Plain) -> &S::Summand {
        match self.plaintext(plain) {
            Encoded::Summand(summand) => summand,
            Encoded::Factor(_) => unreachable!("sums are of summands, by construction"),
        }
    }

    fn plaintext(&self, plain: Plain) -> &Encoded<S::Factor, S::Summand> {
        &self.plaintexts.encoded[self.positions[plain.index()]]
    }

    /// Runs the circuit. Work on different blocks of limbs is spread over the threads of the rayon pool it is
    /// called in; each value is freed after its last use.
    ///
    /// # Errors
    /// Where the inputs are not of the number, levels and scales that the circuit takes, and where a key is
    /// missing.
    pub fn run<B: Backend<Scheme = S>>(
        &self,
        backend: &B,
        inputs: &[S::Ciphertext],
    ) -> Result<Run<S::Ciphertext>, Error> {
        self.check_inputs(inputs)?;
        let mut encrypted = Encrypted { program: self, backend, inputs, counts: Counts::default() };
        let outputs = interpret::run(&self.circuit, &mut encrypted)?;
        Ok(Run { outputs: outputs.into_iter().map(Cow::into_owned).collect(), counts: encrypted.counts })
    }

    fn check_inputs(&self, inputs: &[S::Ciphertext]) -> Result<(), Error> {
        let expected: Vec<&Node> = self.circuit.inputs().map(|v| self.circuit.node(v)).collect();
        if inputs.len() != expected.len() {
            return Err(Error::Inputs { expected: expected.len(), actual: inputs.len() });
        }
        for (index, (input, node)) in inputs.iter().zip(expected).enumerate() {
            let (level, scale) = S::level_and_scale(input);
            if level != node.level || !scale.agrees(node.scale) {
                let (expected_level, expected_scale) = (node.level, node.scale);
                return Err(Error::InputType { index, level, scale, expected_level, expected_scale });
            }
        }
        Ok(())
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

fn hash(numbers: &[f64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    numbers.iter().for_each(|x| hasher.write_u64(x.to_bits()));
    hasher.finish()
}

/// A plaintext in the scheme's form for its role.
fn encode<S: Scheme>(
    scheme: &S,
    spec: &PlainSpec,
    numbers: &[f64],
) -> Result<Encoded<S::Factor, S::Summand>, Error> {
    let (level, scale) = (spec.level, spec.scale);
    let factor = |extension| Ok(Encoded::Factor(scheme.factor(numbers, level, scale, extension)?));
    match spec.role {
        Role::Factor => factor(Extension::Plain),
        Role::ExtendedFactor => factor(Extension::Extended),
        Role::Summand(encoding) => Ok(Encoded::Summand(scheme.summand(numbers, encoding, level, scale)?)),
    }
}

struct Encrypted<'a, B: Backend> {
    program: &'a Program<B::Scheme>,
    backend: &'a B,
    inputs: &'a [CiphertextOf<B>],
    counts: Counts,
}

type CiphertextOf<B> = <<B as Backend>::Scheme as Scheme>::Ciphertext;

impl<'a, B: Backend> Executor for Encrypted<'a, B> {
    type Value = Cow<'a, CiphertextOf<B>>;

    fn input(&mut self, index: usize, _node: &Node) -> Result<Self::Value, Error> {
        Ok(Cow::Borrowed(&self.inputs[index]))
    }

    fn evaluate(&mut self, node: &Node, values: &mut Live<Self::Value>) -> Result<Self::Value, Error> {
        Ok(Cow::Owned(self.compute(&node.operation, values)?))
    }

    fn chain(&mut self, start: usize, values: &Live<Self::Value>) -> Result<Option<Vec<Self::Value>>, Error> {
        let Some(chain) = self.program.chains.get(&start) else { return Ok(None) };
        self.counts += chain.performed();
        let reduced = chain.run(self.backend, |v| values.get(v).as_ref())?;
        Ok(Some(reduced.into_iter().map(Cow::Owned).collect()))
    }
}

impl<'a, B: Backend> Encrypted<'a, B> {
    fn compute(
        &mut self,
        operation: &Operation,
        values: &mut Live<Cow<'a, CiphertextOf<B>>>,
    ) -> Result<CiphertextOf<B>, Error> {
        self.counts += performed(operation);
        let (program, backend) = (self.program, self.backend);
        Ok(match operation {
            Operation::Input => unreachable!("inputs are given, not computed"),
            Operation::Sum { .. } | Operation::Square(_) | Operation::Reduce { .. } => {
                unreachable!("a chain is computed as a whole")
            }
            Operation::Dot { terms, rescale } => {
                let pairs = terms.iter().map(|(v, p)| (values.get(*v).as_ref(), program.factor(*p)));
                backend.dot(&pairs.collect::<Vec<_>>(), *rescale)?
            }
            Operation::Add(a, b) => backend.add(values.get(*a), values.get(*b))?,
            Operation::Sub(a, b) => backend.sub(values.get(*a), values.get(*b))?,
            Operation::AddPlain(value, plain) => {
                backend.add_plain(values.take(*value).into_owned(), program.summand(*plain))?
            }
            Operation::Multiply { a, b, rescale } => {
                backend.multiply(values.get(*a), values.get(*b), *rescale)?
            }
            Operation::Rotate(value, steps) => backend.rotate(values.get(*value), *steps)?,
            Operation::Transform { values: inputs, giant_steps, order, rescale } => {
                let inputs: Vec<_> = inputs.iter().map(|v| values.get(*v).as_ref()).collect();
                backend.transform(&inputs, giant_steps, |plain| program.factor(plain), *order, *rescale)?
            }
            Operation::RotateAndSum { value, stages, rescale } => {
                backend.rotate_and_sum(values.take(*value).into_owned(), stages, *rescale)?
            }
            Operation::Rescale(value) => backend.rescale(values.take(*value).into_owned())?,
            Operation::DropLevel(value, level) => {
                backend.drop_level(values.take(*value).into_owned(), *level)?
            }
        })
    }
}

/// What an operation performs, counted from the operation itself: the dry run's counts are held against
/// these.
fn performed(operation: &Operation) -> Counts {
    let mut counts = Counts::default();
    match operation {
        Operation::Input | Operation::DropLevel(..) => {}
        Operation::Sum { .. } | Operation::Square(_) | Operation::Reduce { .. } => {}
        Operation::Dot { terms, rescale } => {
            count_products(&mut counts, terms.len());
            count_rescale(&mut counts, *rescale);
        }
        Operation::Add(..) | Operation::Sub(..) | Operation::AddPlain(..) => counts.additions += 1,
        Operation::Multiply { rescale, .. } => {
            counts.ciphertext_multiplications += 1;
            counts.relinearizations += 1;
            count_rescale(&mut counts, *rescale);
        }
        Operation::Rotate(_, steps) => counts.rotations += u64::from(*steps != 0),
        Operation::Transform { giant_steps, rescale, .. } => {
            count_transform(&mut counts, giant_steps);
            count_rescale(&mut counts, *rescale);
        }
        Operation::RotateAndSum { stages, rescale, .. } => {
            stages.iter().for_each(|stage| count_rotate_and_sum_stage(&mut counts, stage));
            count_rescale(&mut counts, *rescale);
        }
        Operation::Rescale(_) => count_rescale(&mut counts, Rescale::Yes),
    }
    counts
}

fn count_products(counts: &mut Counts, products: usize) {
    counts.plaintext_multiplications += products as u64;
    counts.additions += products as u64 - 1;
}

fn count_rescale(counts: &mut Counts, rescale: Rescale) {
    counts.rescales += u64::from(rescale == Rescale::Yes);
}

fn count_transform(counts: &mut Counts, giant_steps: &[GiantStep]) {
    let terms = || giant_steps.iter().flat_map(|g| &g.terms);
    let baby_steps: BTreeSet<(usize, usize)> =
        terms().filter(|t| t.baby_step != 0).map(|t| (t.input, t.baby_step)).collect();
    count_products(counts, terms().count());
    let baby_steps: Vec<_> = baby_steps.into_iter().collect();
    baby_steps.chunk_by(|a, b| a.0 == b.0).for_each(|of_input| count_hoisted(counts, of_input.len()));
    counts.rotations += giant_steps.iter().filter(|g| g.rotation != 0).count() as u64;
}

fn count_rotate_and_sum_stage(counts: &mut Counts, stage: &[usize]) {
    counts.additions += stage.len() as u64;
    count_hoisted(counts, stage.len());
}

fn count_hoisted(counts: &mut Counts, rotations: usize) {
    counts.rotations += rotations as u64;
    counts.hoisted_rotations += if rotations > 1 { rotations as u64 } else { 0 };
}
