//! The read state of a client: its rate, its dialect, and its consecutive bad messages.
//!
//! It is stored beside the connection and not in the reader: an idle reader is a task of 128 bytes,
//! of which the runtime leaves 24, and the next allocation size is 256. Only the reader changes it,
//! except for the session's number, which is set before any read; so the order between its atomics
//! does not matter.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use bellpull_domain::ids::UserId;
use bellpull_port::outlet::Ending;
use bellpull_port::session::Heard;

use super::frame::Event;
use super::pace::Pace;
use bellpull_wire::{self, Dialect, Endpoint};

/// After this many consecutive bad messages the socket is closed.
const BAD_MAX: u8 = 32;

/// The read state of a client.
#[derive(Debug)]
pub(super) struct ReadState {
    /// The session's user: another user's token is refused.
    pub(super) user: UserId,
    full_at_ns: AtomicU64,
    /// The session's number at its user's actor.
    session: AtomicU32,
    bad_in_a_row: AtomicU8,
    /// Whether the session has ended.
    is_over: AtomicBool,
    dialect: Dialect,
    endpoint: Endpoint,
}

impl ReadState {
    pub(super) fn new(user: UserId, dialect: Dialect, endpoint: Endpoint) -> Self {
        Self {
            user,
            full_at_ns: AtomicU64::new(0),
            session: AtomicU32::new(0),
            bad_in_a_row: AtomicU8::new(0),
            is_over: AtomicBool::new(false),
            dialect,
            endpoint,
        }
    }

    /// Sets the session's number, before other tasks know of the session.
    pub(super) fn number(&self, session: u32) {
        self.session.store(session, Relaxed);
    }

    pub(super) fn session(&self) -> u32 {
        self.session.load(Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// What an event means; `None` if it needs no action, the ending if it is the last.
    pub(super) fn hear(
        &self,
        event: &Event<'_>,
        pace: Pace,
        now_ns: u64,
    ) -> Result<Option<Heard>, Ending> {
        if let Event::Close(code) = event {
            return Err(Ending::Closed { code: *code });
        }
        let full_at_ns = pace
            .admit(self.full_at_ns.load(Relaxed), now_ns)
            .map_err(|_| Ending::TooMany { reason: "too many messages" })?;
        self.full_at_ns.store(full_at_ns, Relaxed);
        let heard = match event {
            Event::Text(text) => {
                bellpull_wire::decode(self.dialect, self.endpoint, text).unwrap_or_else(Heard::from)
            }
            Event::Binary => Heard::Bad {
                tag: None,
                code: "binary_not_supported",
                message: "Messages are text here, not binary.".to_owned(),
            },
            Event::Ping(payload) => return Ok(Some(Heard::ProtocolPing((*payload).into()))),
            Event::Pong | Event::Close(_) => return Ok(None),
        };
        let is_bad = matches!(heard, Heard::Bad { .. });
        let bad_in_a_row = if is_bad { self.bad_in_a_row.load(Relaxed) + 1 } else { 0 };
        self.bad_in_a_row.store(bad_in_a_row, Relaxed);
        if bad_in_a_row >= BAD_MAX {
            return Err(Ending::Abuse);
        }
        Ok(Some(heard))
    }
}
