//! The input's layout: what a client writes into the slots of each input ciphertext.

use crate::Error;
use crate::representation::{Copies, Element};
use network::{Convolution, Shape};
use serde::{Deserialize, Serialize};

/// The input as the taps of a convolution's window see it.
///
/// A block holds one value for each element of the convolution's output: the input value that a tap multiplies there. Blocks lie
/// `spacing` slots apart, as many as fit; block `h` of ciphertext `c` holds tap `taps_per_input * c + h mod taps_per_input`, so any
/// `taps_per_input` neighbouring blocks hold all taps of the ciphertext. Taps are counted in the order of the weights: input channel
/// of the group, row, column of the kernel.
///
/// A layout may carry ones along, so that biases become weights: then every block ends with a one, and where the last ciphertext has room
/// for one tap more, that tap sees ones everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapLayout {
    /// The image's shape.
    pub input: Shape,
    /// Channels of the convolution's output.
    pub output_channels: usize,
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
    /// Rows and columns of zeros after it: bottom, right.
    pub after: [usize; 2],
    /// Slots from one block to the next.
    pub spacing: usize,
    /// Taps in one ciphertext.
    pub taps_per_input: usize,
    /// Whether ones are carried along.
    pub carries_one: bool,
    /// Slots of a ciphertext.
    pub slots: usize,
}

/// No extent of a layout may exceed this; with it no product below overflows.
const LARGEST: usize = 1 << 16;
/// No more input ciphertexts than this.
const MOST_INPUTS: usize = 1 << 12;

impl TapLayout {
    /// The layout for a convolution of an image of shape `input`, its blocks as close together as they can be.
    ///
    /// # Errors
    /// Where the convolution's output does not fit a ciphertext, and where what it needs is out of all proportion.
    pub fn new(
        convolution: &Convolution,
        input: Shape,
        taps_per_input: usize,
        carries_one: bool,
        slots: usize,
    ) -> Result<Self, Error> {
        let padding = convolution.padding;
        let mut layout = Self {
            input,
            output_channels: convolution.output_channels,
            groups: convolution.groups,
            kernel: convolution.kernel,
            stride: convolution.stride,
            dilation: convolution.dilation,
            before: [padding.top, padding.left],
            after: [padding.bottom, padding.right],
            spacing: slots,
            taps_per_input,
            carries_one,
            slots,
        };
        layout.check_extents()?;
        layout.spacing = layout.block().min(slots);
        layout.validate()?;
        Ok(layout)
    }

    /// The same with blocks further apart.
    ///
    /// # Errors
    /// Where too few blocks are left.
    pub fn spaced(mut self, spacing: usize) -> Result<Self, Error> {
        self.spacing = spacing;
        self.validate()?;
        Ok(self)
    }

    /// Checks that all figures are in range and fit together; a layout that passes can be written.
    pub fn validate(&self) -> Result<(), Error> {
        self.check_extents()?;
        let (elements, slots) = (self.block(), self.slots);
        if !slots.is_power_of_two() {
            return Err(Error::does_not_fit("number of slots", slots, "a power of two"));
        }
        if elements > self.spacing || self.spacing > slots {
            let expected =
                format!("at most the {} slots of a block and the {slots} of a ciphertext", self.spacing);
            return Err(Error::does_not_fit("output of the first layer", elements, expected));
        }
        if self.taps_per_input == 0 || self.taps_per_input > self.blocks() {
            let expected = format!("1 to the {} blocks", self.blocks());
            return Err(Error::does_not_fit("taps in one ciphertext", self.taps_per_input, expected));
        }
        if self.ciphertexts() > MOST_INPUTS {
            let expected = format!("at most {MOST_INPUTS}");
            return Err(Error::does_not_fit("number of input ciphertexts", self.ciphertexts(), expected));
        }
        Ok(())
    }

    fn check_extents(&self) -> Result<(), Error> {
        let Shape { channels, height, width } = self.input;
        let positive = [channels, height, width, self.output_channels, self.groups, self.spacing, self.slots];
        let window = [self.kernel, self.stride, self.dilation].concat();
        let padding = [self.before, self.after].concat();
        let all = positive.iter().chain(&window).map(|x| (*x, 1)).chain(padding.iter().map(|x| (*x, 0)));
        for (extent, least) in all {
            if !(least..=LARGEST).contains(&extent) {
                return Err(Error::does_not_fit("an extent", extent, format!("{least} to {LARGEST}")));
            }
        }
        for channels in [channels, self.output_channels] {
            if channels % self.groups != 0 {
                let expected = format!("a multiple of the {} groups", self.groups);
                return Err(Error::does_not_fit("number of channels", channels, expected));
            }
        }
        for (axis, extent) in [height, width].into_iter().enumerate() {
            let (window, padded) = (self.window(axis), extent + self.before[axis] + self.after[axis]);
            if window > padded {
                return Err(Error::does_not_fit("window", window, format!("at most the padded {padded}")));
            }
        }
        let elements = [channels, height, width].iter().fold(1, |n: u64, x| n.saturating_mul(*x as u64));
        let output = self.output();
        let outputs = [output.channels, output.height, output.width];
        let outputs = outputs.iter().fold(1, |n: u64, x| n.saturating_mul(*x as u64));
        for (what, elements) in [("input", elements), ("output", outputs)] {
            if elements > 1 << 24 {
                return Err(Error::does_not_fit(what, elements, "at most 2^24 elements"));
            }
        }
        Ok(())
    }

    fn window(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1).saturating_mul(self.dilation[axis]).saturating_add(1)
    }

    /// The shape of the convolution's output.
    pub fn output(&self) -> Shape {
        let [height, width] = [(0, self.input.height), (1, self.input.width)].map(|(axis, extent)| {
            (extent + self.before[axis] + self.after[axis] - self.window(axis)) / self.stride[axis] + 1
        });
        Shape::new(self.output_channels, height, width)
    }

    /// Taps of one output element.
    pub fn taps(&self) -> usize {
        self.input.channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// Ciphertexts of one input.
    pub fn ciphertexts(&self) -> usize {
        self.taps().div_ceil(self.taps_per_input)
    }

    /// Blocks of one ciphertext.
    pub fn blocks(&self) -> usize {
        self.slots / self.spacing
    }

    /// The convolution's output once the taps of each ciphertext are summed: a copy where `taps_per_input` blocks begin.
    pub fn sums(&self) -> Copies {
        let copies = self.blocks() + 1 - self.taps_per_input;
        let elements = self.output().elements();
        Copies { elements, carries_one: self.carries_one, spacing: self.spacing, copies }
    }

    /// Slots of a block that hold something.
    fn block(&self) -> usize {
        self.output().elements() + usize::from(self.carries_one)
    }

    /// Whether a tap beyond the last sees ones everywhere.
    pub fn has_constant_tap(&self) -> bool {
        self.carries_one && !self.taps().is_multiple_of(self.taps_per_input)
    }

    /// The tap that a slot of a ciphertext belongs to, and the output position; `None` where there is nothing. The constant tap follows
    /// the window's, the position of the one the output's.
    pub fn tap(&self, ciphertext: usize, slot: usize) -> Option<(usize, usize)> {
        let (block, output) = (slot / self.spacing, slot % self.spacing);
        let tap = self.taps_per_input * ciphertext + block % self.taps_per_input;
        let taps = self.taps() + usize::from(self.has_constant_tap());
        let there = block < self.blocks() && tap < taps && output < self.block();
        there.then_some((tap, output))
    }

    /// What lies in a slot of a ciphertext; `None` where there is nothing: padding of the image or of the layout.
    pub fn element(&self, ciphertext: usize, slot: usize) -> Option<Element> {
        let (tap, output) = self.tap(ciphertext, slot)?;
        let shape = self.output();
        if tap == self.taps() || output == shape.elements() {
            return Some(Element::One);
        }
        let [o, y, x] = coordinates(output, [shape.height, shape.width]);
        let [i, ky, kx] = coordinates(tap, self.kernel);
        let group = o / (self.output_channels / self.groups);
        let channel = group * (self.input.channels / self.groups) + i;
        let row = self.position(0, y, ky).filter(|r| *r < self.input.height)?;
        let column = self.position(1, x, kx).filter(|c| *c < self.input.width)?;
        Some(Element::Of((channel * self.input.height + row) * self.input.width + column))
    }

    /// Where the tap `k` of output `at` lies on `axis` of the image; `None` before its start.
    fn position(&self, axis: usize, at: usize, k: usize) -> Option<usize> {
        (at * self.stride[axis] + k * self.dilation[axis]).checked_sub(self.before[axis])
    }

    /// The slots of each input ciphertext for the values of an image, in the order channel, row, column.
    ///
    /// # Errors
    /// Where the number of values is not the image's.
    pub fn write(&self, values: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        let expected = self.input.elements();
        if values.len() != expected {
            return Err(Error::Length { what: "image", expected, actual: values.len() });
        }
        let value = |c, slot| match self.element(c, slot) {
            Some(Element::Of(index)) => values[index],
            Some(Element::One) => 1.0,
            None => 0.0,
        };
        let ciphertext = |c| {
            let mut slots = vec![0.0; self.slots];
            for block in 0..self.blocks() {
                let start = block * self.spacing;
                match block.checked_sub(self.taps_per_input) {
                    // So many blocks before lies the same tap.
                    Some(same) => {
                        slots.copy_within(same * self.spacing..same * self.spacing + self.block(), start)
                    }
                    None => (start..start + self.block()).for_each(|slot| slots[slot] = value(c, slot)),
                }
            }
            slots
        };
        Ok((0..self.ciphertexts()).map(ciphertext).collect())
    }
}

/// `index` in an array of rows and columns: what lies outside, row, column.
fn coordinates(index: usize, [rows, columns]: [usize; 2]) -> [usize; 3] {
    [index / (rows * columns), index / columns % rows, index % columns]
}
