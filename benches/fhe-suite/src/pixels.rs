//! The harness's inputs: a line of text for each image, its values in the order channel, row, column,
//! separated by spaces, with six decimals.
//!
//! The harness writes shares of 255 (torchvision's `ToTensor`), and normalises them only for its own network;
//! writers that normalise first are about, too. Both are pixels of 8 bits, and six decimals tell which: so an
//! image is read as what it was, bit by bit, and is normalised as the model's plan says and not twice. A line
//! whose values are pixels under neither reading is refused.

use crate::{During, Failure, Outcome};
use blindsight_network::Shape;
use std::io::{BufRead, Read};

/// How values stand for pixels: the share of 255 is `value * std + mean`, a pair for each channel.
type Reading = &'static [(f64, f64)];

/// MNIST's normalisation in the suite.
const MNIST: Reading = &[(0.1307, 0.3081)];
/// CIFAR-10's.
const CIFAR10: Reading = &[(0.4914, 0.2023), (0.4822, 0.1994), (0.4465, 0.2010)];
/// How far a value may be from its pixel's: half of the last decimal, and the rounding of single precision.
const TOLERANCE: f64 = 1e-6;
/// The most bytes of a value, with what separates it from the next one.
const LONGEST_VALUE: usize = 32;

/// The images of a file in turn.
#[derive(Debug)]
pub struct Images<R> {
    source: R,
    shape: Shape,
    count: usize,
}

impl<R: BufRead> Images<R> {
    /// The images of this shape in `source`.
    pub fn new(source: R, shape: Shape) -> Self {
        Self { source, shape, count: 0 }
    }

    /// The next line, without more than an image's line can have.
    fn line(&mut self) -> Outcome<Option<String>> {
        let most = self.shape.elements() * LONGEST_VALUE;
        let mut line = String::new();
        self.source.by_ref().take(most as u64).read_line(&mut line)?;
        match line.as_bytes() {
            [] => Ok(None),
            bytes if bytes.len() == most && !line.ends_with('\n') => Err(Failure::new(format!(
                "a line of more than {most} bytes: expected {} values",
                self.shape.elements()
            ))),
            _ => Ok(Some(line)),
        }
    }
}

impl<R: BufRead> Iterator for Images<R> {
    type Item = Outcome<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count += 1;
        let line = self.line().transpose()?;
        let pixels = line.and_then(|line| pixels(&line, self.shape));
        Some(pixels.during(|| format!("line {}", self.count)))
    }
}

/// The pixels of an image of this shape, from its line.
///
/// # Errors
/// For another number of values, and for values that are no pixels.
pub fn pixels(line: &str, shape: Shape) -> Outcome<Vec<u8>> {
    let values = values(line, shape.elements())?;
    let normalised: Reading = if shape.channels == 1 { MNIST } else { CIFAR10 };
    let shares = vec![(0.0, 1.0); shape.channels];
    let read = |reading: &[(f64, f64)]| {
        let planes = values.chunks(shape.positions()).zip(reading);
        let pixels = planes.flat_map(|(plane, &(mean, std))| plane.iter().map(move |&v| pixel(v, mean, std)));
        pixels.collect::<Option<Vec<u8>>>().filter(|pixels| pixels.len() == values.len())
    };
    read(&shares).or_else(|| read(normalised)).ok_or_else(|| {
        Failure::new(
            "values that are no pixels: expected shares of 255 from 0 to 1, or the same normalised as the suite does for its own network, with six decimals",
        )
    })
}

/// The numbers of a line.
fn values(line: &str, expected: usize) -> Outcome<Vec<f64>> {
    let mut values = Vec::with_capacity(expected);
    for word in line.split_ascii_whitespace() {
        let shown: String = word.chars().take(LONGEST_VALUE).collect();
        values.push(word.parse().during(|| format!("{shown:?}"))?);
    }
    match values.len() {
        found if found == expected => Ok(values),
        found => Err(Failure::new(format!("{found} values, expected {expected}"))),
    }
}

/// The pixel that a value stands for.
fn pixel(value: f64, mean: f64, std: f64) -> Option<u8> {
    let pixel = ((value * std + mean) * 255.0).round();
    let exact = (pixel / 255.0 - mean) / std;
    ((0.0..=255.0).contains(&pixel) && (value - exact).abs() <= TOLERANCE).then_some(pixel as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Shape = Shape { channels: 1, height: 16, width: 16 };
    const COLOURED: Shape = Shape { channels: 3, height: 16, width: 16 };

    /// A line with every pixel of 0 to 255 in each channel, written as single precision is.
    fn line(reading: &[(f64, f64)]) -> String {
        let value = |(mean, std): (f64, f64), pixel: u8| {
            let share = f32::from(pixel) / 255.0;
            format!("{:.6}", (share - mean as f32) / std as f32)
        };
        let values = reading.iter().flat_map(|&channel| (0..=255).map(move |pixel| value(channel, pixel)));
        values.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_pixel_is_read_back_whether_normalised_or_not() {
        let grey: Vec<u8> = (0..=255).collect();
        for reading in [&[(0.0, 1.0)], MNIST] {
            assert_eq!(pixels(&line(reading), SMALL).expect("pixels"), grey);
        }
        for reading in [&[(0.0, 1.0); 3], CIFAR10] {
            assert_eq!(pixels(&line(reading), COLOURED).expect("pixels"), grey.repeat(3));
        }
    }

    #[test]
    fn images_come_one_by_one_and_the_last_line_needs_no_end() {
        let text = format!("{}\n{}", line(MNIST), line(&[(0.0, 1.0)]));
        let images: Vec<_> = Images::new(text.as_bytes(), SMALL).collect::<Outcome<_>>().expect("two images");
        assert_eq!(images.len(), 2);
        assert_eq!(images[0], images[1]);
    }

    #[test]
    fn what_is_no_image_is_refused_with_its_line() {
        let sound = line(MNIST);
        for (text, expected) in [
            (format!("{sound}\n0.1 0.2"), "line 2: 2 values, expected 256"),
            (format!("{sound} 0.5"), "line 1: 257 values"),
            (sound.replacen("-0.4", "x", 1), "line 1: \"x"),
            (vec!["0.501"; 256].join(" "), "line 1: values that are no pixels"),
            (vec!["nan"; 256].join(" "), "line 1: values that are no pixels"),
            (vec!["1e300"; 256].join(" "), "line 1: values that are no pixels"),
            ("\n".into(), "line 1: 0 values, expected 256"),
            (" ".repeat(1 << 20), "line 1: a line of more than 8192 bytes"),
        ] {
            let read: Outcome<Vec<_>> = Images::new(text.as_bytes(), SMALL).collect();
            let said = read.expect_err(expected).to_string();
            assert!(said.contains(expected), "{said}");
        }
    }
}
