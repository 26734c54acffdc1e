//! How much memory values take while a circuit runs.

use crate::circuit::{Circuit, GiantStep, Operation, Value};
use crate::plain::Role;
use std::collections::BTreeSet;
use std::ops::Range;

/// The most bytes that values take at once while `circuit` runs, each from when it is there until its last
/// use, as ciphertexts of whole limbs, and with them what a linear transform holds: the sum of each giant
/// step, and rotated inputs where they are brought down. A chain of scalar sums is computed in pieces, so
/// that of its values only the last ones count. What other operations take for themselves comes on top, some
/// ciphertexts a thread.
pub fn working_bytes(circuit: &Circuit) -> u64 {
    let mut live = Live { circuit, uses: circuit.uses(), bytes: 0, most: 0 };
    let mut at = 0;
    while at < circuit.nodes.len() {
        let chain = circuit.chain_at(at);
        let (made, end) =
            chain.map_or((at..at + 1, at + 1), |chain| (chain.reduced.clone(), chain.reduced.end));
        live.most = live.most.max(live.bytes + transform_bytes(circuit, at));
        live.make(made);
        live.release(at..end);
        at = end;
    }
    live.most
}

/// What a node holds for itself while it is computed, where it is a linear transform.
fn transform_bytes(circuit: &Circuit, node: usize) -> u64 {
    let Operation::Transform { values, giant_steps, .. } = &circuit.nodes[node].operation else { return 0 };
    let parameters = &circuit.parameters;
    let (limbs, special) = (parameters.limbs(circuit.node(values[0]).level), parameters.special().len());
    let terms = || giant_steps.iter().flat_map(|giant_step: &GiantStep| &giant_step.terms);
    let extended = terms().any(|term| circuit.plain(term.plain).role == Role::ExtendedFactor);
    let limbs = if extended {
        giant_steps.len() * (limbs + special)
    } else {
        let rotated = terms().filter(|term| term.baby_step != 0).map(|term| (term.input, term.baby_step));
        (giant_steps.len() + at_a_time(&rotated.collect())) * limbs
    };
    (2 * limbs * parameters.degree() * size_of::<u32>()) as u64
}

/// How many of these rotated inputs (of which, by what) a transform holds at a time: those of whole inputs,
/// no more than 128 unless one input has more, as `blindsight_ckks::LinearTransform` is computed.
fn at_a_time(rotated: &BTreeSet<(usize, usize)>) -> usize {
    let rotated: Vec<_> = rotated.iter().collect();
    let of_one_input = rotated.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).max();
    rotated.len().min(128.max(of_one_input.unwrap_or(0)))
}

/// What is held at some point of a run.
struct Live<'a> {
    circuit: &'a Circuit,
    /// How often each value is still read.
    uses: Vec<usize>,
    bytes: u64,
    most: u64,
}

impl Live<'_> {
    fn make(&mut self, nodes: Range<usize>) {
        self.bytes += nodes.filter(|node| self.uses[*node] > 0).map(|node| self.size(node)).sum::<u64>();
        self.most = self.most.max(self.bytes);
    }

    /// Lets go of what these nodes were the last to read; inside a chain nothing is held.
    fn release(&mut self, nodes: Range<usize>) {
        let start = nodes.start;
        for operand in nodes.flat_map(|node| self.circuit.nodes[node].operation.operands()) {
            self.uses[operand.index()] -= 1;
            if self.uses[operand.index()] == 0 && operand.index() < start {
                self.bytes -= self.size(operand.index());
            }
        }
    }

    fn size(&self, node: usize) -> u64 {
        let (value, degree) = (Value(node), self.circuit.parameters.degree());
        let limbs = self.circuit.parameters.limbs(self.circuit.node(value).level);
        let words = self.circuit.parts(value) * limbs * degree;
        (words * size_of::<u32>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Numbers, Output, Reading, Term};
    use blindsight_ckks::{GiantOrder, Level, ParametersLiteral, Rescale, Scale};
    use blindsight_ring::primes;

    /// Three inputs of two limbs live beside the sum of two; the next sum comes when only one of them is
    /// left.
    #[test]
    fn values_count_from_when_they_are_there_to_their_last_use() {
        let mut b = builder();
        let inputs: Vec<_> = (0..3).map(|_| b.input(Level(1), Scale::bits(26.0)).unwrap()).collect();
        let first = b.add(inputs[0], inputs[1]).unwrap();
        let second = b.add(first, inputs[2]).unwrap();
        let circuit = b.finish(vec![Output { value: second, reading: Reading::Slots }]).unwrap();
        assert_eq!(working_bytes(&circuit), 4 * 2 * LIMBS);
    }

    /// Beside the input of two limbs: with plain factors two giant steps' sums and two rotated inputs, of two
    /// limbs; with extended ones the sums alone, of three.
    #[test]
    fn a_transform_holds_the_sums_of_its_giant_steps() {
        let bytes = |role| {
            let mut b = builder();
            let input = b.input(Level(1), Scale::bits(26.0)).unwrap();
            let ones = || Numbers::per_slot(1024, |_| 1.0);
            let plain = b.plain(role, Level(1), Scale::bits(26.0), ones()).unwrap();
            let terms = [0, 1, 2].map(|baby_step| Term { input: 0, baby_step, plain }).to_vec();
            let steps = [0, 4].map(|rotation| GiantStep { rotation, terms: terms.clone() }).to_vec();
            let value = b.transform(vec![input], steps, GiantOrder::Apart, Rescale::Yes).unwrap();
            working_bytes(&b.finish(vec![Output { value, reading: Reading::Slots }]).unwrap())
        };
        assert_eq!(bytes(Role::Factor), 2 * LIMBS + (2 + 2) * 2 * LIMBS);
        assert_eq!(bytes(Role::ExtendedFactor), 2 * LIMBS + 2 * 3 * LIMBS);
    }

    #[test]
    fn rotated_inputs_come_in_groups_unless_they_are_of_one_input() {
        let rotated =
            |inputs: usize, each: usize| (0..inputs).flat_map(|i| (0..each).map(move |k| (i, k))).collect();
        let counts =
            [(0, 0), (3, 40), (4, 40), (2, 200)].map(|(inputs, each)| at_a_time(&rotated(inputs, each)));
        assert_eq!(counts, [0, 120, 128, 200]);
    }

    /// Bytes of a limb of both halves of a ciphertext.
    const LIMBS: u64 = (2 * 1024 * size_of::<u32>()) as u64;

    fn builder() -> Builder {
        let moduli = primes::search(1024, 1 << 26, 1 << 25, 1 << 27)[..2].to_vec();
        let special = primes::search(1024, 1 << 29, 1 << 28, 1 << 30)[..1].to_vec();
        let literal = ParametersLiteral { degree: 1024, moduli, special, digit_limbs: 1 };
        Builder::new(literal.validate_insecure().unwrap())
    }
}
