//! Saying no on an open socket: a browser shows its page the code of a close, but nothing of a
//! handshake that failed.
//!
//! No session comes of it, no reader, and no actor hears of it: one small task answers the
//! handshake, writes one frame, and leaves. It counts among the connections that the listener
//! takes, and it has a few seconds.

use std::net::Shutdown;
use std::sync::Arc;

use axum::http::{HeaderValue, Request};
use axum::response::Response;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::encode;
use super::reader::drain;
use super::refusal::Refusal;
use super::shared::{LINGER, write_all};
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

impl TurnedAway {
    /// Opens the socket to say why it is closed; or says it over HTTP where nothing else fits.
    pub(super) fn answer(
        &self,
        request: Request<()>,
        refusal: Refusal,
        subprotocol: Option<HeaderValue>,
    ) -> Result<Response, Refusal> {
        let Some((code, reason)) = refusal.close() else { return Err(refusal) };
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else { return Err(refusal) };
        let (response, on_upgrade, held) = switch(request, subprotocol)?;
        tokio::spawn(async move {
            let _counted = (place, held);
            if let Ok(Some(connection)) = timeout(UPGRADE_TIMEOUT, take_over(on_upgrade)).await {
                say(&connection.io.into_inner(), code, &reason).await;
            }
        });
        Ok(response)
    }
}

/// Writes the closing frame, and leaves once the client has.
async fn say(stream: &TcpStream, code: u16, reason: &str) {
    let mut frame = Vec::new();
    encode::close_with(&mut frame, code, reason);
    metrics::counter!("bellpull_socket_closes_total", "code" => code.to_string()).increment(1);
    if let Ok(Ok(())) = timeout(LINGER, write_all(stream, &frame)).await {
        // It fails where the connection is gone already, and then there is nothing to end.
        let _ = socket2::SockRef::from(stream).shutdown(Shutdown::Write);
        drain(stream).await;
    }
}
