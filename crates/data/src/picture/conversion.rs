use std::fmt;

use image::{ColorType, DynamicImage};

/// What was done to an image so that it fits a network, as one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    name: String,
    size: (u32, u32),
    colours: &'static str,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Upright,
    EightBits,
    OverWhite,
    ToGrey,
    ToColour,
    ShortestSide(u32),
    Resized(u32, u32),
    Cropped(u32, u32),
}

impl Conversion {
    pub(super) fn new(name: &str, image: &DynamicImage) -> Self {
        let size = (image.width(), image.height());
        Self { name: name.into(), size, colours: colours(image.color()), steps: vec![] }
    }

    pub(super) fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// From one size to another that covers the wanted one, then cropped to that.
    pub(super) fn resized(&mut self, from: (u32, u32), to: (u32, u32), wanted: (u32, u32)) {
        if from != to {
            let is_square = wanted.0 == wanted.1;
            self.step(if is_square { Step::ShortestSide(wanted.0) } else { Step::Resized(to.0, to.1) });
        }
        if to != wanted {
            self.step(Step::Cropped(wanted.0, wanted.1));
        }
    }

    /// The conversion, if anything was done.
    pub(super) fn finish(self) -> Option<Self> {
        (!self.steps.is_empty()).then_some(self)
    }
}

fn colours(colours: ColorType) -> &'static str {
    match colours {
        ColorType::L8 => "grey",
        ColorType::La8 => "grey with transparency",
        ColorType::Rgb8 => "RGB",
        ColorType::Rgba8 => "RGBA",
        ColorType::L16 => "16-bit grey",
        ColorType::La16 => "16-bit grey with transparency",
        ColorType::Rgb16 => "16-bit RGB",
        ColorType::Rgba16 => "16-bit RGBA",
        ColorType::Rgb32F => "floating-point RGB",
        ColorType::Rgba32F => "floating-point RGBA",
        _ => "colours of another kind",
    }
}

impl fmt::Display for Conversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, size: (width, height), colours, steps } = self;
        write!(f, "{name}: {width}x{height} {colours}")?;
        steps.iter().try_for_each(|step| write!(f, ", {step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upright => write!(f, "turned upright by its EXIF data"),
            Self::EightBits => write!(f, "to 8 bits"),
            Self::OverWhite => write!(f, "laid over white"),
            Self::ToGrey => write!(f, "RGB to grey"),
            Self::ToColour => write!(f, "grey to RGB"),
            Self::ShortestSide(side) => write!(f, "shortest side resized to {side}"),
            Self::Resized(width, height) => write!(f, "resized to {width}x{height}"),
            Self::Cropped(width, height) => write!(f, "centre cropped to {width}x{height}"),
        }
    }
}
