//! The encrypted executor: the circuit on ciphertexts.

use crate::backend::{Backend, Scheme};
use crate::chain::{ChainEnd, EncodedChain};
use crate::circuit::{Circuit, GiantStep, Node, Operation, Value};
use crate::interpret::{self, Executor, Live};
use crate::plaintexts::{OfRun, Plaintexts};
use crate::{Counts, Error, Plain};
use blindsight_ckks::{Ciphertext, Context, Rescale, Unrelinearised};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A circuit whose plaintexts a scheme encodes: made once for a model, run for every request.
pub struct Program<S: Scheme = Context> {
    circuit: Circuit,
    plaintexts: Plaintexts<S>,
    /// Its chains by their first node, encoded.
    chains: BTreeMap<usize, EncodedChain<S::Chain>>,
}

impl<S: Scheme> std::fmt::Debug for Program<S> {
    /// The circuit: weights are not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("circuit", &self.circuit).finish_non_exhaustive()
    }
}

/// What a run gave.
#[derive(Debug)]
pub struct Run<C = Ciphertext, U = Unrelinearised> {
    /// The outputs that are ciphertexts, in order.
    pub outputs: Vec<C>,
    /// The outputs that were not relinearised, in order.
    pub unrelinearised: Vec<U>,
    /// The operations that were performed, counted as they were. Holds no [`Work`](crate::Work): that lies
    /// below.
    pub counts: Counts,
    /// How long the run waited for plaintexts, where they are encoded in each run; no operation of it ran
    /// meanwhile.
    pub encoding: Duration,
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
        let plaintexts = Plaintexts::before(&circuit, scheme)?;
        Self::with_plaintexts(circuit, scheme, plaintexts)
    }

    /// Encodes chains only. Each run encodes other plaintexts for their first use and drops them after their
    /// last one: for whoever runs the circuit once, and would not read again what it wrote to memory. So
    /// many helpers, threads beside those of the run, go ahead of it.
    ///
    /// # Errors
    /// Where a weight of a chain is too large. A run fails for what [`encode_by`](Self::encode_by) does.
    pub fn encode_at_use(circuit: Circuit, scheme: &S, helpers: usize) -> Result<Self, Error> {
        let plaintexts = Plaintexts::at_use(&circuit, helpers);
        Self::with_plaintexts(circuit, scheme, plaintexts)
    }

    fn with_plaintexts(circuit: Circuit, scheme: &S, plaintexts: Plaintexts<S>) -> Result<Self, Error> {
        let starts = (0..circuit.nodes().len()).filter_map(|start| Some((start, circuit.chain_at(start)?)));
        let chains = starts.map(|(start, chain)| Ok((start, EncodedChain::new(&circuit, scheme, &chain)?)));
        let chains = chains.collect::<Result<_, Error>>()?;
        Ok(Self { circuit, plaintexts, chains })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Bytes of the encoded plaintexts in memory, between runs.
    pub fn bytes(&self) -> usize {
        let chains: usize = self.chains.values().map(|chain| S::chain_bytes(chain.stages())).sum();
        self.plaintexts.bytes() + chains
    }

    /// Runs the circuit. Work on different blocks of limbs is spread over the threads of the rayon pool it is
    /// called in; each value is freed after its last use.
    ///
    /// # Errors
    /// Where the inputs are not of the number, levels and scales that the circuit takes, and where a key is
    /// missing.
    pub fn run<B: Backend<Scheme = S>, I: Inputs<S::Ciphertext> + ?Sized>(
        &self,
        backend: &B,
        inputs: &I,
    ) -> Result<Run<S::Ciphertext, S::Unrelinearised>, Error> {
        let expected = self.circuit.inputs().len();
        if inputs.count() != expected {
            return Err(Error::Inputs { expected, actual: inputs.count() });
        }
        self.plaintexts
            .run(&self.circuit, backend.scheme(), |plaintexts| self.run_with(backend, inputs, plaintexts))
    }

    fn run_with<B: Backend<Scheme = S>, I: Inputs<S::Ciphertext> + ?Sized>(
        &self,
        backend: &B,
        inputs: &I,
        plaintexts: OfRun<'_, S>,
    ) -> Result<Run<S::Ciphertext, S::Unrelinearised>, Error> {
        let (counts, encoding) = (Counts::default(), Duration::ZERO);
        let mut encrypted = Encrypted { program: self, plaintexts, backend, inputs, counts, encoding };
        let computed = interpret::run(&self.circuit, &mut encrypted)?;
        let Encrypted { counts, encoding, .. } = encrypted;
        let mut run = Run { outputs: vec![], unrelinearised: vec![], counts, encoding };
        for output in computed {
            match output {
                Held::Ciphertext(ciphertext) => run.outputs.push(ciphertext.into_owned()),
                Held::Unrelinearised(value) => run.unrelinearised.push(value),
            }
        }
        Ok(run)
    }
}

/// The ciphertexts that a run takes: a slice of them, or whatever makes each when the circuit comes to it.
pub trait Inputs<C: Clone> {
    /// How many there are.
    fn count(&self) -> usize;

    /// One of them; it is asked for once.
    fn get(&self, index: usize) -> Cow<'_, C>;
}

impl<C: Clone, T: AsRef<[C]> + ?Sized> Inputs<C> for T {
    fn count(&self) -> usize {
        self.as_ref().len()
    }

    fn get(&self, index: usize) -> Cow<'_, C> {
        Cow::Borrowed(&self.as_ref()[index])
    }
}

struct Encrypted<'a, B: Backend, I: ?Sized> {
    program: &'a Program<B::Scheme>,
    plaintexts: OfRun<'a, B::Scheme>,
    backend: &'a B,
    inputs: &'a I,
    counts: Counts,
    encoding: Duration,
}

type CiphertextOf<B> = <<B as Backend>::Scheme as Scheme>::Ciphertext;
type UnrelinearisedOf<B> = <<B as Backend>::Scheme as Scheme>::Unrelinearised;

/// A value while a circuit runs.
#[derive(Clone)]
enum Held<'a, C: Clone, U> {
    Ciphertext(Cow<'a, C>),
    Unrelinearised(U),
}

type HeldBy<'a, B> = Held<'a, CiphertextOf<B>, UnrelinearisedOf<B>>;

impl<'a, C: Clone, U> Held<'a, C, U> {
    /// The ciphertext, where an operation takes no other value: the builder has seen to it.
    fn ciphertext(&self) -> &C {
        match self {
            Self::Ciphertext(ciphertext) => ciphertext,
            Self::Unrelinearised(_) => unreachable!("only a plaintext is added to what has three parts"),
        }
    }

    fn into_ciphertext(self) -> C {
        match self {
            Self::Ciphertext(ciphertext) => ciphertext.into_owned(),
            Self::Unrelinearised(_) => unreachable!("only a plaintext is added to what has three parts"),
        }
    }
}

impl<'a, B: Backend, I: Inputs<CiphertextOf<B>> + ?Sized> Executor for Encrypted<'a, B, I> {
    type Value = HeldBy<'a, B>;

    fn input(&mut self, index: usize, node: &Node) -> Result<Self::Value, Error> {
        let input = self.inputs.get(index);
        let (level, scale) = <B::Scheme as Scheme>::level_and_scale(&input);
        if level != node.level || !scale.agrees(node.scale) {
            let (expected_level, expected_scale) = (node.level, node.scale);
            return Err(Error::InputType { index, level, scale, expected_level, expected_scale });
        }
        Ok(Held::Ciphertext(input))
    }

    fn evaluate(
        &mut self,
        value: Value,
        node: &Node,
        values: &mut Live<Self::Value>,
    ) -> Result<Self::Value, Error> {
        self.encoding += self.plaintexts.make(value, &node.operation)?;
        let computed = self.compute(value, &node.operation, values)?;
        self.plaintexts.release(value, &node.operation);
        Ok(computed)
    }

    fn chain(&mut self, start: usize, values: &Live<Self::Value>) -> Result<Option<Vec<Self::Value>>, Error> {
        let Some(chain) = self.program.chains.get(&start) else { return Ok(None) };
        self.counts += chain.performed();
        Ok(Some(match chain.run(self.backend, |v| values.get(v).ciphertext())? {
            ChainEnd::Reduced(values) => {
                values.into_iter().map(|value| Held::Ciphertext(Cow::Owned(value))).collect()
            }
            ChainEnd::Divided(values) => values.into_iter().map(Held::Unrelinearised).collect(),
        }))
    }
}

impl<'a, B: Backend, I: ?Sized> Encrypted<'a, B, I> {
    fn compute(
        &mut self,
        value: Value,
        operation: &Operation,
        values: &mut Live<HeldBy<'a, B>>,
    ) -> Result<HeldBy<'a, B>, Error> {
        self.counts += performed(operation);
        if let Operation::AddPlain(value, plain) = operation {
            return self.add_plain(values.take(*value), *plain);
        }
        let get = |v: Value| values.get(v).ciphertext();
        let (plaintexts, backend) = (&self.plaintexts, self.backend);
        let computed = match operation {
            Operation::Input(_) => unreachable!("inputs are given, not computed"),
            Operation::Sum { .. } | Operation::Square(_) | Operation::Product { .. } => {
                unreachable!("a chain is computed as a whole")
            }
            Operation::Reduce { .. } | Operation::Divide { .. } => {
                unreachable!("a chain is computed as a whole")
            }
            Operation::AddPlain(..) => unreachable!("added above, whatever to"),
            Operation::Dot { terms, rescale } => {
                let pairs = terms.iter().map(|(v, p)| (get(*v), plaintexts.factor(*p)));
                backend.dot(&pairs.collect::<Vec<_>>(), *rescale)?
            }
            Operation::Add(a, b) => backend.add(get(*a), get(*b))?,
            Operation::Sub(a, b) => backend.sub(get(*a), get(*b))?,
            Operation::Multiply { a, b, rescale } => backend.multiply(get(*a), get(*b), *rescale)?,
            Operation::Rotate(value, steps) => backend.rotate(get(*value), *steps)?,
            Operation::Transform { values: inputs, order, rescale, .. } => {
                let inputs: Vec<_> = inputs.iter().map(|v| get(*v)).collect();
                backend.transform(&inputs, &plaintexts.giant_steps(value), *order, *rescale)?
            }
            Operation::RotateAndSum { value, stages, rescale } => {
                backend.rotate_and_sum(values.take(*value).into_ciphertext(), stages, *rescale)?
            }
            Operation::Rescale(value) => backend.rescale(values.take(*value).into_ciphertext())?,
            Operation::DropLevel(value, level) => {
                backend.drop_level(values.take(*value).into_ciphertext(), *level)?
            }
        };
        Ok(Held::Ciphertext(Cow::Owned(computed)))
    }

    fn add_plain(&self, value: HeldBy<'a, B>, plain: Plain) -> Result<HeldBy<'a, B>, Error> {
        let summand = self.plaintexts.summand(plain);
        Ok(match value {
            Held::Ciphertext(ciphertext) => {
                Held::Ciphertext(Cow::Owned(self.backend.add_plain(ciphertext.into_owned(), summand)?))
            }
            Held::Unrelinearised(value) => {
                Held::Unrelinearised(self.backend.add_plain_unrelinearised(value, summand)?)
            }
        })
    }
}

/// What an operation performs, counted from the operation itself: the dry run's counts are held against
/// these.
fn performed(operation: &Operation) -> Counts {
    let mut counts = Counts::default();
    match operation {
        Operation::Input(_) | Operation::DropLevel(..) => {}
        Operation::Sum { .. } | Operation::Square(_) | Operation::Product { .. } => {}
        Operation::Reduce { .. } | Operation::Divide { .. } => {}
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
