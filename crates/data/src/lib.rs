//! Inputs and data sets as people have them: image files, arrays, tables, lists, folders.
//!
//! # Concepts
//!
//! An [`InputSpec`] is what a network takes. An [`InputSource`] names one input and
//! [loads](InputSource::load) it: an [`Input`], normalised values ready for the network, with the
//! [`Conversion`] that an image went through. A [`Dataset`] has many, each with its class; [`Samples`] are
//! the same without classes.
//!
//! # Contract
//!
//! - Values are finite and in the order channel, row, column of the network's input.
//! - What is read comes from outside: it is checked against [`limits`] before memory is taken for it, and
//!   what is wrong is an [`Error`] that names the file, the place in it, what was expected and what was
//!   found.
//! - Images are converted to the network's size and colours; everything else must fit.
//! - Files of a data set of photos are decoded one by one, when they are asked for.
//!
//! # Not meant for
//!
//! Augmentation, data sets that do not fit in memory as numbers, pickles (they can run code), and the page,
//! whose browser decodes images itself.

mod array;
mod dataset;
mod error;
mod file;
mod input;
mod labels;
pub mod limits;
mod list;
mod npy;
mod npz;
mod picture;
mod spec;
mod table;

pub use dataset::{Dataset, Samples, Split};
pub use error::Error;
pub use file::{Input, open_image};
pub use input::InputSource;
pub use picture::{Conversion, decode_image};
pub use spec::InputSpec;
