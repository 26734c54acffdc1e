//! Line ends as HTTP has them.
//!
//! The HTTP library takes a bare line feed for the end of a line, as old servers do. A proxy in front that
//! does not would see other requests than we do, and whoever finds such a difference can slip requests past
//! it. So heads with bare line feeds are spoilt on their way to the library, which then refuses them; and so
//! are heads longer than any that is needed here, which many idle connections would hold in memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose heads have no bare line feeds: a zero stands in the place of each, which no head may hold.
pub struct Strict<S> {
    stream: S,
    reader: Reader,
}

/// Where in the stream of requests the next byte lies.
enum Reader {
    /// In a head, of which so much has come.
    Head(Vec<u8>),
    /// In a body, with so many bytes to come.
    Body(u64),
    /// In a body of unknown length, or what is no HTTP: the library ends such connections.
    Rest,
}

/// The longest head: some five times what browsers send with all their cookies.
const LONGEST_HEAD: usize = 32 << 10;

impl Reader {
    fn read(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let used = match self {
                Self::Head(head) => {
                    let used = take_head(head, bytes);
                    if let Some(next) = after(head) {
                        *self = next;
                    }
                    used
                }
                Self::Body(missing) => {
                    let used = bytes.len().min(usize::try_from(*missing).unwrap_or(usize::MAX));
                    *missing -= used as u64;
                    if *missing == 0 {
                        *self = Self::Head(vec![]);
                    }
                    used
                }
                Self::Rest => return,
            };
            bytes = &mut bytes[used..];
        }
    }
}

/// Adds bytes to a head up to its end, and spoils bare line feeds; how many were its.
fn take_head(head: &mut Vec<u8>, bytes: &mut [u8]) -> usize {
    for (index, byte) in bytes.iter_mut().enumerate() {
        if (*byte == b'\n' && head.last() != Some(&b'\r')) || head.len() == LONGEST_HEAD {
            *byte = 0;
        }
        head.push(*byte);
        if head.ends_with(b"\r\n\r\n") || head == b"\r\n" || head.len() > LONGEST_HEAD {
            return index + 1;
        }
    }
    bytes.len()
}

/// What comes after a head, if it is whole.
fn after(head: &[u8]) -> Option<Reader> {
    if head == b"\r\n" {
        return Some(Reader::Head(vec![]));
    }
    if !head.ends_with(b"\r\n\r\n") {
        return (head.len() > LONGEST_HEAD).then_some(Reader::Rest);
    }
    let fields = || {
        head.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'))
    };
    let named = |name: &'static str| fields().filter(move |(n, _)| n.trim().eq_ignore_ascii_case(name));
    if named("transfer-encoding").next().is_some() {
        return Some(Reader::Rest);
    }
    Some(match named("content-length").next().map(|(_, value)| value.trim().parse()) {
        None | Some(Ok(0)) => Reader::Head(vec![]),
        Some(Ok(length)) => Reader::Body(length),
        Some(Err(_)) => Reader::Rest,
    })
}

impl<S> Strict<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, reader: Reader::Head(vec![]) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.reader.read(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out of a stream that comes in pieces of so many bytes.
    fn passed(stream: &[u8], piece: usize) -> Vec<u8> {
        let (mut reader, mut bytes) = (Reader::Head(vec![]), stream.to_vec());
        bytes.chunks_mut(piece.max(1)).for_each(|piece| reader.read(piece));
        bytes
    }

    #[test]
    fn bare_line_feeds_are_spoilt_in_heads_and_kept_in_bodies() {
        let sound = b"\r\nPUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\n\n\n\nGET / HTTP/1.1\r\n\r\n";
        for piece in [1, 2, 7, 1000] {
            assert_eq!(passed(sound, piece), sound);
            let smuggled = b"GET / HTTP/1.1\nhost: a\r\n\r\n";
            assert_eq!(passed(smuggled, piece), b"GET / HTTP/1.1\0host: a\r\n\r\n");
            let second = [&sound[..], b"GET / HTTP/1.1\r\nx: y\n\n"].concat();
            assert_eq!(passed(&second, piece), [&sound[..], b"GET / HTTP/1.1\r\nx: y\0\0"].concat());
        }
    }

    #[test]
    fn heads_that_are_too_long_are_spoilt_and_forgotten() {
        let longest = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &[b'y'; LONGEST_HEAD]].concat();
        let fits = [&longest[..LONGEST_HEAD - 4], b"\r\n\r\n"].concat();
        for piece in [1, 1000, 1 << 20] {
            assert_eq!(passed(&fits, piece), fits);
            let spoilt = passed(&longest, piece);
            assert_eq!(spoilt.iter().position(|byte| *byte == 0), Some(LONGEST_HEAD));
        }
        let mut reader = Reader::Head(vec![]);
        reader.read(&mut longest.clone());
        assert!(matches!(reader, Reader::Rest));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference_and_nothing_else_is_changed(bytes in "[a-z: \r\n]{0,60}", piece in 1usize..9) {
            let whole = passed(bytes.as_bytes(), 1000);
            prop_assert_eq!(&passed(bytes.as_bytes(), piece), &whole);
            for (before, after) in bytes.bytes().zip(whole) {
                prop_assert!(before == after || (before, after) == (b'\n', 0));
            }
        }
    }
}
