//! Whether a JPEG is whole, which its decoder does not say: it paints what is missing grey.

/// Whether the marker that ends the image comes after the one that begins its data. Segments before that are
/// stepped over, for one of them may hold a small JPEG of its own.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    let mut at = 2;
    while let Some(&[marker, kind, high, low]) = bytes.get(at..at + 4) {
        match (marker, kind) {
            (0xff, 0xff) => at += 1,
            (0xff, START_OF_SCAN) => return bytes[at..].windows(2).any(|two| two == END_OF_IMAGE),
            (0xff, _) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
            _ => return false,
        }
    }
    false
}
