//! Builds circuits, and refuses what the parameters cannot carry.

use crate::circuit::{GiantStep, Label, Node, Operation, Output, Plain, Reading, Span, Term, Value};
use crate::plain::{Numbers, PlainSpec, Role};
use crate::scalar::{ProductStage, ScalarRows, SumStage};
use crate::{Circuit, Error};
use blindsight_ckks::{Encoding, GiantOrder, Level, Parameters, Rescale, Scale};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Builds a [`Circuit`] operation by operation.
///
/// Each method appends one node, computes the level and scale of its result, and returns an [`Error`] with
/// the figures where the operands do not fit: no level left, different levels or scales, a rotation out of
/// range.
#[derive(Debug)]
pub struct Builder {
    circuit: Circuit,
    /// The nodes of the last stage of a chain that is not reduced yet.
    stage: Option<Range<usize>>,
    /// The places of the inputs that there are.
    inputs: BTreeSet<usize>,
}

/// Where the nodes of a layer begin.
#[derive(Debug)]
pub struct LayerStart(usize);

impl Builder {
    /// An empty circuit over these parameters.
    pub fn new(parameters: Parameters) -> Self {
        let (nodes, plains, layers, outputs) = Default::default();
        let circuit = Circuit { parameters, nodes, plains, layers, outputs };
        Self { circuit, stage: None, inputs: BTreeSet::new() }
    }

    /// The finished circuit, which has `outputs`.
    pub fn finish(mut self, outputs: Vec<Output>) -> Result<Circuit, Error> {
        let degree = self.circuit.slots();
        for output in &outputs {
            self.reduced(output.value)?;
            if let Reading::Coefficients(indices) = &output.reading
                && let Some(&index) = indices.iter().find(|i| **i >= degree)
            {
                return Err(Error::Coefficient { index, degree });
            }
        }
        if let Some((index, _)) = (0..).zip(&self.inputs).find(|(index, input)| index != *input) {
            return Err(Error::InputPlace { index });
        }
        if outputs.is_empty() {
            return Err(Error::Empty { operation: "circuit" });
        }
        self.circuit.outputs = outputs;
        Ok(self.circuit)
    }

    /// The parameters it builds for.
    pub fn parameters(&self) -> &Parameters {
        &self.circuit.parameters
    }

    /// How many slots a ciphertext has.
    pub fn slots(&self) -> usize {
        self.circuit.slots()
    }

    /// The level of a value.
    pub fn level(&self, value: Value) -> Result<Level, Error> {
        Ok(self.node(value)?.level)
    }

    /// The scale of a value.
    pub fn scale(&self, value: Value) -> Result<Scale, Error> {
        Ok(self.node(value)?.scale)
    }

    /// The scale for plaintexts such that a product with `value`, once rescaled, is at `target`.
    pub fn scale_towards(&self, value: Value, target: Scale) -> Result<Scale, Error> {
        let node = self.node(value)?;
        Ok(Scale(target.0 * self.circuit.parameters.modulus(node.level) / node.scale.0))
    }

    /// Builds the nodes of one layer, or more of them for a label that there is; the label is for whoever
    /// reads the circuit.
    pub fn layer<T, E: From<Error>>(
        &mut self,
        label: Label,
        build: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let start = self.begin_layer();
        let built = build(self)?;
        self.end_layer(label, start);
        Ok(built)
    }

    /// The name of the layer that was labelled last; `input` before the first.
    pub fn last_layer(&self) -> &str {
        self.circuit.layers.last().map_or("input", |span| &span.label.name)
    }

    /// Where a layer begins: what [`end_layer`](Self::end_layer) takes.
    pub fn begin_layer(&self) -> LayerStart {
        LayerStart(self.circuit.nodes.len())
    }

    /// Labels all nodes since `start` as one layer, or as one more piece of the layer of this label.
    pub fn end_layer(&mut self, label: Label, LayerStart(start): LayerStart) {
        let piece = start..self.circuit.nodes.len();
        match self.circuit.layers.iter_mut().find(|span| span.label == label) {
            Some(span) => span.pieces.push(piece),
            None => self.circuit.layers.push(Span { label, pieces: vec![piece] }),
        }
    }

    /// The next encrypted input.
    pub fn input(&mut self, level: Level, scale: Scale) -> Result<Value, Error> {
        self.input_at(self.inputs.len(), level, scale)
    }

    /// The encrypted input at this place among all: for inputs that come into the circuit in another order,
    /// as they are needed. Each place up to the last has to be filled once.
    pub fn input_at(&mut self, index: usize, level: Level, scale: Scale) -> Result<Value, Error> {
        self.circuit.parameters.check_level(level)?;
        if !self.inputs.insert(index) {
            return Err(Error::InputPlace { index });
        }
        self.push(Operation::Input(index), level, scale)
    }

    /// A plaintext.
    pub fn plain(
        &mut self,
        role: Role,
        level: Level,
        scale: Scale,
        numbers: Numbers,
    ) -> Result<Plain, Error> {
        self.circuit.parameters.check_level(level)?;
        check_scale(scale)?;
        let repeats = if let Role::Summand(_) = role { 1 } else { numbers.repeats(self.slots()) };
        self.circuit.plains.push(PlainSpec { role, level, scale, numbers, repeats });
        Ok(Plain(self.circuit.plains.len() - 1))
    }

    /// The sum of `value * plain` over the terms.
    pub fn dot(&mut self, terms: Vec<(Value, Plain)>, rescale: Rescale) -> Result<Value, Error> {
        const NAME: &str = "dot product";
        let mut sum: Option<(Level, Scale)> = None;
        for (value, plain) in &terms {
            let product = self.product(NAME, *value, *plain, Role::Factor)?;
            self.check_same(NAME, *sum.get_or_insert(product), product)?;
        }
        let (level, scale) = sum.ok_or(Error::Empty { operation: NAME })?;
        self.push_rescaled(Operation::Dot { terms, rescale }, level, scale, rescale)
    }

    /// `a + b`.
    pub fn add(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        let (level, scale) = self.check_summands("addition", a, b)?;
        self.push(Operation::Add(a, b), level, scale)
    }

    /// `a - b`.
    pub fn sub(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        let (level, scale) = self.check_summands("subtraction", a, b)?;
        self.push(Operation::Sub(a, b), level, scale)
    }

    /// `value` plus numbers that are encoded at its level and scale.
    pub fn add_plain(&mut self, value: Value, encoding: Encoding, numbers: Numbers) -> Result<Value, Error> {
        let (level, scale) = self.reduced(value)?;
        let plain = self.plain(Role::Summand(encoding), level, scale, numbers)?;
        self.push(Operation::AddPlain(value, plain), level, scale)
    }

    /// The relinearised product of two values at one level.
    pub fn multiply(&mut self, a: Value, b: Value, rescale: Rescale) -> Result<Value, Error> {
        let ((level, left), (other, right)) = (self.typed(a)?, self.typed(b)?);
        check_levels("multiplication", level, other)?;
        let scale = Scale(left.0 * right.0);
        self.push_rescaled(Operation::Multiply { a, b, rescale }, level, scale, rescale)
    }

    /// `value` rotated to the left.
    pub fn rotate(&mut self, value: Value, steps: usize) -> Result<Value, Error> {
        let (level, scale) = self.typed(value)?;
        self.check_rotation("rotation", steps)?;
        self.push(Operation::Rotate(value, steps), level, scale)
    }

    /// The sum over the giant steps of their rotation of the sum of `plain * rotated value`, where each term
    /// says which of `values` it reads. Every value is at one level and is read, and all products are at one
    /// scale. Plaintexts are all extended or none is: what that means for the cost,
    /// [`Hoisting`](crate::Hoisting) says. `order` decides which keys giant steps need, and nothing else: see
    /// [`GiantOrder`]. The result is at the products' scale and the values' level; rescaled, over the prime
    /// and a level below.
    pub fn transform(
        &mut self,
        values: Vec<Value>,
        giant_steps: Vec<GiantStep>,
        order: GiantOrder,
        rescale: Rescale,
    ) -> Result<Value, Error> {
        const NAME: &str = "linear transform";
        let mut sum: Option<(Level, Scale)> = None;
        let (count, mut read, mut role) = (values.len(), vec![false; values.len()], None);
        for giant_step in &giant_steps {
            self.check_rotation(NAME, giant_step.rotation)?;
            if giant_step.terms.is_empty() {
                return Err(Error::Empty { operation: "giant step" });
            }
            for &Term { input, baby_step, plain } in &giant_step.terms {
                *read.get_mut(input).ok_or(Error::TermInput { input, count })? = true;
                self.check_rotation(NAME, baby_step)?;
                let role = *role.get_or_insert(self.transform_role(plain));
                let product = self.product(NAME, values[input], plain, role)?;
                self.check_same(NAME, *sum.get_or_insert(product), product)?;
            }
        }
        let (level, scale) = sum.ok_or(Error::Empty { operation: NAME })?;
        if let Some(input) = read.iter().position(|read| !read) {
            return Err(Error::UnreadInput { input, count });
        }
        self.push_rescaled(
            Operation::Transform { values, giant_steps, order, rescale },
            level,
            scale,
            rescale,
        )
    }

    /// What all plaintexts of a transform are, whose first one this is: factors, extended unless it is not.
    fn transform_role(&self, plain: Plain) -> Role {
        let role = self.circuit.plains.get(plain.0).map(|spec| spec.role);
        role.filter(|role| *role == Role::Factor).unwrap_or(Role::ExtendedFactor)
    }

    /// The value rotated and summed stage by stage: `v = v + sum of v rotated by each of the stage's steps`.
    /// Without stages this is a rescale, or the value itself.
    pub fn rotate_and_sum(
        &mut self,
        value: Value,
        stages: Vec<Vec<usize>>,
        rescale: Rescale,
    ) -> Result<Value, Error> {
        const NAME: &str = "rotate and sum";
        let (level, scale) = self.typed(value)?;
        for stage in &stages {
            stage.iter().try_for_each(|s| self.check_rotation(NAME, *s))?;
            if stage.is_empty() {
                return Err(Error::Empty { operation: "stage to rotate and sum" });
            }
        }
        match (stages.is_empty(), rescale) {
            (true, Rescale::No) => Ok(value),
            (true, Rescale::Yes) => self.rescale(value),
            _ => {
                self.push_rescaled(Operation::RotateAndSum { value, stages, rescale }, level, scale, rescale)
            }
        }
    }

    /// The value divided by the last prime of its level.
    pub fn rescale(&mut self, value: Value) -> Result<Value, Error> {
        let (level, scale) = self.typed(value)?;
        self.push_rescaled(Operation::Rescale(value), level, scale, Rescale::Yes)
    }

    /// The value at a lower level (or the same).
    pub fn drop_level(&mut self, value: Value, level: Level) -> Result<Value, Error> {
        let (from, scale) = self.typed(value)?;
        if level > from {
            return Err(Error::LevelMismatch { operation: "level drop", left: from, right: level });
        }
        self.push(Operation::DropLevel(value, level), level, scale)
    }

    /// Sums of scalar multiples of values, one for each row, with weights rounded at `scale`: the next stage
    /// of a chain, or the first of one. Not reduced: only further stages and [`reduce`](Self::reduce) take
    /// the results, all of them, in order.
    pub fn sums(&mut self, values: &[Value], rows: ScalarRows, scale: Scale) -> Result<Vec<Value>, Error> {
        const NAME: &str = "scalar sum";
        let (level, before) = self.stage_operands(NAME, values)?;
        let count = rows.count();
        let stage = Arc::new(SumStage { inputs: values.to_vec(), rows, scale });
        let operation = |row| Operation::Sum { stage: stage.clone(), row };
        self.push_stage(NAME, (0..count).map(operation).collect(), level, Scale(before.0 * scale.0))
    }

    /// The square of each value: a stage of a chain, as [`sums`](Self::sums). A chain squares once.
    pub fn squares(&mut self, values: &[Value]) -> Result<Vec<Value>, Error> {
        const NAME: &str = "square";
        let (level, scale) = self.stage_operands(NAME, values)?;
        if self.circuit.parts(values[0]) > 2 {
            return Err(Error::Unreduced { operation: NAME });
        }
        let operations = values.iter().map(|v| Operation::Square(*v)).collect();
        self.push_stage(NAME, operations, level, Scale(scale.0 * scale.0))
    }

    /// Sums of products of values and plaintexts, one for each row, which has numbers for each value, encoded
    /// at `scale`: a stage of a chain, as [`sums`](Self::sums).
    pub fn products(
        &mut self,
        values: &[Value],
        rows: Vec<Vec<Numbers>>,
        scale: Scale,
    ) -> Result<Vec<Value>, Error> {
        const NAME: &str = "sum of products";
        let (level, before) = self.stage_operands(NAME, values)?;
        if let Some(row) = rows.iter().find(|row| row.len() != values.len()) {
            return Err(Error::Length { what: NAME, expected: values.len(), actual: row.len() });
        }
        let count = rows.len();
        let stage = Arc::new(ProductStage { inputs: values.to_vec(), rows, scale });
        let operation = |row| Operation::Product { stage: stage.clone(), row };
        self.push_stage(NAME, (0..count).map(operation).collect(), level, Scale(before.0 * scale.0))
    }

    /// The end of a chain: each value relinearised, where it was squared, and divided by the last `rescales`
    /// primes of the level.
    pub fn reduce(&mut self, values: &[Value], rescales: usize) -> Result<Vec<Value>, Error> {
        let (level, scale) = self.end_of_chain("reduction", values, rescales)?;
        let reduce = |v: &Value| self.push(Operation::Reduce { value: *v, rescales }, level, scale);
        values.iter().map(reduce).collect()
    }

    /// The end of a chain that squares, without a key: each value in three parts, divided by the last
    /// `rescales` primes of the level. Only plaintexts can be added to the results, and they can be outputs.
    pub fn divide(&mut self, values: &[Value], rescales: usize) -> Result<Vec<Value>, Error> {
        let (level, scale) = self.end_of_chain("division", values, rescales)?;
        if self.circuit.parts(values[0]) < 3 {
            return Err(Error::NotSquared);
        }
        let divide = |v: &Value| self.push(Operation::Divide { value: *v, rescales }, level, scale);
        values.iter().map(divide).collect()
    }

    /// Level and scale of a chain's last values, divided.
    fn end_of_chain(
        &self,
        name: &'static str,
        values: &[Value],
        rescales: usize,
    ) -> Result<(Level, Scale), Error> {
        let (level, mut scale) = self.stage_operands(name, values)?;
        if !self.circuit.node(values[0]).operation.is_unreduced() {
            return Err(Error::Empty { operation: name });
        }
        let below = level.0.checked_sub(rescales).ok_or(Error::NoLevelLeft { operation: name })?;
        for dropped in below..level.0 {
            scale.0 /= self.circuit.parameters.modulus(Level(dropped + 1));
        }
        Ok((Level(below), scale))
    }

    /// Level and scale of what a stage takes: ciphertexts that agree in both, or all values of the last
    /// stage.
    fn stage_operands(&self, name: &'static str, values: &[Value]) -> Result<(Level, Scale), Error> {
        let first = *values.first().ok_or(Error::Empty { operation: name })?;
        let node = self.node(first)?;
        let of_first = (node.level, node.scale);
        if node.operation.is_unreduced() {
            let whole = self.stage.clone().is_some_and(|s| s.map(Value).eq(values.iter().copied()));
            return if whole { Ok(of_first) } else { Err(Error::Unreduced { operation: name }) };
        }
        for value in values {
            self.check_same(name, of_first, self.typed(*value)?)?;
        }
        Ok(of_first)
    }

    fn push_stage(
        &mut self,
        name: &'static str,
        operations: Vec<Operation>,
        level: Level,
        scale: Scale,
    ) -> Result<Vec<Value>, Error> {
        if operations.is_empty() {
            return Err(Error::Empty { operation: name });
        }
        let start = self.circuit.nodes.len();
        let values = operations.into_iter().map(|o| self.push(o, level, scale)).collect();
        self.stage = Some(start..self.circuit.nodes.len());
        values
    }

    fn push(&mut self, operation: Operation, level: Level, scale: Scale) -> Result<Value, Error> {
        check_scale(scale)?;
        self.stage = None;
        self.circuit.nodes.push(Node { operation, level, scale });
        Ok(Value(self.circuit.nodes.len() - 1))
    }

    fn push_rescaled(
        &mut self,
        operation: Operation,
        level: Level,
        scale: Scale,
        rescale: Rescale,
    ) -> Result<Value, Error> {
        if rescale == Rescale::No {
            return self.push(operation, level, scale);
        }
        let below = level.below().ok_or(Error::NoLevelLeft { operation: operation.name() })?;
        let scale = Scale(scale.0 / self.circuit.parameters.modulus(level));
        self.push(operation, below, scale)
    }

    fn node(&self, value: Value) -> Result<&Node, Error> {
        let count = self.circuit.nodes.len();
        self.circuit.nodes.get(value.0).ok_or(Error::Foreign { what: "value", index: value.0, count })
    }

    /// Level and scale of a ciphertext.
    fn typed(&self, value: Value) -> Result<(Level, Scale), Error> {
        let of_value = self.reduced(value)?;
        match self.circuit.parts(value) {
            3 => Err(Error::Unrelinearised { operation: self.node(value)?.operation.name() }),
            _ => Ok(of_value),
        }
    }

    /// Level and scale of a value that is no part of a chain; it may have three parts.
    fn reduced(&self, value: Value) -> Result<(Level, Scale), Error> {
        let node = self.node(value)?;
        match node.operation.is_unreduced() {
            true => Err(Error::Unreduced { operation: node.operation.name() }),
            false => Ok((node.level, node.scale)),
        }
    }

    fn product(
        &self,
        name: &'static str,
        value: Value,
        plain: Plain,
        role: Role,
    ) -> Result<(Level, Scale), Error> {
        let count = self.circuit.plains.len();
        let foreign = Error::Foreign { what: "plaintext", index: plain.0, count };
        let ((level, scale), spec) = (self.typed(value)?, self.circuit.plains.get(plain.0).ok_or(foreign)?);
        if spec.role != role {
            return Err(Error::PlainRole {
                operation: name,
                expected: role.name(),
                actual: spec.role.name(),
            });
        }
        check_levels(name, level, spec.level)?;
        Ok((level, Scale(scale.0 * spec.scale.0)))
    }

    fn check_summands(&self, name: &'static str, a: Value, b: Value) -> Result<(Level, Scale), Error> {
        let (left, right) = (self.typed(a)?, self.typed(b)?);
        self.check_same(name, left, right)?;
        Ok(left)
    }

    fn check_same(
        &self,
        name: &'static str,
        left: (Level, Scale),
        right: (Level, Scale),
    ) -> Result<(), Error> {
        check_levels(name, left.0, right.0)?;
        if !left.1.agrees(right.1) {
            return Err(Error::ScaleMismatch { operation: name, left: left.1, right: right.1 });
        }
        Ok(())
    }

    fn check_rotation(&self, operation: &'static str, steps: usize) -> Result<(), Error> {
        let slots = self.circuit.slots();
        if steps >= slots { Err(Error::Rotation { operation, steps, slots }) } else { Ok(()) }
    }
}

fn check_levels(operation: &'static str, left: Level, right: Level) -> Result<(), Error> {
    if left == right { Ok(()) } else { Err(Error::LevelMismatch { operation, left, right }) }
}

fn check_scale(scale: Scale) -> Result<(), Error> {
    if scale.0.is_finite() && scale.0 > 0.0 { Ok(()) } else { Err(Error::Scale(scale.0)) }
}
