//! An image to estimate magnitudes with, where no real one is at hand.

use crate::Shape;

/// A bright ring on a dark ground, over the whole range of the input, from the least to the largest value: large areas,
/// edges and both extremes, as in most images. Elements in the order channel, row, column.
pub fn image(shape: Shape, (least, largest): (f64, f64)) -> Vec<f64> {
    let centre = [shape.height as f64 / 2.0, shape.width as f64 / 2.0];
    let radius = centre[0].min(centre[1]) * 0.6;
    let width = (radius / 4.0).max(0.5);
    let pixel = |y: usize, x: usize| {
        let [dy, dx] = [y as f64 + 0.5 - centre[0], x as f64 + 0.5 - centre[1]];
        let distance = ((dy * dy + dx * dx).sqrt() - radius).abs();
        least + (largest - least) * (1.5 - distance / width).clamp(0.0, 1.0)
    };
    let positions = (0..shape.height).flat_map(|y| (0..shape.width).map(move |x| (y, x)));
    let plane: Vec<f64> = positions.map(|(y, x)| pixel(y, x)).collect();
    plane.repeat(shape.channels)
}
