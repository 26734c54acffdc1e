use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, limits};

/// The extent of a tensor: channels of height x width. A vector of n is `(n, 1, 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Number of channels (maps).
    pub channels: usize,
    /// Rows of one channel.
    pub height: usize,
    /// Columns of one channel.
    pub width: usize,
}

impl Shape {
    /// The shape of `channels` maps of `height` x `width`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// The shape of a vector of `n`.
    pub const fn vector(n: usize) -> Self {
        Self::new(n, 1, 1)
    }

    /// Number of elements; `usize::MAX` where that would overflow, which every limit refuses.
    pub const fn elements(&self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }

    /// Number of elements of one channel; saturates as [`Shape::elements`] does.
    pub const fn positions(&self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// Whether this is a vector, `(n, 1, 1)`.
    pub const fn is_vector(&self) -> bool {
        self.height == 1 && self.width == 1
    }

    /// Refuses an empty or absurd shape; `what` names its owner. Channels are bounded by the elements alone,
    /// for a flattened image is a vector of many.
    pub(crate) fn check(&self, what: &str) -> Result<(), Error> {
        check_dimension(what, "height", self.height, 1)?;
        check_dimension(what, "width", self.width, 1)?;
        let elements = self.elements() as u64;
        if elements == 0 {
            let (expected, actual) = ("at least one channel".to_string(), self.to_string());
            return Err(Error::Mismatch { what: what.to_string(), expected, actual });
        }
        limits::check(|| format!("elements of {what} ({self})"), elements, limits::TENSOR_ELEMENTS as u64)
    }
}

/// Refuses an extent below `least` or above [`limits::DIMENSION`].
pub(crate) fn check_dimension(what: &str, name: &str, extent: usize, least: usize) -> Result<(), Error> {
    if extent < least {
        let (expected, actual) = (format!("{name} of at least {least}"), extent.to_string());
        return Err(Error::Mismatch { what: what.to_string(), expected, actual });
    }
    limits::check(|| format!("{name} of {what}"), extent as u64, limits::DIMENSION as u64)
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}
