//! Polynomials, element by element: in the fewest levels, and in few products of ciphertexts.

mod schedule;
#[cfg(test)]
mod tests;

use blindsight_circuit::{Builder, Counts, Error, Factors, Numbers, Plain, Role, Tally, Value};
use blindsight_ckks::{Encoding, Level, Parameters, Rescale, Scale};
use blindsight_layout::{Layout, Placement, coordinates};
use blindsight_network::Polynomial;
use schedule::{Basis, Schedule, Sum, depth, factors};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A polynomial of each element of a tensor, which stays in its layout.
///
/// Slots without an element come out as zero, up to errors, whatever lies there; but like all others they
/// must lie within about [-1, 1], because powers grow beyond it. A constant one stays one.
/// [`Polynomial::depth`] levels.
///
/// A square is one product. Any other polynomial is a sum of plaintexts times small powers and of quotients
/// times larger ones; each plaintext's scale is such that summands agree exactly and the result comes out at
/// [the scale asked for](Self::with_scale).
#[derive(Debug, Clone)]
pub struct PolynomialKernel {
    form: Form,
    levels: usize,
    degree: usize,
    /// The scale of the result; the nominal one where none is asked for.
    scale: Option<Scale>,
    ciphertexts: usize,
}

#[derive(Debug, Clone)]
enum Form {
    Square,
    General { basis: Basis, schedule: Schedule, coefficients: Arc<Coefficients> },
}

/// What plaintexts are made of.
#[derive(Debug)]
struct Coefficients {
    /// For each function of the basis a coefficient for each channel.
    values: Vec<Vec<f64>>,
    placement: Placement,
    layout: Layout,
}

impl PolynomialKernel {
    /// The kernel for a tensor that [can be read](Self::reads).
    pub fn new(polynomial: &Polynomial, layout: &Layout) -> Self {
        debug_assert!(Self::reads(layout), "a polynomial of partial sums is no sum of polynomials");
        let (degree, levels) = (polynomial.degree(), polynomial.depth());
        let form = if polynomial.is_square() { Form::Square } else { Form::general(polynomial, layout) };
        Self { form, levels, degree, scale: None, ciphertexts: layout.ciphertexts }
    }

    /// Whether a layout holds whole elements, and no partial sums.
    pub fn reads(layout: &Layout) -> bool {
        layout.blocks.parts == 1
    }

    /// The same with results at another scale than the nominal one. Errors are smaller at a larger one: at
    /// four times it two to four times, where the reader is a linear layer and so can take any. A square has
    /// no say in it: its scale is the input's squared, over the prime.
    pub fn with_scale(mut self, scale: Scale) -> Self {
        self.scale = Some(scale);
        self
    }

    /// The scale of the input at which errors are about smallest; any other is taken, too.
    ///
    /// Powers of two are squares, and each doubles how far a scale and the primes below it are apart; so it
    /// is the largest power whose scale is chosen, and that of the input follows. A quotient is small beside
    /// the power that it multiplies, and the scales of both make up the result's: errors are about smallest
    /// where the power's is a quarter of the nominal one.
    pub fn input_scale(&self, parameters: &Parameters, level: Level) -> Scale {
        let nominal = parameters.nominal_scale().0;
        let of_power = match &self.form {
            Form::General { basis: Basis::Chebyshev, .. } => nominal / 4.0,
            _ => nominal,
        };
        let squares = depth(self.degree + 1) - 1;
        let log_scale =
            |below: f64, dropped: usize| (below + parameters.modulus(Level(level.0 - dropped)).log2()) / 2.0;
        Scale((0..squares.min(level.0)).rev().fold(of_power.log2(), log_scale).exp2())
    }

    /// Whether it is nothing but a square.
    pub fn is_square(&self) -> bool {
        matches!(self.form, Form::Square)
    }

    /// How many levels it takes.
    pub fn depth(&self) -> usize {
        self.levels
    }

    /// The polynomial of each ciphertext of the tensor. Cost: [`cost`](Self::cost).
    ///
    /// # Errors
    /// Where there are not as many values as the layout has ciphertexts, or too few levels.
    pub fn build(&self, b: &mut Builder, values: &[Value]) -> Result<Vec<Value>, Error> {
        if values.len() != self.ciphertexts {
            return Err(Error::Inputs { expected: self.ciphertexts, actual: values.len() });
        }
        let one = |(index, value): (usize, &Value)| self.ciphertext(b, *value, index);
        values.iter().enumerate().map(one).collect()
    }

    fn ciphertext(&self, b: &mut Builder, value: Value, index: usize) -> Result<Value, Error> {
        let Form::General { basis, schedule, coefficients } = &self.form else {
            return b.multiply(value, value, Rescale::Yes);
        };
        let level = b.level(value)?;
        if level.0 < self.levels {
            return Err(Error::NoLevelLeft { operation: "polynomial" });
        }
        let scale = self.scale.unwrap_or(b.parameters().nominal_scale());
        let mut evaluation = Evaluation { b, level, index, coefficients, powers: BTreeMap::new() };
        evaluation.powers(*basis, value, &schedule.powers)?;
        evaluation.sum(&schedule.root, scale)
    }

    /// What [`build`](Self::build) will count on so many ciphertexts at a level, which is
    /// [`depth`](Self::depth) or more.
    pub fn cost(&self, parameters: &Parameters, level: Level, ciphertexts: usize) -> Counts {
        let at = |dropped: usize| Tally::new(parameters, Level(level.0 - dropped));
        let Form::General { basis, schedule, coefficients } = &self.form else {
            return at(0).multiply(Rescale::Yes) * ciphertexts;
        };
        let shift = |power: usize| match basis {
            Basis::Chebyshev if power.is_power_of_two() => at(depth(power)).addition(1),
            _ => Counts::default(),
        };
        let power = |&power: &usize| at(depth(power) - 1).multiply(Rescale::Yes) + shift(power);
        let doubled = if *basis == Basis::Chebyshev { at(0).addition(2) } else { Counts::default() };
        (doubled
            + schedule.powers.iter().map(power).sum()
            + schedule.root.cost(&at, coefficients.layout.repeats()))
            * ciphertexts
    }

    /// Why it is computed as it is, in words and figures.
    pub fn reason(&self) -> String {
        let (degree, levels) = (self.degree, self.levels);
        let Form::General { basis, schedule, .. } = &self.form else {
            return "a square: one product of ciphertexts and one level".into();
        };
        let basis = match basis {
            Basis::Powers => "powers",
            Basis::Chebyshev => "Chebyshev polynomials",
        };
        let (products, plain) = (schedule.products(), schedule.root.plain_products());
        format!(
            "degree {degree} in {basis}: {products} products of ciphertexts and {plain} with plaintexts, in the fewest levels, {levels}"
        )
    }
}

impl Form {
    fn general(polynomial: &Polynomial, layout: &Layout) -> Self {
        let (basis, channels) = (Basis::for_degree(polynomial.degree()), polynomial.coefficients[0].len());
        let mut values = polynomial.coefficients.clone();
        for channel in 0..channels {
            let mut column: Vec<f64> = values.iter().map(|of_power| of_power[channel]).collect();
            basis.convert(&mut column);
            values.iter_mut().zip(column).for_each(|(of_power, c)| of_power[channel] = c);
        }
        let mut present: Vec<bool> = values.iter().map(|c| c.iter().any(|c| *c != 0.0)).collect();
        // The one comes from the constant.
        present[0] |= layout.bias_slot.is_some();
        let schedule = Schedule::new(&present, polynomial.depth());
        let (placement, layout) = (Placement::new(layout), layout.clone());
        Self::General { basis, schedule, coefficients: Arc::new(Coefficients { values, placement, layout }) }
    }
}

impl Coefficients {
    /// Those of one function of the basis in the slots of a ciphertext: zeros where no element lies; the one
    /// is a constant by itself.
    fn numbers(self: &Arc<Self>, function: usize, ciphertext: usize) -> Numbers {
        let (this, first) = (self.clone(), ciphertext * self.layout.slots);
        Numbers::periodic(self.layout.slots, self.layout.repeats(), move |slot| {
            match this.placement.at(first + slot) {
                None => 0.0,
                Some((_, one)) if one == this.placement.elements => f64::from(u8::from(function == 0)),
                Some((_, element)) => this.values[function][coordinates(element, this.layout.shape)[0]],
            }
        })
    }
}

impl Sum {
    /// What it counts, where `at` gives the costs so many levels below the input and coefficients repeat so
    /// often.
    fn cost<'c>(&self, at: &impl Fn(usize) -> Tally<'c>, repeats: usize) -> Counts {
        let (inner, rescale) = (at(self.depth - 1), self.rescale());
        let mut counts = inner.multiply(rescale) * self.products.len();
        counts += self.products.iter().map(|(_, quotient)| quotient.cost(at, repeats)).sum();
        if !self.terms.is_empty() {
            counts += inner.dot(Factors::repeating(self.terms.len(), repeats), rescale);
        }
        if rescale == Rescale::No {
            counts += inner.addition(2) * (self.parts() - 1) + inner.rescale(Rescale::Yes);
        }
        if self.constant { counts + at(self.depth).addition(1) } else { counts }
    }

    /// Whether its only part is rescaled by itself.
    fn rescale(&self) -> Rescale {
        if self.parts() == 1 { Rescale::Yes } else { Rescale::No }
    }
}

/// A polynomial of one ciphertext, being built.
struct Evaluation<'a> {
    b: &'a mut Builder,
    /// The input's level.
    level: Level,
    /// Which ciphertext of the tensor it is.
    index: usize,
    coefficients: &'a Arc<Coefficients>,
    powers: BTreeMap<usize, Value>,
}

impl Evaluation<'_> {
    /// Computes the powers that are needed, each in as few levels as can be.
    fn powers(&mut self, basis: Basis, value: Value, needed: &[usize]) -> Result<(), Error> {
        let first = if basis == Basis::Chebyshev { self.b.add(value, value)? } else { value };
        self.powers.insert(1, first);
        for power in needed {
            let level = Level(self.level.0 - depth(*power) + 1);
            let [left, right] = factors(*power);
            let (left, right) = (self.power(left, level)?, self.power(right, level)?);
            let mut product = self.b.multiply(left, right, Rescale::Yes)?;
            if basis == Basis::Chebyshev && power.is_power_of_two() {
                // A polynomial of one coefficient is the same in all slots, exactly.
                product = self.b.add_plain(product, Encoding::Coefficients, Numbers::new(|| vec![-2.0]))?;
            }
            self.powers.insert(*power, product);
        }
        Ok(())
    }

    /// A power, its level dropped to this one.
    fn power(&mut self, power: usize, level: Level) -> Result<Value, Error> {
        let value = self.powers[&power];
        if self.b.level(value)? == level { Ok(value) } else { self.b.drop_level(value, level) }
    }

    /// A sum that comes out at this scale. All of its parts are at one scale above, so that they are added
    /// before they are rescaled.
    fn sum(&mut self, sum: &Sum, scale: Scale) -> Result<Value, Error> {
        let inner = Level(self.level.0 - sum.depth + 1);
        let above = Scale(scale.0 * self.b.parameters().modulus(inner));
        let mut parts = Vec::with_capacity(sum.parts());
        for (power, quotient) in &sum.products {
            let right = self.power(*power, inner)?;
            let left = self.sum(quotient, Scale(above.0 / self.b.scale(right)?.0))?;
            parts.push(self.b.multiply(left, right, sum.rescale())?);
        }
        if !sum.terms.is_empty() {
            let terms = sum.terms.iter().map(|power| self.term(sum.first, *power, inner, above));
            let terms = terms.collect::<Result<_, Error>>()?;
            parts.push(self.b.dot(terms, sum.rescale())?);
        }
        let mut value = parts.pop().expect("a sum has parts");
        for part in parts {
            value = self.b.add(part, value)?;
        }
        if sum.rescale() == Rescale::No {
            value = self.b.rescale(value)?;
        }
        if !sum.constant {
            return Ok(value);
        }
        self.b.add_plain(value, Encoding::Slots, self.coefficients.numbers(sum.first, self.index))
    }

    /// A power, and its coefficients at the scale that brings the product to `above`.
    fn term(
        &mut self,
        first: usize,
        power: usize,
        level: Level,
        above: Scale,
    ) -> Result<(Value, Plain), Error> {
        let value = self.power(power, level)?;
        let scale = Scale(above.0 / self.b.scale(value)?.0);
        let numbers = self.coefficients.numbers(first + power, self.index);
        Ok((value, self.b.plain(Role::Factor, level, scale, numbers)?))
    }
}
