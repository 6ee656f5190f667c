//! Rejections on an open socket: a browser shows its page the code of a close, but not the reason
//! of a failed handshake.
//!
//! No session is created, no reader, and no actor is involved: one small task answers the
//! handshake, writes one frame, and closes. It counts among the listener's connections, and has a
//! few seconds.

use std::sync::Arc;

use axum::http::{HeaderValue, Request};
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::encode;
use super::reader::write_and_leave;
use super::refusal::Refusal;
use super::take_over::{UPGRADE_TIMEOUT, switch, take_over};
pub(crate) use bellpull_edge::stream::Stream;

/// How many may be in progress. Beyond it the rejection is an HTTP response, which takes less time.
const AT_ONCE_MAX: usize = 1_024;

/// The rejections in progress.
#[derive(Debug, Clone)]
pub(super) struct Rejections(Arc<Semaphore>);

impl Default for Rejections {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }
}

/// A rejection on the open socket.
#[derive(Debug)]
pub(super) struct CloseFrame {
    code: u16,
    reason: String,
    /// The label for metrics.
    pub(super) outcome: &'static str,
    _place: OwnedSemaphorePermit,
}

impl Rejections {
    /// The close frame; the refusal itself if it must be an HTTP response.
    pub(super) fn say(&self, refusal: Refusal) -> Result<CloseFrame, Refusal> {
        let Some((code, reason)) = refusal.close() else { return Err(refusal) };
        match Arc::clone(&self.0).try_acquire_owned() {
            Ok(place) => Ok(CloseFrame { code, reason, outcome: refusal.code(), _place: place }),
            Err(_) => Err(refusal),
        }
    }

    /// Opens the socket to send the close frame, or returns an HTTP response.
    pub(super) fn answer(
        &self,
        request: Request<()>,
        refusal: Refusal,
        subprotocol: Option<HeaderValue>,
    ) -> Result<Response, Refusal> {
        let close_frame = self.say(refusal)?;
        let (response, on_upgrade, held) = switch(request, subprotocol)?;
        tokio::spawn(async move {
            let _counted = held;
            if let Ok(Some((stream, _))) = timeout(UPGRADE_TIMEOUT, take_over(on_upgrade)).await {
                close_frame.write(&stream, Vec::new()).await;
            }
        });
        Ok(response)
    }
}

impl CloseFrame {
    /// Writes the close frame after `answer`, and closes once the client has.
    pub(super) async fn write(self, stream: &Stream, mut answer: Vec<u8>) {
        encode::close_with(&mut answer, self.code, &self.reason);
        metrics::counter!("bellpull_socket_closes_total", "code" => self.code.to_string())
            .increment(1);
        write_and_leave(stream, &answer).await;
    }
}
