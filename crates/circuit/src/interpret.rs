//! What all executors that compute values share: the order of the nodes, and when a value is no longer
//! needed.

use crate::Error;
use crate::circuit::{Circuit, Node, Operation, Output, Value};

/// Computes a circuit's values in some domain: plain numbers, estimates, ciphertexts.
pub(crate) trait Executor {
    /// What a value is.
    type Value;

    /// The value of encrypted input `index`, whose node is `node`.
    fn input(&mut self, index: usize, node: &Node) -> Result<Self::Value, Error>;

    /// The value of any other node.
    fn evaluate(
        &mut self,
        value: Value,
        node: &Node,
        values: &mut Live<Self::Value>,
    ) -> Result<Self::Value, Error>;

    /// The values that a chain beginning at this node ends in, where the executor computes all of its nodes
    /// together.
    fn chain(
        &mut self,
        _start: usize,
        _values: &Live<Self::Value>,
    ) -> Result<Option<Vec<Self::Value>>, Error> {
        Ok(None)
    }

    /// Looks at a value as soon as it is there.
    fn observe(&mut self, _value: Value, _node: &Node, _computed: &Self::Value) -> Result<(), Error> {
        Ok(())
    }
}

/// The values that are still needed.
pub(crate) struct Live<T> {
    values: Vec<Option<T>>,
    uses: Vec<usize>,
}

impl<T: Clone> Live<T> {
    /// A value. It is there: nodes come after their operands, and values stay until their last use.
    pub fn get(&self, value: Value) -> &T {
        self.values[value.index()].as_ref().expect("a value lives until its last use")
    }

    /// A value to be consumed: moved out where this is its last use.
    pub fn take(&mut self, value: Value) -> T {
        let slot = &mut self.values[value.index()];
        let value = if self.uses[value.index()] == 1 { slot.take() } else { slot.clone() };
        value.expect("a value lives until its last use")
    }

    fn release(&mut self, value: Value) {
        self.uses[value.index()] -= 1;
        if self.uses[value.index()] == 0 {
            self.values[value.index()] = None;
        }
    }
}

/// Runs the circuit's nodes in order, each value dropped after its last use, and returns the outputs.
pub(crate) fn run<E: Executor>(circuit: &Circuit, executor: &mut E) -> Result<Vec<E::Value>, Error>
where
    E::Value: Clone,
{
    let mut live = Live { values: Vec::with_capacity(circuit.nodes.len()), uses: circuit.uses() };
    let mut ready = 0;
    for (index, node) in circuit.nodes.iter().enumerate() {
        if index < ready {
            node.operation.operands().into_iter().for_each(|v| live.release(v));
            continue;
        }
        if let Some(values) = executor.chain(index, &live)? {
            let chain = circuit.chain_at(index).expect("a chain that was computed");
            live.values.resize_with(chain.reduced.start, || None);
            let needed = chain.reduced.clone().map(|i| live.uses[i] > 0);
            let values: Vec<_> = needed.zip(values).map(|(needed, value)| needed.then_some(value)).collect();
            live.values.extend(values);
            ready = chain.reduced.end;
            node.operation.operands().into_iter().for_each(|v| live.release(v));
            continue;
        }
        let value = match node.operation {
            Operation::Input(input) => executor.input(input, node)?,
            _ => executor.evaluate(Value(index), node, &mut live)?,
        };
        executor.observe(Value(index), node, &value)?;
        live.values.push((live.uses[index] > 0).then_some(value));
        node.operation.operands().into_iter().for_each(|v| live.release(v));
    }
    let output = |o: &Output| {
        let value = live.take(o.value);
        live.release(o.value);
        value
    };
    Ok(circuit.outputs.iter().map(output).collect())
}
