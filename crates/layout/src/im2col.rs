//! The im2col form of an image: what each kernel position of the first convolution sees.

use crate::layout::{Axis, Digit, coordinates};
use crate::placement::Placement;
use crate::{Error, Layout};
use blindsight_network::{Convolution, Shape};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// The image as the taps of a convolution's window see it: the convolution is then a product for each
/// ciphertext, and a sum.
///
/// `output` lays out the convolution's output. Where it has an element `(o, y, x)` in a block of part `k`,
/// input ciphertext `c` holds the pixel that tap `parts * c + k` multiplies at `(y, x)`. Taps are counted in
/// the order of the weights: input channel of the group, row, column of the kernel; those that are zero in
/// all maps are left out. Ciphertexts of the output that see the same pixels share their inputs.
///
/// Where the layout has a bias slot, the input has ones there; and where the last ciphertext has room for one
/// tap more, that tap sees ones everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Im2col {
    /// The image's shape.
    pub input: Shape,
    /// Groups of the convolution.
    pub groups: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Distance of neighbouring taps.
    pub dilation: [usize; 2],
    /// Rows and columns of zeros before the image: top, left.
    pub before: [usize; 2],
    /// The taps that any weight uses, in order: what the others would see is not sent.
    pub taps: Vec<u32>,
    /// Where the convolution's output lies, in partial sums.
    pub output: Layout,
}

/// No extent of a window may exceed this; with it no product below overflows.
const LARGEST: usize = 1 << 16;
/// No more input ciphertexts than this.
const MOST_INPUTS: usize = 1 << 12;
/// No more products of input ciphertexts than this.
const MOST_PRODUCTS: usize = 1 << 16;
/// No larger images than this.
const MOST_ELEMENTS: usize = 1 << 24;

impl Im2col {
    /// What the windows of `convolution` see, for an output that lies as `output` says.
    pub fn new(convolution: &Convolution, input: Shape, output: Layout) -> Self {
        let used = |tap: &u32| {
            let mut maps = 0..convolution.output_channels;
            maps.any(|o| convolution.channel_weights(o)[*tap as usize] != 0.0)
        };
        let mut taps: Vec<u32> = (0..convolution.taps() as u32).filter(used).collect();
        if taps.is_empty() {
            taps.push(0);
        }
        Self {
            input,
            groups: convolution.groups,
            kernel: convolution.kernel,
            stride: convolution.stride,
            dilation: convolution.dilation,
            before: [convolution.padding.top, convolution.padding.left],
            taps,
            output,
        }
    }

    /// Input ciphertexts for each pattern.
    pub fn inputs(&self) -> usize {
        self.taps.len().div_ceil(self.output.blocks.parts)
    }

    /// Which input ciphertext each of the [`inputs`](Self::inputs) is, for each ciphertext of the output in
    /// turn; equal ones are sent once.
    ///
    /// Where ciphertexts of the output hold elements some rows and columns apart, in the same slots, a tap
    /// that sees a pixel for one of them is another tap of another one.
    pub fn sources(&self) -> Vec<Vec<usize>> {
        let mut seen = HashMap::new();
        let apart = self.apart();
        let mut source = |input: usize, ciphertext: usize| {
            let view = match &apart {
                Some(apart) => self.view(self.taps[input] as usize, apart[ciphertext]),
                None => [input, ciphertext, usize::MAX],
            };
            let next = seen.len();
            *seen.entry(view).or_insert(next)
        };
        let of_input = |input| (0..self.output.ciphertexts).map(|c| source(input, c)).collect();
        (0..self.inputs()).map(of_input).collect()
    }

    /// The channel that a tap sees, and how far down and to the right, for elements so many rows and columns
    /// further on.
    fn view(&self, tap: usize, [rows, columns]: [usize; 2]) -> [usize; 3] {
        let [height, width] = self.kernel;
        let [channel, ky, kx] = [tap / (height * width), tap / width % height, tap % width];
        let at =
            |axis: usize, k: usize, further: usize| k * self.dilation[axis] + further * self.stride[axis];
        [channel, at(0, ky, rows), at(1, kx, columns)]
    }

    /// How many rows and columns the elements of each ciphertext of the output lie from those in the same
    /// slots of the first; `None` where there is no such rule, or more to it than rows and columns.
    fn apart(&self) -> Option<Vec<[usize; 2]>> {
        let Layout { slots, ciphertexts, ref digits, bias_slot, blocks, .. } = self.output;
        let (across, within): (Vec<&Digit>, Vec<&Digit>) =
            digits.iter().filter(|d| d.count > 1).partition(|d| d.stride >= slots);
        let reach: usize = within.iter().map(|d| (d.count - 1) * d.stride).sum();
        let regular = reach < slots && across.iter().all(|d| d.stride.is_multiple_of(slots));
        if self.groups > 1 || ciphertexts == 1 || blocks.parts > 1 || bias_slot.is_some() || !regular {
            return None;
        }
        Some((0..ciphertexts).map(|c| self.distance(c, &across)).collect())
    }

    /// The rows and columns that the digits of a ciphertext's number stand for.
    fn distance(&self, ciphertext: usize, across: &[&Digit]) -> [usize; 2] {
        [Axis::Row, Axis::Column].map(|axis| {
            let (mut weight, mut distance) = (1, 0);
            for digit in self.output.digits.iter().filter(|d| d.axis == axis) {
                if across.iter().any(|a| **a == *digit) {
                    distance += ciphertext * self.output.slots / digit.stride % digit.count * weight;
                }
                weight *= digit.count;
            }
            distance
        })
    }

    /// How many ciphertexts one image takes.
    pub fn ciphertexts(&self) -> usize {
        count(&self.sources())
    }

    /// Whether a tap beyond the last sees ones everywhere.
    pub fn has_constant_tap(&self) -> bool {
        self.output.bias_slot.is_some() && !self.taps.len().is_multiple_of(self.output.blocks.parts)
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let Shape { channels, height, width } = self.input;
        let window = [self.kernel, self.stride, self.dilation].concat();
        let positive = [channels, height, width, self.groups].into_iter().chain(window).map(|x| (x, 1));
        for (extent, least) in positive.chain(self.before.map(|x| (x, 0))) {
            if !(least..=LARGEST).contains(&extent) {
                return Err(Error::does_not_fit("an extent", extent, format!("{least} to {LARGEST}")));
            }
        }
        if self.input.elements() > MOST_ELEMENTS {
            return Err(Error::does_not_fit("image", self.input, "at most 2^24 elements"));
        }
        for channels in [channels, self.output.shape.channels] {
            if channels % self.groups != 0 {
                let expected = format!("a multiple of the {} groups", self.groups);
                return Err(Error::does_not_fit("number of channels", channels, expected));
            }
        }
        let window = channels / self.groups * self.kernel[0] * self.kernel[1];
        let rising = self.taps.windows(2).all(|w| w[0] < w[1]);
        if !rising || self.taps.last().is_none_or(|last| *last as usize >= window) {
            return Err(Error::does_not_fit("taps", "empty, not rising or", format!("below {window}")));
        }
        self.output.validate()?;
        let products = self.inputs().saturating_mul(self.output.ciphertexts);
        if products > MOST_PRODUCTS {
            let expected = format!("at most {MOST_PRODUCTS}");
            return Err(Error::does_not_fit("number of products of windows", products, expected));
        }
        let inputs = self.ciphertexts();
        if inputs > MOST_INPUTS {
            let expected = format!("at most {MOST_INPUTS}");
            return Err(Error::does_not_fit("number of input ciphertexts", inputs, expected));
        }
        Ok(())
    }

    /// The element of the image that a tap of the window sees at an output element; `None` in the padding.
    pub fn pixel(&self, tap: usize, output: usize) -> Option<usize> {
        let [o, y, x] = coordinates(output, self.output.shape);
        let [i, ky, kx] = [
            tap / (self.kernel[0] * self.kernel[1]),
            tap / self.kernel[1] % self.kernel[0],
            tap % self.kernel[1],
        ];
        let group = o / (self.output.shape.channels / self.groups);
        let channel = group * (self.input.channels / self.groups) + i;
        let at = |axis: usize, at: usize, k: usize, extent: usize| {
            let from = (at * self.stride[axis] + k * self.dilation[axis]).checked_sub(self.before[axis])?;
            (from < extent).then_some(from)
        };
        let (row, column) = (at(0, y, ky, self.input.height)?, at(1, x, kx, self.input.width)?);
        Some((channel * self.input.height + row) * self.input.width + column)
    }

    /// What the `tap`-th of the used taps, or the constant one after them, sees at an element of the output,
    /// or at its one.
    fn seen(&self, tap: usize, element: usize, values: &[f64]) -> f64 {
        match (self.taps.get(tap), element == self.output.shape.elements()) {
            (Some(_), true) => 1.0,
            (Some(tap), false) => self.pixel(*tap as usize, element).map_or(0.0, |p| values[p]),
            (None, _) => f64::from(u8::from(tap == self.taps.len() && self.has_constant_tap())),
        }
    }

    pub(crate) fn write(&self, values: &[f64]) -> Vec<Vec<f64>> {
        let (placement, sources) = (Placement::new(&self.output), self.sources());
        let mut written = vec![vec![0.0; placement.slots]; count(&sources)];
        for (input, sources) in sources.iter().enumerate() {
            for element in 0..placement.base.len() {
                let slots = &mut written[sources[placement.place(element).0]];
                for part in 0..placement.parts {
                    let value = self.seen(placement.parts * input + part, element, values);
                    placement.slots_of(element, part).for_each(|slot| slots[slot] = value);
                }
            }
        }
        written
    }
}

/// How many different sources there are.
fn count(sources: &[Vec<usize>]) -> usize {
    sources.iter().flatten().max().map_or(0, |last| last + 1)
}

impl fmt::Display for Im2col {
    /// How many kernel positions there are, in how many ciphertexts, and how many of them in each; and where
    /// the output has several ciphertexts, that each needs its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (taps, sent, outputs) = (self.taps.len(), self.ciphertexts(), self.output.ciphertexts);
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(f, "{taps} kernel position{}", plural(taps))?;
        if outputs > 1 {
            write!(f, " for each of {outputs} ciphertexts of output,")?;
        }
        let each = self.output.blocks.parts.min(taps);
        let most = if taps.is_multiple_of(each) { "" } else { "up to " };
        write!(f, " in {sent} ciphertext{}, {most}{each} each", plural(sent))?;
        if sent < outputs * self.inputs() {
            f.write_str("; equal ones are sent once")?;
        }
        Ok(())
    }
}
