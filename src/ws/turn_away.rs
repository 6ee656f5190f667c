//! Saying no on an open socket: a browser shows its page the code of a close, but nothing of a
//! handshake that failed.
//!
//! No session comes of it, no reader, and no actor hears of it: one small task answers the
//! handshake, writes one frame, and leaves. It counts among the connections that the listener
//! takes, and it has a few seconds.

use std::sync::Arc;

use axum::http::{HeaderValue, Request};
use axum::response::Response;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::doorstep::write_and_leave;
use super::encode;
use super::refusal::Refusal;
use super::upgrade::{UPGRADE_TIMEOUT, switch, take_over};

/// How many may be told in this way at once. Any more are told over HTTP, which is over sooner.
const AT_ONCE_MAX: usize = 1_024;

/// Those who are being told.
#[derive(Debug, Clone)]
pub(super) struct TurnedAway(Arc<Semaphore>);

impl Default for TurnedAway {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }
}

/// What somebody who is turned away is told on the open socket.
#[derive(Debug)]
pub(super) struct LastWord {
    code: u16,
    reason: String,
    /// For metrics.
    pub(super) outcome: &'static str,
    _place: OwnedSemaphorePermit,
}

impl TurnedAway {
    /// What is said on the open socket; the refusal itself where it is to be said over HTTP.
    pub(super) fn say(&self, refusal: Refusal) -> Result<LastWord, Refusal> {
        let Some((code, reason)) = refusal.close() else { return Err(refusal) };
        match Arc::clone(&self.0).try_acquire_owned() {
            Ok(place) => Ok(LastWord { code, reason, outcome: refusal.code(), _place: place }),
            Err(_) => Err(refusal),
        }
    }

    /// Opens the socket to say why it is closed; or says it over HTTP where nothing else fits.
    pub(super) fn answer(
        &self,
        request: Request<()>,
        refusal: Refusal,
        subprotocol: Option<HeaderValue>,
    ) -> Result<Response, Refusal> {
        let last_word = self.say(refusal)?;
        let (response, on_upgrade, held) = switch(request, subprotocol)?;
        tokio::spawn(async move {
            let _counted = held;
            if let Ok(Some((stream, _))) = timeout(UPGRADE_TIMEOUT, take_over(on_upgrade)).await {
                last_word.write(&stream, Vec::new()).await;
            }
        });
        Ok(response)
    }
}

impl LastWord {
    /// Writes the closing frame behind `answer`, and leaves once the client has.
    pub(super) async fn write(self, stream: &TcpStream, mut answer: Vec<u8>) {
        encode::close_with(&mut answer, self.code, &self.reason);
        metrics::counter!("bellpull_socket_closes_total", "code" => self.code.to_string())
            .increment(1);
        write_and_leave(stream, &answer).await;
    }
}
