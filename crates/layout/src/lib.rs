//! Where the elements of tensors lie in the slots of ciphertexts: all that a client needs to know of a plan.
//!
//! # Concepts
//!
//! * A [`Layout`] says for each slot of each ciphertext which element of a tensor lies there: coordinates in
//!   mixed radix, a stride for each digit, and blocks that are replicas or partial sums. A [`Placement`] is a
//!   layout written out.
//! * An [`InputLayout`] is what a client writes: the image, the im2col form of the first convolution
//!   ([`Im2col`]), or a batch of images ([`BatchLayout`]).
//! * A [`ReplyLayout`] is what a client reads: which coefficients, which of them must be zero, and which
//!   must agree with each other.
//! * A [`PublicPlan`] has all of these, the parameters and the keys that a server needs: a plan without
//!   weights. [`PublicPlan::validate`] decides which are accepted.
//!
//! # Example
//!
//! Two channels of 2x3 in sixteen slots, twice: element 7 is the second of the second channel.
//!
//! ```
//! use blindsight_layout::{Blocks, Layout, Placement};
//! use blindsight_network::Shape;
//!
//! let shape = Shape { channels: 2, height: 2, width: 3 };
//! let layout = Layout::packed(shape, 32).with_blocks(Blocks::cyclic(2, 32, 1));
//! layout.validate()?;
//! assert_eq!(layout.base(7), 7);
//! let slots: Vec<usize> = Placement::new(&layout).slots_of(7, 0).collect();
//! assert_eq!(slots, [7, 23]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contract
//!
//! Public plans from outside are checked before they are used; what passes encrypts every input of its kind.
//!
//! # Non-goals
//!
//! How layers are computed is not known here, and nothing here holds or needs a secret.

mod acceptance;
mod batch;
mod error;
mod im2col;
mod input;
mod layout;
mod placement;
mod public_plan;
mod reply;

pub use acceptance::{DEFAULT_AGREED_KEYS, DEFAULT_KEY_QUOTA};
pub use batch::BatchLayout;
pub use error::Error;
pub use im2col::Im2col;
pub use input::InputLayout;
pub use layout::{Axis, Blocks, Digit, Layout, coordinates};
pub use placement::Placement;
pub use public_plan::{LARGEST_PLAN_BYTES, Masking, PublicPlan};
pub use reply::{ReplyErrors, ReplyForm, ReplyLayout, Scores, Verdict};
