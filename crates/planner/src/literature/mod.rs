//! The plans of LoLa (Brutzkus, Elisha and Gilad-Bachrach, arXiv 1812.10659), as its published code runs
//! them. `docs/planner.md` derives their counts.
//!
//! * [`Lola::Offsets`]: the client sends an offset ciphertext for each tap of the first convolution. Maps are
//!   sums of scalar multiples of them; the maps are stacked, squared, copied, and multiplied row by row.
//! * [`Lola::Dense`]: the client sends the image in one ciphertext, and the server cuts the offsets out of
//!   it.
//!
//! Rows of the last layer are summed over all slots, so each of its outputs is the same number in every slot:
//! a constant polynomial, of which the server sends the first coefficient and a few that are zero. Nothing
//! else is in it.

pub(crate) mod batch;
mod build;
mod chain;
pub(crate) mod schedule;

use crate::Error;
pub(crate) use batch::whole_scale;
use blindsight_circuit::{Output, Reading, Value};
use blindsight_ckks::{Level, Parameters};
use blindsight_layers::Assembly;
use blindsight_layout::ReplyLayout;
use build::Build;
pub(crate) use chain::{Chain, Link};
pub(crate) use schedule::largest_weight;
use serde::{Deserialize, Serialize};

/// One of LoLa's plans, by what the client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lola {
    /// LoLa: offset ciphertexts.
    Offsets,
    /// LoLa-Dense: one ciphertext.
    Dense,
}

impl Lola {
    /// How many levels a network takes: one for each layer, one for each interleaving, and one for cutting
    /// out offsets.
    pub(crate) fn depth(self, chain: &Chain) -> usize {
        let inner = chain.links.len() - 1;
        let convolves = inner > 0 && chain.links[0].linear.convolution().is_some();
        chain.depth() + inner - usize::from(convolves) + usize::from(convolves && self == Self::Dense)
    }

    /// Builds the circuit. `bound` is what no score's magnitude should exceed.
    ///
    /// # Errors
    /// Where a tensor does not fit a ciphertext, or the parameters have too few levels.
    pub(crate) fn assemble(
        self,
        chain: &Chain,
        parameters: &Parameters,
        bound: f64,
    ) -> Result<Assembly, Error> {
        let level = Level(self.depth(chain));
        if level > parameters.max_level() {
            let expected = format!("at most the {} levels of the parameters", parameters.max_level().0);
            return Err(Error::does_not_fit("depth of the network", level.0, expected));
        }
        let reply = ReplyLayout::constants(chain.last().linear.rows(), bound, parameters.modulus(Level(0)))?;
        let mut build = Build::new(self, chain, parameters, reply.scale);
        let input = build.input()?;
        let input_scale = parameters.nominal_scale();
        let inputs = (0..input.ciphertexts()).map(|_| build.b.input(level, input_scale));
        let inputs = inputs.collect::<Result<Vec<Value>, _>>()?;
        let scores = build.run(&inputs, &input)?;
        let output = |value| Output { value, reading: Reading::Coefficients(reply.indices()) };
        let circuit = build.b.finish(scores.into_iter().map(output).collect())?;
        Ok(Assembly { circuit, input, input_level: level, input_scale, reply })
    }
}
