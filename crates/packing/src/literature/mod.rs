//! The plans of LoLa (Brutzkus, Elisha and Gilad-Bachrach, arXiv 1812.10659), as its published code runs them.
//!
//! Both take networks that fold to linear layers with squares between them.
//!
//! * [`Named::Lola`]: the client sends an offset ciphertext for each tap of the first convolution. Maps are sums of scalar multiples of
//!   them; the maps are stacked, squared, copied, and multiplied row by row.
//! * [`Named::LolaDense`]: the client sends the image in one ciphertext, and the server cuts the offsets out of it.
//!
//! Rows of the last layer are summed over all slots, so each of its outputs is the same number in every slot: a constant polynomial, of which
//! the server sends one coefficient. Nothing else is in it.

mod build;
mod input;

pub(crate) use input::Input;

use crate::Error;
use crate::kernels::NOMINAL_SCALE;
use crate::matrix::{Kind, Matrix};
use build::Build;
use circuit::{Circuit, Output, Reading, Value};
use ckks::{Level, Parameters, ParametersLiteral, Scale};
use network::{Convolution, Graph, LayerKind, Shape};
use std::sync::Arc;

/// One of the plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// LoLa: offset ciphertexts from the client.
    Lola,
    /// LoLa-Dense: one ciphertext from the client.
    LolaDense,
}

/// A folded network: linear layers, squares between them.
#[derive(Debug)]
pub(crate) struct Chain {
    pub input: Shape,
    pub layers: Vec<Arc<Matrix>>,
    /// The names of the squares.
    pub squares: Vec<String>,
}

impl Chain {
    /// The chain that `graph` folds to.
    ///
    /// # Errors
    /// Where it folds to anything else, with what it is.
    pub fn new(graph: &Graph) -> Result<Self, Error> {
        let folded = graph.folded()?;
        let outputs = folded.shapes()?;
        let refused = || {
            let found: Vec<&str> = folded.layers.iter().map(|l| l.kind.operator()).collect();
            let expected = "linear layers (convolution, dense) with a square between any two";
            Error::Layers { found: found.join(", "), expected }
        };
        let (mut layers, mut squares, mut input) = (vec![], vec![], folded.input);
        for (index, (layer, output)) in folded.layers.iter().zip(outputs).enumerate() {
            match (index % 2, &layer.kind) {
                (0, _) => layers.push(Arc::new(Matrix::new(layer, input, output).ok_or_else(refused)?)),
                (_, LayerKind::Square) => squares.push(layer.name.clone()),
                _ => return Err(refused()),
            }
            input = output;
        }
        let whole = layers.len() == squares.len() + 1;
        whole.then_some(Self { input: folded.input, layers, squares }).ok_or_else(refused)
    }

    /// The convolution that the network begins with, if another linear layer follows.
    fn first_convolution(&self) -> Option<&Convolution> {
        match &self.layers[0].kind {
            Kind::Convolution(layer) if self.layers.len() > 1 => Some(layer),
            _ => None,
        }
    }
}

/// The circuit of a plan, and what client and reply look like.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub circuit: Circuit,
    pub input: Input,
    pub input_level: Level,
    /// The scores, one output each, are coefficient 0.
    pub scores: usize,
    /// The magnitude from which on a score wraps around.
    pub capacity: f64,
}

impl Named {
    /// How many levels a network takes: one for each layer, one for each interleaving, and one for cutting out offsets.
    pub fn depth(self, chain: &Chain) -> usize {
        let linear = chain.layers.len();
        let (interleaved, cut) = match (chain.first_convolution(), self) {
            (None, _) => (linear - 1, 0),
            (Some(_), Self::Lola) => (linear - 2, 0),
            (Some(_), Self::LolaDense) => (linear - 2, 1),
        };
        linear + chain.squares.len() + interleaved + cut
    }
}

/// Parameters of so many levels. Digits have two limbs, and there are two special primes, where the degree has room for them; else digits
/// have one limb: at degree 8192 that makes a sixth level fit.
///
/// # Errors
/// Where the degree has too few primes of the size, or too little room for them.
pub(crate) fn levelled(degree: usize, levels: usize) -> Result<Parameters, Error> {
    let wide = literal(degree, levels, 2)?.validate();
    match wide {
        Err(ckks::Error::Insecure { .. }) => Ok(literal(degree, levels, 1)?.validate()?),
        parameters => Ok(parameters?),
    }
}

/// Levels of 26 bits, a little less on average; the special primes exceed a digit by two bits.
pub(crate) fn literal(degree: usize, levels: usize, digit_limbs: usize) -> Result<ParametersLiteral, Error> {
    let centre = (1 << 26) - (1 << 21);
    let near = ring::primes::search(degree, centre, centre - (1 << 22), centre + (1 << 22));
    let largest = |bits: u32| ring::primes::search(degree, 1 << bits, 1 << (bits - 1), 1 << bits);
    let (base, special) = match (digit_limbs, &largest(28)[..], &largest(30)[..]) {
        (1, [base, ..], [special, ..]) => (*base, vec![*special]),
        (2, [first, second, base, ..], _) => (*base, vec![*first, *second]),
        _ => {
            return Err(Error::does_not_fit("ring degree", degree, "a degree with primes of 28 and 30 bits"));
        }
    };
    let Some(near) = near.get(..levels) else {
        let expected = format!("a degree with {levels} primes of 26 bits");
        return Err(Error::does_not_fit("ring degree", degree, expected));
    };
    let moduli = std::iter::once(base).chain(near.iter().copied()).collect();
    Ok(ParametersLiteral { degree, moduli, special, digit_limbs })
}

/// How many score bounds fit into the capacity, at least.
const HEADROOM: f64 = 2.0;

/// Builds the circuit. `bound` is what no score's magnitude should exceed. With `rescale_first` inner layers are rescaled before they are
/// folded: faster by a fifth, with ten times the error.
///
/// # Errors
/// Where a tensor does not fit a ciphertext, or the parameters have too few levels.
pub(crate) fn assemble(
    plan: Named,
    chain: &Chain,
    parameters: &Parameters,
    bound: f64,
    rescale_first: bool,
) -> Result<Assembly, Error> {
    let input_level = Level(plan.depth(chain));
    if input_level > parameters.max_level() {
        let expected = format!("at most the {} levels of the parameters", parameters.max_level().0);
        return Err(Error::does_not_fit("depth of the network", input_level.0, expected));
    }
    let capacity = (HEADROOM * bound).max(1.0).log2().ceil().exp2();
    let scale = Scale(parameters.modulus(Level(0)) / 2.0 / capacity);
    let mut build = Build::new(plan, chain, parameters, scale, rescale_first);
    let input = build.input()?;
    let inputs = (0..input.ciphertexts()).map(|_| build.b.input(input_level, NOMINAL_SCALE));
    let inputs = inputs.collect::<Result<Vec<Value>, _>>()?;
    let outputs = build.run(&inputs)?;
    let scores = outputs.len();
    let read = |value| Output { value, reading: Reading::Coefficients(vec![0]) };
    let circuit = build.b.finish(outputs.into_iter().map(read).collect())?;
    Ok(Assembly { circuit, input, input_level, scores, capacity })
}
