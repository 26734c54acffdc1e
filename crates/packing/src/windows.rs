//! What a client writes into the slots of the input ciphertexts.

use crate::layout::Axis;
use crate::linear::coordinates;
use crate::placement::Placement;
use crate::{Error, Layout};
use network::{Convolution, Shape};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The layout of an input image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputLayout {
    /// What the windows of the first layer see.
    Windows(Windows),
    /// The image itself.
    Image(Layout),
}

/// The image as the taps of a convolution's window see it: the convolution is then a product for each ciphertext, and a sum.
///
/// `output` lays out the convolution's output. Where it has an element `(o, y, x)` in a block of class `k`, input ciphertext `c` holds the pixel
/// that tap `classes * c + k` multiplies at `(y, x)`. Taps are counted in the order of the weights: input channel of the group, row, column
/// of the kernel; those that are zero in all maps are left out. Ciphertexts of the output that differ in their channels only see the same pixels and share their inputs.
///
/// Where the layout carries a one, the input has ones there; and where the last ciphertext has room for one tap more, that tap sees
/// ones everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
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
/// No larger images than this.
const MOST_ELEMENTS: usize = 1 << 24;

impl InputLayout {
    /// The image's shape.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Windows(windows) => windows.input,
            Self::Image(layout) => layout.shape,
        }
    }

    /// Slots of a ciphertext.
    pub fn slots(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.output.slots,
            Self::Image(layout) => layout.slots,
        }
    }

    /// How many ciphertexts one image takes.
    pub fn ciphertexts(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.ciphertexts(),
            Self::Image(layout) => layout.ciphertexts,
        }
    }

    /// Checks that all figures are in range and fit together; a layout that passes can be written.
    ///
    /// # Errors
    /// With the figure that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Windows(windows) => windows.validate(),
            Self::Image(layout) if layout.blocks.classes == 1 => layout.validate(),
            Self::Image(_) => Err(Error::does_not_fit("classes of an image", "several", "one")),
        }
    }

    /// The slots of each input ciphertext for the values of an image, in the order channel, row, column.
    ///
    /// # Errors
    /// Where the number of values is not the image's.
    pub fn write(&self, values: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        let expected = self.shape().elements();
        if values.len() != expected {
            return Err(Error::Length { what: "image", expected, actual: values.len() });
        }
        Ok(match self {
            Self::Windows(windows) => windows.write(values),
            Self::Image(layout) => write_image(layout, values),
        })
    }
}

fn write_image(layout: &Layout, values: &[f64]) -> Vec<Vec<f64>> {
    let placement = Placement::new(layout);
    let value = |position| match placement.at(position) {
        Some((_, element)) => values.get(element).copied().unwrap_or(1.0),
        None => 0.0,
    };
    let ciphertext = |c: usize| (0..layout.slots).map(|slot| value(c * layout.slots + slot)).collect();
    (0..layout.ciphertexts).map(ciphertext).collect()
}

impl Windows {
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
        self.taps.len().div_ceil(self.output.blocks.classes)
    }

    /// Different patterns of pixels among the ciphertexts of the output.
    pub fn patterns(&self) -> usize {
        let mut apart = self.output.digits.iter().filter(|d| d.count > 1 && d.stride >= self.output.slots);
        let shared = self.groups == 1
            && self.output.ciphertexts > 1
            && apart.all(|d| d.axis == Axis::Channel && d.stride.is_multiple_of(self.output.slots))
            && self.spans_one_ciphertext();
        if shared { 1 } else { self.output.ciphertexts }
    }

    /// Whether the digits that stay within a ciphertext cannot carry into the next.
    fn spans_one_ciphertext(&self) -> bool {
        let within = self.output.digits.iter().filter(|d| d.stride < self.output.slots);
        within.map(|d| (d.count - 1) * d.stride).sum::<usize>() < self.output.slots
            && self.output.one.is_none_or(|one| one < self.output.slots)
    }

    /// How many ciphertexts one image takes.
    pub fn ciphertexts(&self) -> usize {
        self.inputs() * self.patterns()
    }

    /// Whether a tap beyond the last sees ones everywhere.
    pub fn has_constant_tap(&self) -> bool {
        self.output.one.is_some() && !self.taps.len().is_multiple_of(self.output.blocks.classes)
    }

    fn validate(&self) -> Result<(), Error> {
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
        let inputs = self.inputs().saturating_mul(self.patterns());
        if inputs > MOST_INPUTS {
            let expected = format!("at most {MOST_INPUTS}");
            return Err(Error::does_not_fit("number of input ciphertexts", inputs, expected));
        }
        Ok(())
    }

    /// The element of the image that a tap of the window sees at an output element; `None` in the padding.
    pub(crate) fn pixel(&self, tap: usize, output: usize) -> Option<usize> {
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

    /// What the `tap`-th of the used taps, or the constant one after them, sees at an element of the output, or at its one.
    fn seen(&self, tap: usize, element: usize, values: &[f64]) -> f64 {
        match (self.taps.get(tap), element == self.output.shape.elements()) {
            (Some(_), true) => 1.0,
            (Some(tap), false) => self.pixel(*tap as usize, element).map_or(0.0, |p| values[p]),
            (None, _) => f64::from(u8::from(tap == self.taps.len() && self.has_constant_tap())),
        }
    }

    fn write(&self, values: &[f64]) -> Vec<Vec<f64>> {
        let placement = Placement::new(&self.output);
        let (classes, patterns) = (placement.classes, self.patterns());
        let ciphertext = |c: usize| {
            let (input, pattern) = (c / patterns, c % patterns);
            let mut slots = vec![0.0; placement.slots];
            let elements = (0..placement.base.len()).filter(|e| placement.place(*e).0 == pattern);
            for element in elements {
                for class in 0..classes {
                    let value = self.seen(classes * input + class, element, values);
                    placement.slots_of(element, class).for_each(|slot| slots[slot] = value);
                }
            }
            slots
        };
        (0..self.ciphertexts()).map(ciphertext).collect()
    }
}

impl fmt::Display for InputLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Windows(w) => {
                let (taps, each) = (w.taps.len(), w.output.blocks.classes);
                write!(f, "{taps} taps in {} ciphertexts, {each} each", w.ciphertexts())
            }
            Self::Image(layout) => write!(f, "image {layout}"),
        }
    }
}
