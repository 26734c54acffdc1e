//! From a network and a choice to the circuit: one straight line over the layers.

use crate::kernels::{self, Dense, NOMINAL_SCALE, ScoreLayer, Taps, Visits};
use crate::representation::{Periodic, Representation};
use crate::stack::Stack;
use crate::{Choice, Error, ReplyLayout, TapLayout};
use circuit::{Builder, Circuit, Label, Output, Reading, Value};
use ckks::{Level, Parameters, Rescale};
use std::sync::Arc;

/// The circuit of a plan, with the layouts of its input and reply.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub circuit: Circuit,
    pub input: TapLayout,
    pub reply: ReplyLayout,
}

/// The level that inputs are encrypted at: one for each layer.
pub(crate) fn input_level(parameters: &Parameters) -> Result<Level, Error> {
    let level = Level(Stack::DEPTH);
    if level > parameters.max_level() {
        let (what, actual) = ("depth of the network", Stack::DEPTH);
        let expected = format!("at most the {} levels of the parameters", parameters.max_level().0);
        return Err(Error::does_not_fit(what, actual, expected));
    }
    Ok(level)
}

/// Builds the circuit. `bound` is what no score's magnitude should exceed.
pub(crate) fn assemble(
    stack: &Arc<Stack>,
    parameters: &Parameters,
    choice: &Choice,
    bound: f64,
) -> Result<Assembly, Error> {
    let (slots, level) = (parameters.slots(), input_level(parameters)?);
    choice.validate(stack, slots)?;
    let layout = TapLayout::new(&stack.first, stack.input, choice.taps_per_input, choice.carries_one, slots)?;
    let layout = Arc::new(layout.spaced(choice.spacing)?);
    let rows = Periodic::new(stack.hidden.rows, choice.carries_one);
    let reply = ReplyLayout::new(stack.last.rows, bound, parameters.modulus(Level(0)), slots / rows.period)?;
    let reply = Arc::new(reply);

    let visits = Arc::new(Visits::new(layout.sums(), rows));
    let taps = Taps { stack: stack.clone(), layout: layout.clone(), sum: choice.tap_sum.clone() };
    let dense =
        Dense { stack: stack.clone(), visits, babies: choice.baby_steps, fold: choice.row_sum.clone() };
    let scores = ScoreLayer { stack: stack.clone(), layout: reply.clone(), columns: rows };

    let mut b = Builder::new(parameters.clone());
    let inputs = (0..layout.ciphertexts()).map(|_| b.input(level, NOMINAL_SCALE));
    let inputs = inputs.collect::<Result<Vec<Value>, _>>()?;
    let [seen, copies] = [Representation::Taps((*layout).clone()), Representation::Copies(layout.sums())];
    let repeated = Representation::Periodic(rows);
    let read = Representation::Coefficients { indices: reply.indices() };
    let label = |layer: usize, kind: &str, from: &Representation, to: &Representation| Label {
        name: stack.names[layer].clone(),
        kind: kind.into(),
        representation_in: from.to_string(),
        representation_out: to.to_string(),
    };
    let square = |b: &mut Builder, v| b.multiply(v, v, Rescale::Yes);

    let v = b.layer(label(0, "convolution", &seen, &copies), |b| kernels::convolution(b, &taps, &inputs))?;
    let v = b.layer(label(1, "square", &copies, &copies), |b| square(b, v))?;
    let v = b.layer(label(2, "dense", &copies, &repeated), |b| kernels::dense(b, &dense, v))?;
    let v = b.layer(label(3, "square", &repeated, &repeated), |b| square(b, v))?;
    let v = b.layer(label(4, "dense", &repeated, &read), |b| kernels::reply(b, &scores, v))?;
    let circuit = b.finish(vec![Output { value: v, reading: Reading::Coefficients(reply.indices()) }])?;
    Ok(Assembly { circuit, input: (*layout).clone(), reply: (*reply).clone() })
}
