//! Bodies: read piece by piece, within their length and time.

use crate::Limits;
use crate::refusal::{Outcome, Refusal};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use blindsight_protocol::Code;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The length that a request announces.
pub fn length(headers: &HeaderMap) -> Outcome<u64> {
    let value = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    value.ok_or_else(|| {
        Refusal::new(Code::LengthRequired, "expected Content-Length: bodies have a known length here")
    })
}

/// A body, piece by piece: no piece may take longer than the stall limit, all of them no longer than the
/// body's, and together they are exactly as long as was announced.
pub struct Pieces {
    body: Body,
    missing: u64,
    stall: Duration,
    end: Instant,
}

impl Pieces {
    /// Those of a body that announced this length.
    pub fn new(body: Body, length: u64, limits: &Limits) -> Self {
        Self { body, missing: length, stall: limits.stall, end: Instant::now() + limits.body }
    }

    /// Bytes that are still to come.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// The next piece, or none at the end.
    pub async fn next(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            let deadline = self.end.min(Instant::now() + self.stall);
            let frame = match timeout_at(deadline, self.body.frame()).await {
                Err(_) => return Err(Refusal::new(Code::Timeout, "the body came too slowly: send it again")),
                Ok(None) if self.missing == 0 => return Ok(None),
                Ok(None) => return Err(Refusal::new(Code::BadRequest, "the body ended before its length")),
                Ok(Some(Err(_))) => return Err(Refusal::new(Code::BadRequest, "the body broke off")),
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(piece) = frame.into_data() {
                self.missing = self
                    .missing
                    .checked_sub(piece.len() as u64)
                    .ok_or_else(|| Refusal::new(Code::BadRequest, "the body goes on behind its length"))?;
                return Ok(Some(piece));
            }
        }
    }

    /// All of a body, whose length was accepted.
    pub async fn whole(mut self) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.missing as usize);
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

/// A body that, when it is dropped unread, is read to its end and forgotten, if it is small: a client that
/// writes its whole request before it listens would otherwise see a broken connection in place of the
/// refusal.
pub struct Polite {
    body: Option<Body>,
    most: u64,
    time: Duration,
}

impl Polite {
    pub fn new(body: Body, most: u64, time: Duration) -> Self {
        Self { body: Some(body), most, time }
    }
}

impl HttpBody for Polite {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        if body.size_hint().upper().is_none_or(|rest| rest > self.most) {
            return;
        }
        let read = async move { while let Some(Ok(_)) = body.frame().await {} };
        // Outside of a runtime nobody listens any more.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(timeout(self.time, read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the HTTP library lets through.
    #[tokio::test]
    async fn a_body_is_exactly_as_long_as_it_announced() {
        let read = |length| Pieces::new(Body::from("four"), length, &Limits::default()).whole();
        assert_eq!(read(4).await.expect("as announced"), b"four");
        for wrong in [0, 3, 5] {
            assert_eq!(read(wrong).await.expect_err("another length").code, Code::BadRequest, "{wrong}");
        }
    }
}
