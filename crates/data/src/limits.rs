//! What is refused as absurd. Every bound is checked before memory is taken for the thing that it bounds.

/// The largest image file, in bytes (64 MiB).
pub const IMAGE_BYTES: u64 = 64 << 20;
/// The most pixels of an image, before and after it is resized (64 Mi).
pub const IMAGE_PIXELS: u64 = 64 << 20;
/// The most bytes of an image as its file's format holds it (256 MiB).
pub const IMAGE_DECODED_BYTES: u64 = 256 << 20;
/// The most pixels of what resizing makes between its two passes (16 Mi).
pub const RESIZED_PIXELS: u64 = 16 << 20;
/// The largest extent of an image in one direction.
pub const IMAGE_SIDE: u32 = 1 << 16;
/// The most samples of a data set.
pub const SAMPLES: u64 = 1 << 20;
/// The most bytes of pixels of a data set's original files, unpacked (512 MiB).
pub const PIXEL_BYTES: u64 = 512 << 20;
/// The most bytes that an array of a `.npy` or `.npz` file, or the values of a table, take in memory (256
/// MiB).
pub const ARRAY_BYTES: u64 = 256 << 20;
/// The longest header of a `.npy` file, in bytes.
pub const HEADER_BYTES: u64 = 1 << 14;
/// The largest `.csv` file that is read, in bytes (1 GiB; one row at a time is held).
pub const TABLE_BYTES: u64 = 1 << 30;
/// The longest row of a table, in bytes (16 MiB).
pub const ROW_BYTES: u64 = 16 << 20;
/// The largest `.json` file, in bytes (128 MiB; only its numbers are held).
pub const LIST_BYTES: u64 = 128 << 20;
/// The most members of a `.npz` file that are looked at.
pub const MEMBERS: usize = 1 << 10;
/// The most bytes of the names of classes of a data set together (64 MiB).
pub const NAME_BYTES: u64 = 64 << 20;
