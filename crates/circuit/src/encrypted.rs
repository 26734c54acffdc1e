//! The encrypted executor: the circuit on ciphertexts.

use crate::circuit::{Circuit, Node, Operation, Value};
use crate::interpret::{self, Executor, Live};
use crate::plain::{PlainSpec, Role};
use crate::scalar::Chain;
use crate::{Counts, Error, Plain};
use ckks::{
    Ciphertext, Context, Evaluator, Extension, LinearTransform, PlainFactor, PlainSummand, Pointwise,
    Rescale, ScalarRow,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A circuit with its plaintexts encoded: made once for a model, run for every request.
#[derive(Debug)]
pub struct Program {
    circuit: Circuit,
    /// For each node its plaintexts, encoded.
    plaintexts: Vec<Plaintexts>,
    /// The chains, by their first node.
    chains: BTreeMap<usize, EncodedChain>,
}

/// A chain, ready to run.
#[derive(Debug)]
struct EncodedChain {
    inputs: Vec<Value>,
    stages: Pointwise,
    rescales: usize,
    /// What one run of it performs.
    counts: Counts,
}

#[derive(Debug)]
enum Plaintexts {
    None,
    Factors(Vec<PlainFactor>),
    Summand(PlainSummand),
    Transform(LinearTransform),
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    /// The outputs, in order.
    pub outputs: Vec<Ciphertext>,
    /// The operations that were performed, counted as they were. Holds no [`Work`](crate::Work): that lies below.
    pub counts: Counts,
}

impl Program {
    /// Encodes the circuit's plaintexts, one node at a time: beside the encoded ones no more than one is in memory.
    ///
    /// # Errors
    /// Where a plaintext cannot be encoded: too many numbers, none finite, too large for its level.
    pub fn encode(circuit: Circuit, context: &Context) -> Result<Self, Error> {
        let plaintexts = circuit.nodes().iter().map(|node| encode_node(&circuit, context, node));
        let plaintexts = plaintexts.collect::<Result<_, _>>()?;
        let starts = (0..circuit.nodes().len()).filter_map(|start| Some((start, circuit.chain_at(start)?)));
        let chains = starts.map(|(start, chain)| Ok((start, encode_chain(&circuit, context, &chain)?)));
        Ok(Self { plaintexts, chains: chains.collect::<Result<_, Error>>()?, circuit })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Bytes of the encoded plaintexts in memory.
    pub fn bytes(&self) -> usize {
        let chains: usize = self.chains.values().map(|c| c.stages.bytes()).sum();
        self.plaintexts.iter().map(Plaintexts::bytes).sum::<usize>() + chains
    }

    /// Runs the circuit. Work on different limbs is spread over the threads of the rayon pool it is called in; each value is freed after
    /// its last use.
    ///
    /// # Errors
    /// Where the inputs are not of the number, levels and scales that the circuit takes, and where a key is missing.
    pub fn run(&self, evaluator: &Evaluator<'_>, inputs: &[Ciphertext]) -> Result<Run, Error> {
        self.check_inputs(inputs)?;
        let mut encrypted =
            Encrypted { program: self, evaluator, inputs, node: 0, counts: Counts::default() };
        let outputs = interpret::run(&self.circuit, &mut encrypted)?;
        Ok(Run { outputs: outputs.into_iter().map(Cow::into_owned).collect(), counts: encrypted.counts })
    }

    fn check_inputs(&self, inputs: &[Ciphertext]) -> Result<(), Error> {
        let expected: Vec<&Node> = self.circuit.inputs().map(|v| self.circuit.node(v)).collect();
        if inputs.len() != expected.len() {
            return Err(Error::Inputs { expected: expected.len(), actual: inputs.len() });
        }
        for (index, (input, node)) in inputs.iter().zip(expected).enumerate() {
            let (level, scale) = (input.level(), input.scale());
            if level != node.level || !scale.agrees(node.scale) {
                let (expected_level, expected_scale) = (node.level, node.scale);
                return Err(Error::InputType { index, level, scale, expected_level, expected_scale });
            }
        }
        Ok(())
    }
}

impl Plaintexts {
    fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Factors(factors) => factors.iter().map(PlainFactor::bytes).sum(),
            Self::Summand(summand) => summand.bytes(),
            Self::Transform(map) => map.giants.iter().flat_map(|g| &g.terms).map(|(_, f)| f.bytes()).sum(),
        }
    }
}

fn encode_node(circuit: &Circuit, context: &Context, node: &Node) -> Result<Plaintexts, Error> {
    let factor = |plain: &Plain| encode_factor(context, circuit.plain(*plain));
    Ok(match &node.operation {
        Operation::Dot { terms, .. } => {
            Plaintexts::Factors(terms.iter().map(|(_, plain)| factor(plain)).collect::<Result<_, _>>()?)
        }
        Operation::AddPlain(_, plain) => Plaintexts::Summand(encode_summand(context, circuit.plain(*plain))?),
        Operation::Transform { giants, .. } => {
            let giant = |giant: &crate::Giant| -> Result<ckks::Giant, Error> {
                let terms = giant.terms.iter().map(|(baby, plain)| Ok((*baby, factor(plain)?)));
                Ok(ckks::Giant { rotation: giant.rotation, terms: terms.collect::<Result<_, Error>>()? })
            };
            let giants = giants.iter().map(giant).collect::<Result<_, _>>()?;
            Plaintexts::Transform(LinearTransform { giants })
        }
        _ => Plaintexts::None,
    })
}

fn encode_chain(circuit: &Circuit, context: &Context, chain: &Chain) -> Result<EncodedChain, Error> {
    let node = |stage: &Range<usize>| &circuit.nodes()[stage.start];
    let first = &chain.stages[0];
    let inputs = match &node(first).operation {
        Operation::Sum { stage, .. } => stage.inputs.clone(),
        _ => first.clone().flat_map(|i| circuit.nodes()[i].operation.operands()).collect(),
    };
    let input = circuit.node(inputs[0]);
    let (mut stages, mut counts) =
        (Pointwise::new(inputs.len(), input.level, input.scale), Counts::default());
    for stage in &chain.stages {
        match &node(stage).operation {
            Operation::Sum { stage, .. } => {
                let rows: Vec<ScalarRow> = (0..stage.rows.count()).map(|r| stage.rows.row(r)).collect();
                stages.sums(context, &rows, stage.scale)?;
                rows.iter().for_each(|row| count_row(&mut counts, row));
            }
            _ => {
                stages.squares();
                counts.ciphertext_multiplications += stage.len() as u64;
            }
        }
    }
    let Operation::Reduce { value, rescales } = node(&chain.reduced).operation else {
        unreachable!("a chain ends where its values are reduced")
    };
    let squared = circuit.parts(value) > 2;
    counts.relinearizations = if squared { chain.reduced.len() as u64 } else { 0 };
    counts.rescales = (rescales * chain.reduced.len()) as u64;
    Ok(EncodedChain { inputs, stages, rescales, counts })
}

fn encode_factor(context: &Context, spec: &PlainSpec) -> Result<PlainFactor, Error> {
    let extension = match spec.role {
        Role::ExtendedFactor => Extension::Extended,
        Role::Factor | Role::Summand(_) => Extension::Plain,
    };
    Ok(context.encode_factor(&spec.numbers.make(), spec.level, spec.scale, extension)?)
}

fn encode_summand(context: &Context, spec: &PlainSpec) -> Result<PlainSummand, Error> {
    let encoding = match spec.role {
        Role::Summand(encoding) => encoding,
        Role::Factor | Role::ExtendedFactor => ckks::Encoding::Slots,
    };
    Ok(context.encode_summand(&spec.numbers.make(), encoding, spec.level, spec.scale)?)
}

struct Encrypted<'a> {
    program: &'a Program,
    evaluator: &'a Evaluator<'a>,
    inputs: &'a [Ciphertext],
    /// The index of the node that is computed next.
    node: usize,
    counts: Counts,
}

impl<'a> Executor for Encrypted<'a> {
    type Value = Cow<'a, Ciphertext>;

    fn input(&mut self, index: usize, _node: &Node) -> Result<Self::Value, Error> {
        Ok(Cow::Borrowed(&self.inputs[index]))
    }

    fn evaluate(&mut self, node: &Node, values: &mut Live<Self::Value>) -> Result<Self::Value, Error> {
        let plaintexts = &self.program.plaintexts[self.node];
        Ok(Cow::Owned(self.compute(&node.operation, plaintexts, values)?))
    }

    fn chain(&mut self, start: usize, values: &Live<Self::Value>) -> Result<Option<Vec<Self::Value>>, Error> {
        let Some(chain) = self.program.chains.get(&start) else { return Ok(None) };
        let inputs: Vec<&Ciphertext> = chain.inputs.iter().map(|v| values.get(*v).as_ref()).collect();
        let reduced = self.evaluator.pointwise(&inputs, &chain.stages, chain.rescales)?;
        self.counts += chain.counts;
        self.node = start + self.program.circuit.chain_at(start).map_or(0, |c| c.reduced.end - start);
        Ok(Some(reduced.into_iter().map(Cow::Owned).collect()))
    }

    fn observe(&mut self, value: Value, _node: &Node, _computed: &Self::Value) -> Result<(), Error> {
        self.node = value.index() + 1;
        Ok(())
    }
}

impl<'a> Encrypted<'a> {
    fn compute(
        &mut self,
        operation: &Operation,
        plaintexts: &Plaintexts,
        values: &mut Live<Cow<'a, Ciphertext>>,
    ) -> Result<Ciphertext, Error> {
        let (evaluator, counts) = (self.evaluator, &mut self.counts);
        Ok(match (operation, plaintexts) {
            (Operation::Dot { terms, rescale }, Plaintexts::Factors(factors)) => {
                let pairs = terms.iter().map(|(v, _)| values.get(*v).as_ref()).zip(factors);
                let pairs: Vec<(&Ciphertext, &PlainFactor)> = pairs.collect();
                count_products(counts, pairs.len());
                count_rescale(counts, *rescale);
                evaluator.dot(&pairs, *rescale)?
            }
            (Operation::Add(a, b), _) => {
                counts.additions += 1;
                evaluator.add(values.get(*a), values.get(*b))?
            }
            (Operation::Sub(a, b), _) => {
                counts.additions += 1;
                evaluator.sub(values.get(*a), values.get(*b))?
            }
            (Operation::AddPlain(value, _), Plaintexts::Summand(summand)) => {
                counts.additions += 1;
                evaluator.add_plain(values.take(*value).into_owned(), summand)?
            }
            (Operation::Multiply { a, b, rescale }, _) => {
                counts.ciphertext_multiplications += 1;
                counts.relinearizations += 1;
                count_rescale(counts, *rescale);
                evaluator.multiply(values.get(*a), values.get(*b), *rescale)?
            }
            (Operation::Rotate(value, steps), _) => {
                counts.rotations += u64::from(*steps != 0);
                evaluator.rotate(values.get(*value), *steps)?
            }
            (Operation::Transform { value, rescale, .. }, Plaintexts::Transform(map)) => {
                count_transform(counts, map);
                count_rescale(counts, *rescale);
                evaluator.transform(values.get(*value), map, *rescale)?
            }
            (Operation::Fold { value, stages, rescale }, _) => {
                stages.iter().for_each(|stage| count_fold_stage(counts, stage));
                count_rescale(counts, *rescale);
                evaluator.fold(values.take(*value).into_owned(), stages, *rescale)?
            }
            (Operation::Rescale(value), _) => {
                count_rescale(counts, Rescale::Yes);
                evaluator.rescale(values.take(*value).into_owned())?
            }
            (Operation::DropLevel(value, level), _) => {
                evaluator.drop_level(values.take(*value).into_owned(), *level)?
            }
            (
                Operation::Input
                | Operation::Dot { .. }
                | Operation::AddPlain(..)
                | Operation::Transform { .. }
                | Operation::Sum { .. }
                | Operation::Square(_)
                | Operation::Reduce { .. },
                _,
            ) => {
                unreachable!(
                    "inputs are given, chains computed whole, and every node was encoded with its own plaintexts"
                )
            }
        })
    }
}

fn count_row(counts: &mut Counts, row: &ScalarRow) {
    let products = row.terms.len();
    if products > 0 {
        count_products(counts, products);
        counts.additions += u64::from(row.constant != 0.0);
    }
}

fn count_products(counts: &mut Counts, products: usize) {
    counts.plaintext_multiplications += products as u64;
    counts.additions += products as u64 - 1;
}

fn count_rescale(counts: &mut Counts, rescale: Rescale) {
    counts.rescales += u64::from(rescale == Rescale::Yes);
}

fn count_transform(counts: &mut Counts, map: &LinearTransform) {
    let terms = || map.giants.iter().flat_map(|g| &g.terms);
    let babies: BTreeSet<usize> = terms().map(|(baby, _)| *baby).filter(|b| *b != 0).collect();
    count_products(counts, terms().count());
    count_hoisted(counts, babies.len());
    counts.rotations += map.giants.iter().filter(|g| g.rotation != 0).count() as u64;
}

fn count_fold_stage(counts: &mut Counts, stage: &[usize]) {
    counts.additions += stage.len() as u64;
    count_hoisted(counts, stage.len());
}

fn count_hoisted(counts: &mut Counts, rotations: usize) {
    counts.rotations += rotations as u64;
    counts.hoisted_rotations += if rotations > 1 { rotations as u64 } else { 0 };
}
