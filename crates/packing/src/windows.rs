//! What a client writes into the slots of the input ciphertexts.

use crate::batch::BatchLayout;
use crate::layout::{Axis, Digit};
use crate::linear::coordinates;
use crate::placement::Placement;
use crate::{Error, Layout};
use blindsight_network::{Convolution, Shape};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// The layout of an input image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputLayout {
    /// What the windows of the first layer see.
    Windows(Windows),
    /// The image itself.
    Image(Layout),
    /// A batch of images.
    Batch(BatchLayout),
}

/// The image as the taps of a convolution's window see it: the convolution is then a product for each ciphertext, and a sum.
///
/// `output` lays out the convolution's output. Where it has an element `(o, y, x)` in a block of class `k`, input ciphertext `c` holds the pixel
/// that tap `classes * c + k` multiplies at `(y, x)`. Taps are counted in the order of the weights: input channel of the group, row, column
/// of the kernel; those that are zero in all maps are left out. Ciphertexts of the output that see the same pixels share their inputs.
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
/// No more products of input ciphertexts than this.
const MOST_PRODUCTS: usize = 1 << 16;
/// No larger images than this.
const MOST_ELEMENTS: usize = 1 << 24;

impl InputLayout {
    /// The image's shape.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Windows(windows) => windows.input,
            Self::Image(layout) => layout.shape,
            Self::Batch(batch) => batch.shape,
        }
    }

    /// Slots of a ciphertext.
    pub fn slots(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.output.slots,
            Self::Image(layout) => layout.slots,
            Self::Batch(batch) => batch.slots,
        }
    }

    /// How many images a request holds at most.
    pub fn images(&self) -> usize {
        match self {
            Self::Windows(_) | Self::Image(_) => 1,
            Self::Batch(batch) => batch.slots,
        }
    }

    /// How many ciphertexts a request has.
    pub fn ciphertexts(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.ciphertexts(),
            Self::Image(layout) => layout.ciphertexts,
            Self::Batch(batch) => batch.ciphertexts(),
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
            Self::Batch(batch) => batch.validate(),
            Self::Image(_) => Err(Error::does_not_fit("classes of an image", "several", "one")),
        }
    }

    /// The slots of each input ciphertext for the values of an image, in the order channel, row, column.
    ///
    /// # Errors
    /// Where the number of values is not the image's.
    pub fn write(&self, values: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        self.write_images(&[values])
    }

    /// The same for several images, as many as a request may hold.
    ///
    /// # Errors
    /// Where there is no image or more than a request holds, and where the number of values is not an image's.
    pub fn write_images(&self, images: &[&[f64]]) -> Result<Vec<Vec<f64>>, Error> {
        let (expected, most) = (self.shape().elements(), self.images());
        if images.is_empty() || images.len() > most {
            let (what, expected) = ("number of images in a request", format!("1 to {most}"));
            return Err(Error::does_not_fit(what, images.len(), expected));
        }
        if let Some(wrong) = images.iter().find(|image| image.len() != expected) {
            return Err(Error::Length { what: "image", expected, actual: wrong.len() });
        }
        Ok(match self {
            Self::Windows(windows) => windows.write(images[0]),
            Self::Image(layout) => write_image(layout, images[0]),
            Self::Batch(batch) => batch.write(images),
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

    /// Which input ciphertext each of the [`inputs`](Self::inputs) is, for each ciphertext of the output in turn; equal ones are sent once.
    ///
    /// Where ciphertexts of the output hold elements some rows and columns apart, in the same slots, a tap that sees a pixel for one of them
    /// is another tap of another one.
    pub(crate) fn sources(&self) -> Vec<Vec<usize>> {
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

    /// The channel that a tap sees, and how far down and to the right, for elements so many rows and columns further on.
    fn view(&self, tap: usize, [rows, columns]: [usize; 2]) -> [usize; 3] {
        let [height, width] = self.kernel;
        let [channel, ky, kx] = [tap / (height * width), tap / width % height, tap % width];
        let at =
            |axis: usize, k: usize, further: usize| k * self.dilation[axis] + further * self.stride[axis];
        [channel, at(0, ky, rows), at(1, kx, columns)]
    }

    /// How many rows and columns the elements of each ciphertext of the output lie from those in the same slots of the first; `None` where
    /// there is no such rule, or more to it than rows and columns.
    fn apart(&self) -> Option<Vec<[usize; 2]>> {
        let Layout { slots, ciphertexts, ref digits, one, blocks, .. } = self.output;
        let (across, within): (Vec<&Digit>, Vec<&Digit>) =
            digits.iter().filter(|d| d.count > 1).partition(|d| d.stride >= slots);
        let reach: usize = within.iter().map(|d| (d.count - 1) * d.stride).sum();
        let regular = reach < slots && across.iter().all(|d| d.stride.is_multiple_of(slots));
        if self.groups > 1 || ciphertexts == 1 || blocks.classes > 1 || one.is_some() || !regular {
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
        let (placement, sources) = (Placement::new(&self.output), self.sources());
        let mut written = vec![vec![0.0; placement.slots]; count(&sources)];
        for (input, sources) in sources.iter().enumerate() {
            for element in 0..placement.base.len() {
                let slots = &mut written[sources[placement.place(element).0]];
                for class in 0..placement.classes {
                    let value = self.seen(placement.classes * input + class, element, values);
                    placement.slots_of(element, class).for_each(|slot| slots[slot] = value);
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

impl fmt::Display for InputLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Windows(w) => {
                let (taps, each) = (w.taps.len(), w.output.blocks.classes);
                write!(f, "{taps} taps in {} ciphertexts, {each} each", w.ciphertexts())
            }
            Self::Image(layout) => write!(f, "image {layout}"),
            Self::Batch(batch) => f.write_str(&crate::batch::words(batch.shape)),
        }
    }
}
