//! Every operation of the evaluator once, with what it should give and how large its error should be.

use super::{Setup, assert_variance, giant_step, map_of, mean_square, random_slots, rotated};
use blindsight_ckks::noise::{self, Variance};
use blindsight_ckks::{
    Ciphertext, Encoding, Evaluator, Extension, GiantOrder, GiantStep, KeyRequirements, Level, Parameters,
    PublicKey, Rescale, Scale,
};

/// A result, the slots it should have, and the predicted variance of its error.
pub struct Outcome {
    pub name: String,
    pub ciphertext: Ciphertext,
    pub expected: Vec<f64>,
    pub variance: Variance,
}

/// The keys that [`every_operation`] needs.
pub fn requirements(parameters: &Parameters) -> KeyRequirements {
    let mut requirements = KeyRequirements::default();
    requirements.relinearise_at(parameters.max_level());
    for steps in [1, 2, 3, 4, 8, parameters.slots() - 1] {
        requirements.rotate_at(steps, parameters.max_level());
    }
    requirements
}

/// Runs every operation at `level`. Rescaling ones take full scales, where there is a level left for them;
/// the others take small ones that fit a single limb, and beside which the key-switch's error shows.
pub fn every_operation(setup: &Setup, level: Level) -> Vec<Outcome> {
    let mut run = Run::new(setup, level, Scale::bits(12.0), Rescale::No);
    run.sums();
    run.products();
    run.rotations();
    let mut outcomes = run.outcomes;
    if level > Level(0) {
        let mut run = Run::new(setup, level, Scale::bits(25.0), Rescale::Yes);
        run.products();
        run.rotations();
        outcomes.extend(run.outcomes);
    }
    outcomes
}

/// Checks every outcome: by its variance where there are slots enough for statistics, by its largest error
/// otherwise.
pub fn assert_outcomes(setup: &Setup, outcomes: &[Outcome]) {
    for outcome in outcomes {
        let errors = setup.errors(&outcome.ciphertext, &outcome.expected);
        let (level, degree) = (outcome.ciphertext.level(), errors.len());
        let what = format!("{} to {level} at degree {degree}", outcome.name);
        if degree >= 2048 {
            assert_variance(mean_square(errors.iter().copied()), outcome.variance, &what);
        }
        // An error times the secret's slot (or another error's) is a product of two Gaussians, beyond `t`
        // deviations with probability `exp(-t)` or so; and small secrets may be a good deal longer than the
        // average one.
        let bound = 25.0 * outcome.variance.sqrt();
        let largest = errors.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
        assert!(largest <= bound, "{what}: error {largest:.3e}, expected below {bound:.3e}");
    }
}

struct Run<'a> {
    setup: &'a Setup,
    evaluator: Evaluator<'a>,
    level: Level,
    scale: Scale,
    rescale: Rescale,
    slots: [Vec<f64>; 2],
    inputs: [Ciphertext; 2],
    fresh: Variance,
    outcomes: Vec<Outcome>,
}

impl<'a> Run<'a> {
    fn new(setup: &'a Setup, level: Level, scale: Scale, rescale: Rescale) -> Self {
        let parameters = setup.context.parameters();
        let slots = [31, 32].map(|seed| random_slots(parameters.slots(), seed));
        Self {
            setup,
            evaluator: Evaluator::new(&setup.context, &setup.keys),
            level,
            scale,
            rescale,
            inputs: [0, 1].map(|i| setup.encrypt(&slots[i], level, scale)),
            slots,
            fresh: noise::fresh(parameters),
            outcomes: Vec::new(),
        }
    }

    fn parameters(&self) -> &'a Parameters {
        self.setup.context.parameters()
    }

    fn add(&mut self, name: &str, ciphertext: Ciphertext, expected: Vec<f64>, variance: Variance) {
        let name = format!("{name} ({:?} rescale) at {}", self.rescale, self.level);
        self.outcomes.push(Outcome { name, ciphertext, expected, variance });
    }

    /// The variance after a division, where there is one.
    fn rescaled(&self, variance: Variance) -> Variance {
        match self.rescale {
            Rescale::No => variance,
            Rescale::Yes => variance / self.prime().powi(2) + noise::division(self.parameters()),
        }
    }

    /// The same after the division that ends a key-switch, with which a rescale is one.
    fn divided(&self, variance: Variance) -> Variance {
        match self.rescale {
            Rescale::No => variance + noise::division(self.parameters()),
            Rescale::Yes => self.rescaled(variance),
        }
    }

    fn prime(&self) -> f64 {
        self.parameters().modulus(self.level)
    }

    fn map(&self, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        self.slots[0].iter().zip(&self.slots[1]).map(|(&x, &y)| f(x, y)).collect()
    }

    fn sums(&mut self) {
        let (context, fresh) = (&self.setup.context, self.fresh);
        let [a, b] = self.inputs.clone();
        self.add("encryption", a.clone(), self.slots[0].clone(), fresh);
        self.add("sum", self.evaluator.add(&a, &b).unwrap(), self.map(|x, y| x + y), 2.0 * fresh);
        self.add("difference", self.evaluator.sub(&a, &b).unwrap(), self.map(|x, y| x - y), 2.0 * fresh);
        let coefficients = context.slots_to_coefficients(&self.slots[1]).unwrap();
        let encodings = [(Encoding::Slots, self.slots[1].clone()), (Encoding::Coefficients, coefficients)];
        for (encoding, values) in encodings {
            let plain = context.encode_summand(&values, encoding, self.level, self.scale).unwrap();
            let sum = self.evaluator.add_plain(a.clone(), &plain).unwrap();
            self.add("plain sum", sum, self.map(|x, y| x + y), fresh + noise::rounding(self.parameters()));
        }
        let mut randomness = self.setup.randomness.borrow_mut();
        let public = PublicKey::generate(context, &self.setup.secret, &mut randomness);
        let plain = context.encode_summand(&self.slots[0], Encoding::Slots, self.level, self.scale).unwrap();
        let encrypted = public.encrypt(context, &plain, &mut randomness);
        self.add(
            "public encryption",
            encrypted,
            self.slots[0].clone(),
            noise::fresh_public(self.parameters()),
        );
        if let Some(below) = self.level.below() {
            let dropped = self.evaluator.drop_level(a, below).unwrap();
            self.add("dropped", dropped, self.slots[0].clone(), fresh);
        }
    }

    fn products(&mut self) {
        let (context, parameters) = (&self.setup.context, self.parameters());
        let [a, b] = self.inputs.clone();
        let squares = [0, 1].map(|i| mean_square(self.slots[i].iter().copied()));
        let operands = squares.map(|square| (self.fresh, square, self.scale));
        let factor = context.encode_factor(&self.slots[1], self.level, self.scale, Extension::Plain).unwrap();
        let terms =
            operands.map(|operand| noise::plain_product(parameters, operand, (squares[1], self.scale)));
        let variance = self.rescaled(terms[0]);
        let product = self.evaluator.multiply_plain(&a, &factor, self.rescale).unwrap();
        self.add("plain product", product, self.map(|x, y| x * y), variance);
        let variance = self.rescaled(terms.iter().sum());
        let dot = self.evaluator.dot(&[(&a, &factor), (&b, &factor)], self.rescale).unwrap();
        self.add("dot product", dot, self.map(|x, y| (x + y) * y), variance);
        let scaled = self.evaluator.multiply_scalar(&a, -0.75, self.scale).unwrap();
        let scaled =
            if self.rescale == Rescale::Yes { self.evaluator.rescale(scaled).unwrap() } else { scaled };
        let variance = self.rescaled(self.fresh * (0.75 * self.scale.0).powi(2));
        self.add("scalar product", scaled, self.map(|x, _| -0.75 * x), variance);

        let switched = noise::key_product(parameters, self.level);
        let variance = self.divided(noise::product(operands[0], operands[1]) + switched);
        let product = self.evaluator.multiply(&a, &b, self.rescale).unwrap();
        self.add("product", product, self.map(|x, y| x * y), variance);
        let variance = self.divided(noise::square(operands[0]) + switched);
        self.add(
            "square",
            self.evaluator.square(&a, self.rescale).unwrap(),
            self.map(|x, _| x * x),
            variance,
        );
    }

    fn rotations(&mut self) {
        let (parameters, switched) = (self.parameters(), noise::key_product(self.parameters(), self.level));
        let a = self.inputs[0].clone();
        if self.rescale == Rescale::No {
            let steps = [0, 1, 3, parameters.slots() - 1];
            for (k, ciphertext) in
                steps.into_iter().zip(self.evaluator.hoisted_rotations(&a, &steps).unwrap())
            {
                assert_eq!(ciphertext, self.evaluator.rotate(&a, k).unwrap(), "hoisting changes no bit");
                let variance = if k == 0 { self.fresh } else { self.divided(self.fresh + switched) };
                self.add("rotation", ciphertext, rotated(&self.slots[0], k), variance);
            }
        }
        let (giant_steps, expected) = self.linear_map();
        let map = map_of(&giant_steps, GiantOrder::Apart);
        let (terms, product) = (6.0, noise::plain_product(parameters, self.operand(), self.factor()));
        let baby_steps = 4.0 * switched * self.factor().0 * self.scale.0 * self.scale.0;
        let sum = terms * product + baby_steps + noise::key_switch(parameters, self.level);
        let transformed = self.evaluator.transform(&[&a, &self.inputs[1]], &map, self.rescale).unwrap();
        self.add("transform", transformed, expected, self.divided(sum));

        let x = &self.slots[0];
        let expected = (0..x.len()).map(|j| (0..8).map(|k| x[(j + k) % x.len()]).sum()).collect();
        let first = 4.0 * self.fresh + 3.0 * switched + noise::division(parameters);
        let summed = self.evaluator.rotate_and_sum(a, &[vec![1, 2, 3], vec![4]], self.rescale).unwrap();
        self.add("rotate and sum", summed, expected, self.divided(2.0 * first + switched));
    }

    fn operand(&self) -> (Variance, f64, Scale) {
        (self.fresh, mean_square(self.slots[0].iter().copied()), self.scale)
    }

    /// Mean square and scale of the factors of the linear map.
    fn factor(&self) -> (f64, Scale) {
        (1.0 / 3.0, self.scale)
    }

    /// Six diagonals of two inputs as two giant steps (0 and 8) of three baby steps (0, 1 and 2), each
    /// rotated back by its giant step, and the image of the slots.
    fn linear_map(&self) -> ([GiantStep; 2], Vec<f64>) {
        let n = self.slots[0].len();
        let mut expected = vec![0.0; n];
        let mut terms = [0, 8].map(|rotation| (rotation, vec![]));
        for (input, rotation, baby_step) in LINEAR_TERMS {
            let moved = rotated(&self.slots[input], (rotation + baby_step) % n);
            let diagonal = diagonal(n, rotation + baby_step);
            expected.iter_mut().zip(diagonal.iter().zip(&moved)).for_each(|(e, (d, x))| *e += d * x);
            let (context, shifted) = (&self.setup.context, rotated(&diagonal, n - rotation));
            let factor = context.encode_factor(&shifted, self.level, self.scale, Extension::Extended);
            terms[rotation / 8].1.push((input, baby_step, factor.unwrap()));
        }
        (terms.map(|(rotation, terms)| giant_step(rotation, &terms)), expected)
    }
}

/// Input, giant step and baby step of each term of the linear map.
const LINEAR_TERMS: [(usize, usize, usize); 6] =
    [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 8, 0), (0, 8, 1), (1, 8, 2)];

fn diagonal(slots: usize, index: usize) -> Vec<f64> {
    random_slots(slots, 300 + index as u64)
}
