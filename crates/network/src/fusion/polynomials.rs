//! Polynomials as squares, where that is possible.

use super::net::Net;
use crate::layer::Bias;
use crate::{FusedOperation, LinearMap, LinearTerm, Polynomial, Source};

/// The largest |b/2a| of a completed square. The square is of x + b/2a, and b^2/4a is subtracted from it: for
/// x of magnitude 1 the error of an approximate square counts up to about (b/2a)^2 times, 2^12 here.
const FARTHEST_VERTEX: f64 = 64.0;

/// The same network with every polynomial of degree 2 a plain square, and powers of two of the argument
/// repeated squares.
pub(super) fn rewritten(net: Net) -> Net {
    let readers = net.readers();
    let mut rewriting = Rewriting { net: Net::new(net.fused.input), places: vec![] };
    rewriting.net.recorded = net.recorded;
    for mut node in net.fused.nodes {
        let alone = node.sources().iter().all(|source| matches!(source, Source::Node(i) if readers[*i] == 1));
        node.for_each_source(|source| *source = rewriting.place(*source));
        let place = match node.operation {
            FusedOperation::Polynomial { source, polynomial } => {
                rewriting.outer(&node.name, source, polynomial, alone)
            }
            operation => rewriting.net.push(&node.name, node.shape, operation),
        };
        rewriting.places.push(place);
    }
    rewriting.net.output = rewriting.place(net.output);
    rewriting.net
}

struct Rewriting {
    net: Net,
    /// Where the old nodes' outputs are.
    places: Vec<Source>,
}

impl Rewriting {
    fn place(&self, source: Source) -> Source {
        match source {
            Source::Input => source,
            Source::Node(index) => self.places[index],
        }
    }

    /// A polynomial of the network, with what is only scaled before it taken in.
    fn outer(
        &mut self,
        name: &str,
        mut source: Source,
        mut polynomial: Polynomial,
        mut alone: bool,
    ) -> Source {
        while let Some((inner, composed)) = self.composed(source, &polynomial) {
            (source, polynomial, alone) = (inner, composed, false);
        }
        let free = alone && self.net.linear(source).is_some();
        self.polynomial(name, source, polynomial, free)
    }

    /// What the scaling before a polynomial reads, and the polynomial of that.
    fn composed(&self, source: Source, polynomial: &Polynomial) -> Option<(Source, Polynomial)> {
        let ([term], Bias::PerChannel(shift)) = self.net.linear(source)? else { return None };
        let scale = term.map.channel_factors()?;
        if term.source == Source::Input {
            return None;
        }
        Some((term.source, polynomial.of_affine(scale, shift)))
    }

    /// A polynomial of `source`; `free` where that is a linear node that nothing else reads.
    fn polynomial(&mut self, name: &str, source: Source, polynomial: Polynomial, free: bool) -> Source {
        let degree = polynomial.degree();
        if polynomial.is_square() || (degree != 2 && !(polynomial.is_even() && degree.is_power_of_two())) {
            return self.net.push(
                name,
                self.net.shape(source),
                FusedOperation::Polynomial { source, polynomial },
            );
        }
        if degree > 2 {
            let square = self.square(name, source);
            let half = Polynomial { coefficients: polynomial.coefficients.into_iter().step_by(2).collect() };
            return self.polynomial(name, square, half, false);
        }
        self.quadratic(name, source, &polynomial, free)
    }

    fn square(&mut self, name: &str, source: Source) -> Source {
        let shape = self.net.shape(source);
        let polynomial = Polynomial::square(shape.channels);
        self.net.push(name, shape, FusedOperation::Polynomial { source, polynomial })
    }

    fn quadratic(&mut self, name: &str, source: Source, polynomial: &Polynomial, free: bool) -> Source {
        let [c, b, a] = [0, 1, 2].map(|k| polynomial.coefficients[k].as_slice());
        let parts: Vec<Parts> = (0..a.len()).map(|i| Parts::of([a[i], b[i], c[i]], free)).collect();
        let each = |f: fn(&Parts) -> f64| parts.iter().map(f).collect::<Vec<_>>();
        let before = self.net.push_affine(name, source, each(|p| p.root), each(|p| p.before));
        let square = self.square(name, before);
        let slope = each(|p| p.slope);
        if slope.iter().all(|s| *s == 0.0) {
            return self.net.push_affine(name, square, each(|p| p.sign), each(|p| p.constant));
        }
        let term = |source, factors| LinearTerm { source, map: LinearMap::of_factors(factors) };
        let terms = vec![term(square, each(|p| p.sign)), term(before, slope)];
        self.net.push_linear(name, self.net.shape(source), terms, Bias::PerChannel(each(|p| p.constant)))
    }
}

/// A quadratic as `sign (root x + before)^2 + slope x + constant`.
struct Parts {
    root: f64,
    before: f64,
    sign: f64,
    slope: f64,
    constant: f64,
}

impl Parts {
    /// `a x^2 + b x + c = s (sqrt|a| x + s b / 2 sqrt|a|)^2 + (c - b^2/4a)` with `s` the sign of `a`, where
    /// `free`: what is before the square may be chosen. Elsewhere, and where the vertex is far out, readers
    /// read `x`, too.
    fn of([a, b, c]: [f64; 3], free: bool) -> Self {
        // A channel that is constant, as pruning leaves them, needs no vertex.
        let vertex = if b == 0.0 { 0.0 } else { b / (2.0 * a) };
        if !free || vertex.is_nan() || vertex.abs() > FARTHEST_VERTEX {
            return Self { root: 1.0, before: 0.0, sign: a, slope: b, constant: c };
        }
        let root = a.abs().sqrt();
        let sign = if a < 0.0 { -1.0 } else { 1.0 };
        Self { root, before: root * vertex, sign, slope: 0.0, constant: constant(c, a * vertex * vertex) }
    }
}

/// `c - subtrahend`, and zero where that is nothing but rounding: (x + t)^2 written out has no constant.
fn constant(c: f64, subtrahend: f64) -> f64 {
    let difference = c - subtrahend;
    if difference.abs() <= 8.0 * f64::EPSILON * c.abs() { 0.0 } else { difference }
}

impl Polynomial {
    /// Whether no channel has an odd power.
    fn is_even(&self) -> bool {
        self.coefficients.iter().skip(1).step_by(2).all(|of_power| of_power.iter().all(|c| *c == 0.0))
    }

    /// The polynomial of `scale x + shift`.
    pub(super) fn of_affine(&self, scale: &[f64], shift: &[f64]) -> Self {
        let channels = scale.len();
        let mut coefficients = vec![vec![0.0; channels]; self.coefficients.len()];
        for channel in 0..channels {
            // Horner's rule on polynomials: times scale x + shift, plus the next coefficient.
            let mut sum = vec![0.0; self.coefficients.len()];
            for of_power in self.coefficients.iter().rev() {
                for k in (0..sum.len()).rev() {
                    let lower = if k == 0 { 0.0 } else { sum[k - 1] };
                    sum[k] = sum[k] * shift[channel] + lower * scale[channel];
                }
                sum[0] += of_power[channel];
            }
            sum.into_iter().zip(&mut coefficients).for_each(|(s, c)| c[channel] = s);
        }
        while coefficients.len() > 3 && coefficients.last().is_some_and(|c| c.iter().all(|v| *v == 0.0)) {
            coefficients.pop();
        }
        Self { coefficients }
    }
}
