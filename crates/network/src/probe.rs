//! Inputs to estimate magnitudes with, where no real ones are at hand.
//!
//! They are the same on every machine: no function is used that platforms round differently.

use crate::{Metadata, Shape};

/// How many inputs [`inputs`] makes.
pub const COUNT: usize = 16;

/// A bright ring on a dark ground, over the whole range of the input: large areas, edges and both extremes,
/// as in most images.
pub fn image(shape: Shape, (least, largest): (f64, f64)) -> Vec<f64> {
    let plane: Vec<f64> =
        ring(shape.height, shape.width).iter().map(|v| least + (largest - least) * v).collect();
    plane.repeat(shape.channels)
}

/// The input that errors are predicted on, and magnitudes: what the metadata say is usual, else [`image`].
pub fn usual(shape: Shape, metadata: &Metadata) -> Vec<f64> {
    metadata.usual_input.clone().unwrap_or_else(|| image(shape, metadata.input_range))
}

/// [`COUNT`] inputs of natural kind over the whole range. Images: a ring, blobs, gradients, edges, and noise
/// smoothed at several scales, each channel with a tint of its own. Vectors and series: seeded values,
/// neighbours alike at several scales.
pub fn inputs(shape: Shape, (least, largest): (f64, f64)) -> Vec<Vec<f64>> {
    let input = |index: usize| {
        let values = if is_image(shape) { picture(index, shape) } else { series(index, shape) };
        values.into_iter().map(|v| least + (largest - least) * v).collect()
    };
    (0..COUNT).map(input).collect()
}

fn is_image(shape: Shape) -> bool {
    shape.height > 1 && shape.width > 1
}

/// An image with values from 0 to 1.
fn picture(index: usize, shape: Shape) -> Vec<f64> {
    let (height, width) = (shape.height, shape.width);
    let mut random = Random::new(index);
    let plane = match index {
        0 => ring(height, width),
        1..=4 => blobs(height, width, [1, 2, 4, 8][index - 1], &mut random),
        5 => blobs(height, width, 3, &mut random).iter().map(|v| 1.0 - v).collect(),
        6 => slope(height, width, [0.0, 1.0], 1.0),
        7 => slope(height, width, [1.0, -1.0], 1.0),
        8 => slope(height, width, [1.0, 0.0], 16.0),
        9 => slope(height, width, [-1.0, 2.0], 16.0),
        10 => slope(height, width, [-2.0, -1.0], 16.0),
        _ => return noises(index - 11, shape, &mut random),
    };
    let tints =
        (0..shape.channels).map(|_| if shape.channels == 1 { 1.0 } else { 0.5 + 0.5 * random.number() });
    tints.flat_map(|tint| plane.iter().map(move |v| tint * v).collect::<Vec<_>>()).collect()
}

/// Each channel its own noise, smoothed over `2^octave` pixels.
fn noises(octave: usize, shape: Shape, random: &mut Random) -> Vec<f64> {
    (0..shape.channels).flat_map(|_| noise(shape.height, shape.width, (1 << octave) / 2, random)).collect()
}

/// A vector, or channels of a series, with values from 0 to 1. The first half is not smoothed: the values of
/// a table have nothing to do with their neighbours.
fn series(index: usize, shape: Shape) -> Vec<f64> {
    let mut random = Random::new(index);
    if index < COUNT / 2 {
        return (0..shape.elements()).map(|_| random.number()).collect();
    }
    let (channels, length) =
        if shape.is_vector() { (1, shape.channels) } else { (shape.channels, shape.positions()) };
    let radius = 1 << (index - COUNT / 2);
    (0..channels).flat_map(|_| noise(1, length, radius.min(length / 4), &mut random)).collect()
}

/// A bright ring on a dark ground.
fn ring(height: usize, width: usize) -> Vec<f64> {
    let centre = [height as f64 / 2.0, width as f64 / 2.0];
    let radius = centre[0].min(centre[1]) * 0.6;
    let thickness = (radius / 4.0).max(0.5);
    let pixel = |(y, x): (usize, usize)| {
        let [dy, dx] = [y as f64 + 0.5 - centre[0], x as f64 + 0.5 - centre[1]];
        let distance = ((dy * dy + dx * dx).sqrt() - radius).abs();
        (1.5 - distance / thickness).clamp(0.0, 1.0)
    };
    positions(height, width).map(pixel).collect()
}

/// So many bright blobs on a dark ground.
fn blobs(height: usize, width: usize, count: usize, random: &mut Random) -> Vec<f64> {
    let (h, w) = (height as f64, width as f64);
    let blobs: Vec<[f64; 3]> = (0..count)
        .map(|_| [h * random.number(), w * random.number(), h.min(w) * (0.08 + 0.17 * random.number())])
        .collect();
    let pixel = |(y, x): (usize, usize)| {
        let light = blobs.iter().map(|[cy, cx, radius]| {
            let [dy, dx] = [y as f64 + 0.5 - cy, x as f64 + 0.5 - cx];
            (1.5 - 0.5 * (dy * dy + dx * dx) / (radius * radius)).clamp(0.0, 1.0)
        });
        light.fold(0.0, f64::max)
    };
    positions(height, width).map(pixel).collect()
}

/// From dark to bright in a direction: over the whole image with a `steepness` of one, an edge with a large
/// one.
fn slope(height: usize, width: usize, [down, right]: [f64; 2], steepness: f64) -> Vec<f64> {
    let whole: f64 = down.abs() + right.abs();
    let pixel = |(y, x): (usize, usize)| {
        let [dy, dx] = [(y as f64 + 0.5) / height as f64 - 0.5, (x as f64 + 0.5) / width as f64 - 0.5];
        (0.5 + steepness * (down * dy + right * dx) / whole).clamp(0.0, 1.0)
    };
    positions(height, width).map(pixel).collect()
}

/// Uniform noise, averaged over so many neighbours in each direction and stretched to reach 0 and 1.
fn noise(height: usize, width: usize, radius: usize, random: &mut Random) -> Vec<f64> {
    let mut plane: Vec<f64> = (0..height * width).map(|_| random.number()).collect();
    if radius > 0 {
        plane = averaged(&plane, radius, width, height, 1);
        plane = averaged(&plane, radius, height, width, width);
    }
    let (least, most) = plane.iter().fold((f64::INFINITY, 0.0f64), |(l, m), v| (l.min(*v), m.max(*v)));
    let span = (most - least).max(f64::MIN_POSITIVE);
    plane.iter().map(|v| (v - least) / span).collect()
}

/// Means over neighbours along lines of `length` values that lie `step` apart.
fn averaged(plane: &[f64], radius: usize, length: usize, lines: usize, step: usize) -> Vec<f64> {
    let mut means = vec![0.0; plane.len()];
    for line in 0..lines {
        let start = if step == 1 { line * length } else { line };
        for at in 0..length {
            let [from, to] = [at.saturating_sub(radius), (at + radius + 1).min(length)];
            let sum: f64 = (from..to).map(|i| plane[start + i * step]).sum();
            means[start + at * step] = sum / (to - from) as f64;
        }
    }
    means
}

fn positions(height: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

/// A small generator (xorshift64*), the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Uniform from 0 to 1.
    fn number(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_fill_the_range_and_differ() {
        let shapes = [
            (1, 28, 28),
            (3, 32, 32),
            (3, 2, 5),
            (30, 1, 1),
            (1, 1, 1),
            (2, 1, 128),
            (1, 128, 1),
            (2, 200, 3),
        ];
        for shape in shapes.map(|(c, h, w)| Shape::new(c, h, w)) {
            let probes = inputs(shape, (-1.0, 3.0));
            assert_eq!(probes.len(), COUNT);
            let all = probes.concat();
            assert_eq!(all.len(), COUNT * shape.elements());
            assert!(all.iter().all(|v| (-1.0..=3.0).contains(v)), "{shape}");
            assert_eq!(probes, inputs(shape, (-1.0, 3.0)));
            assert!(probes.iter().skip(1).any(|probe| *probe != probes[0]), "{shape}");
        }
    }
}
