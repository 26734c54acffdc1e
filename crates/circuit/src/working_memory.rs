//! How much memory values take while a circuit runs.

use crate::circuit::{Circuit, Value};
use std::ops::Range;

/// The most bytes that values take at once while `circuit` runs, each from when it is there until its last
/// use, as ciphertexts of whole limbs. A chain of scalar sums is computed in pieces, so that of its values
/// only the last ones count. What operations take for themselves comes on top, some ciphertexts a thread.
pub fn working_bytes(circuit: &Circuit) -> u64 {
    let mut live = Live { circuit, uses: circuit.uses(), bytes: 0, most: 0 };
    let mut at = 0;
    while at < circuit.nodes.len() {
        let chain = circuit.chain_at(at);
        let (made, end) =
            chain.map_or((at..at + 1, at + 1), |chain| (chain.reduced.clone(), chain.reduced.end));
        live.make(made);
        live.release(at..end);
        at = end;
    }
    live.most
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
    use crate::{Builder, Output, Reading};
    use blindsight_ckks::{Level, ParametersLiteral, Scale};
    use blindsight_ring::primes;

    /// Three inputs of two limbs live beside the sum of two; the next sum comes when only one of them is
    /// left.
    #[test]
    fn values_count_from_when_they_are_there_to_their_last_use() {
        let moduli = primes::search(1024, 1 << 26, 1 << 25, 1 << 27)[..2].to_vec();
        let special = primes::search(1024, 1 << 29, 1 << 28, 1 << 30)[..1].to_vec();
        let literal = ParametersLiteral { degree: 1024, moduli, special, digit_limbs: 1 };
        let parameters = literal.validate_insecure().unwrap();
        let ciphertext = (2 * 2 * 1024 * size_of::<u32>()) as u64;
        let mut b = Builder::new(parameters);
        let inputs: Vec<_> = (0..3).map(|_| b.input(Level(1), Scale::bits(26.0)).unwrap()).collect();
        let first = b.add(inputs[0], inputs[1]).unwrap();
        let second = b.add(first, inputs[2]).unwrap();
        let circuit = b.finish(vec![Output { value: second, reading: Reading::Slots }]).unwrap();
        assert_eq!(working_bytes(&circuit), 4 * ciphertext);
    }
}
