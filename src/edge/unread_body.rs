//! The rest of a body that a handler did not read.
//!
//! A request may be answered before its body is read: its token is invalid, or its account writes
//! too fast. Many clients send the head and the body in two packets. If the connection closed in
//! between, the kernel would answer the second packet with a reset, and the client would see that
//! instead of its answer. So a small body is read to its end; a large one ends the connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

/// The largest body that is read and discarded: a form with some text.
const BYTES_MAX: u64 = 64 * 1024;

/// How long that may take: a round trip to a distant client.
const TIME_MAX: Duration = Duration::from_secs(1);

/// A request's body, read to its end unless a handler reads it.
#[derive(Debug)]
pub(crate) struct UnreadBody<B>(Option<B>)
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static;

impl<B> UnreadBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
{
    pub(crate) fn new(body: B) -> Self {
        Self(Some(body))
    }
}

impl<B> HttpBody for UnreadBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<B> Drop for UnreadBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        let is_small = |body: &B| body.size_hint().upper().is_some_and(|most| most <= BYTES_MAX);
        let Some(mut body) = self.0.take() else { return };
        if body.is_end_stream() || !is_small(&body) {
            return;
        }
        // Without a runtime no answer is sent any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let read = async { while let Some(Ok(_)) = body.frame().await {} };
            let _ = timeout(TIME_MAX, read).await;
        });
    }
}
