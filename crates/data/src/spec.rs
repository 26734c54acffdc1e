use blindsight_network::{Image, Metadata, Model, Shape};

use crate::Error;

/// What a network takes: the shape, and how values are normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    shape: Shape,
    metadata: Metadata,
}

impl InputSpec {
    /// What a network with an input of `shape` and these metadata takes.
    pub fn new(shape: Shape, metadata: Metadata) -> Self {
        Self { shape, metadata }
    }

    /// What a model takes.
    pub fn of(model: &Model) -> Self {
        Self::new(model.graph.input, model.metadata.clone())
    }

    /// Channels, height and width.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// A name for each class.
    pub fn labels(&self) -> &[String] {
        &self.metadata.labels
    }

    /// Whether inputs have rows and columns; others are vectors and series.
    pub fn is_of_images(&self) -> bool {
        self.shape.height > 1 && self.shape.width > 1
    }

    /// Pixels from 0 to 255 in the order of the shape, normalised: `(pixel / 255 - mean) / std`.
    pub(crate) fn pixels(&self, pixels: Vec<u8>) -> Result<Vec<f64>, Error> {
        Ok(self.metadata.normalise(&Image::new(self.shape, pixels)?)?)
    }

    /// Numbers in the order of the shape as the network takes them: those of vectors and series
    /// `(number - mean) / std`; those of images are normalised already.
    pub(crate) fn numbers(&self, mut numbers: Vec<f64>) -> Result<Vec<f64>, Error> {
        if self.is_of_images() {
            return Ok(numbers);
        }
        let Metadata { mean, std, .. } = &self.metadata;
        let channels = self.shape.channels;
        if mean.len() != channels || std.len() != channels {
            let found = format!("{} and {}", mean.len(), std.len());
            return Err(Error::unfit("the model's mean and std", format!("{channels} of each"), found));
        }
        let each = self.shape.positions().max(1);
        for (channel, (mean, std)) in numbers.chunks_mut(each).zip(mean.iter().zip(std)) {
            channel.iter_mut().for_each(|number| *number = (*number - mean) / std);
        }
        Ok(numbers)
    }
}
