//! Completing the square.

use crate::Error;
use crate::layer::{Affine, Quadratic};

/// The largest |b/2a|. The square is of x + b/2a, and b^2/4a is subtracted from it: for x of magnitude 1 the error of
/// an approximate square counts up to about (b/2a)^2 times, 2^12 here.
const FARTHEST_VERTEX: f64 = 64.0;

/// The affine maps that, before and after a square, make it `quadratic`:
/// `a x^2 + b x + c = s (sqrt|a| x + s b / 2 sqrt|a|)^2 + (c - b^2/4a)` with `s` the sign of `a`.
pub(super) fn complete(name: &str, quadratic: &Quadratic) -> Result<(Affine, Affine), Error> {
    let empty = || Affine { scale: vec![], shift: vec![] };
    let (mut before, mut after) = (empty(), empty());
    for (channel, ((&a, &b), &c)) in quadratic.a.iter().zip(&quadratic.b).zip(&quadratic.c).enumerate() {
        // A channel that is constant, as pruning leaves them, needs no vertex.
        let vertex = if b == 0.0 { 0.0 } else { b / (2.0 * a) };
        if vertex.is_nan() || vertex.abs() > FARTHEST_VERTEX {
            let (layer, vertex) = (name.to_string(), vertex.abs());
            return Err(Error::Vertex { layer, channel, a, b, vertex, limit: FARTHEST_VERTEX });
        }
        let root = a.abs().sqrt();
        before.scale.push(root);
        before.shift.push(root * vertex);
        after.scale.push(if a < 0.0 { -1.0 } else { 1.0 });
        after.shift.push(constant(c, a * vertex * vertex));
    }
    Ok((before, after))
}

/// `c - subtrahend`, and zero where that is nothing but rounding: (x + t)^2 written out has no constant.
fn constant(c: f64, subtrahend: f64) -> f64 {
    let difference = c - subtrahend;
    if difference.abs() <= 8.0 * f64::EPSILON * c.abs() { 0.0 } else { difference }
}
