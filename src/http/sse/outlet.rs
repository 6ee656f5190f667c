//! An event stream's write side, owned by its user's actor.
//!
//! A frame is `data:` with the same JSON as on a socket, and `id:`, the epoch and the number, if it
//! has a position to resume from. The heartbeat is a comment. The last event has the reason, with
//! the sockets' close codes.

use std::sync::Arc;

use std::time::Duration;

use bellpull_domain::ids::Seq;
use bellpull_port::Outlet;
use bellpull_port::budget::{Budget, Room};
use bellpull_port::outlet::{Broken, Connection, Ending, Outgoing};
use jiff::Timestamp;
use serde_json::json;

use super::pipe::{Backlog, Writer};
use bellpull_edge::send_queue::SendQueue;
use bellpull_wire::code_and_reason;
use bellpull_wire::{self, Dialect, Texts};

/// The most events queued for a slow reader, beyond those of the first flush: as for a socket.
const WAITING_EVENTS_MAX: usize = 256;

/// The most bytes queued for a slow reader, beyond those of the first flush.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// How long a browser waits before it reconnects by itself.
const RETRY_MS: u32 = 3_000;

/// The longest wait for clients of a failed actor: spread, as for sockets.
const SPREAD_MS_MAX: u32 = 2_000;

/// The write side of one event stream.
#[derive(Debug)]
pub(crate) struct SseOutlet {
    writer: Writer,
    dialect: Dialect,
    /// What was pushed and not flushed, and where each event ends in it.
    pushed: Pushed,
    /// What the first flush left over: a long backlog does not make a slow reader.
    burst: Backlog,
    /// The queued bytes, in the budget of all sessions.
    room: Option<Room>,
    /// What the kernel holds of its connection.
    queue: Option<SendQueue>,
    is_closed: bool,
}

#[derive(Debug)]
struct Pushed {
    /// Whose positions these are.
    epoch: Arc<str>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The position of the current frame.
    id: Option<Seq>,
}

impl Texts for Pushed {
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        if let Some(Seq(id)) = self.id {
            self.bytes.extend_from_slice(format!("id: {}:{id}\n", self.epoch).as_bytes());
        }
        self.bytes.extend_from_slice(b"data: ");
        let body = self.bytes.len();
        write(&mut self.bytes);
        if self.bytes.len() == body {
            return self.bytes.truncate(begin);
        }
        metrics::counter!("bellpull_frames_sent_total", "by" => "stream").increment(1);
        self.end();
    }
}

impl Pushed {
    fn new(epoch: Arc<str>) -> Self {
        Self { epoch, bytes: Vec::new(), ends: Vec::new(), id: None }
    }

    /// What was pushed; nothing is from then on.
    fn take(&mut self) -> Self {
        let empty = Self::new(Arc::clone(&self.epoch));
        std::mem::replace(self, empty)
    }

    fn end(&mut self) {
        self.bytes.extend_from_slice(b"\n\n");
        self.ends.push(self.bytes.len());
    }

    fn line(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.end();
    }
}

impl SseOutlet {
    pub(super) fn new(
        writer: Writer,
        dialect: Dialect,
        epoch: Arc<str>,
        queue: Option<SendQueue>,
    ) -> Self {
        let mut pushed = Pushed::new(epoch);
        // Part of the first event: clients exist to which one of its own is an empty event.
        pushed.bytes.extend_from_slice(format!("retry: {RETRY_MS}\n").as_bytes());
        let burst = Backlog { events: 0, bytes: 0 };
        Self { writer, dialect, pushed, burst, room: None, queue, is_closed: false }
    }

    /// The position to resume from after a frame, in the sense of its dialect: of new entries, or
    /// of changes. While changes are replayed, not every frame has one: a browser resumes from the
    /// last one it received, and must not skip what was still to be sent.
    fn position(&self, frame: &Outgoing<'_>) -> Option<Seq> {
        let is_of_changes = self.dialect.follows_changes();
        match frame {
            Outgoing::Notification { entry, .. } => Some(entry.seq),
            Outgoing::Row { row, is_resumable, .. } if is_of_changes => {
                is_resumable.then_some(row.changed_seq)
            }
            Outgoing::Row { row, is_news, .. } => is_news.then_some(row.entry.seq),
            Outgoing::Marked(marked) => is_of_changes.then_some(marked.last),
            Outgoing::Established { .. }
            | Outgoing::Truncated { .. }
            | Outgoing::Welcome(_)
            | Outgoing::Reset
            | Outgoing::Answer { .. }
            | Outgoing::Stream(_)
            | Outgoing::Present { .. }
            | Outgoing::StreamEnded { .. }
            | Outgoing::TokenExpiring { .. }
            | Outgoing::Pong(_)
            | Outgoing::Error { .. }
            | Outgoing::Ping
            | Outgoing::ProtocolPong(_) => None,
        }
    }

    fn finish(&mut self, why: Ending) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.writer.close(&goodbye(why), why == Ending::TooSlow);
    }
}

/// The last event: the reason and (if known) when to come back.
fn goodbye(why: Ending) -> Vec<u8> {
    let (code, reason) = code_and_reason(why);
    let (retry, data) = match why {
        Ending::Restarting { retry_after_ms } => (
            format!("retry: {retry_after_ms}\n"),
            json!({"code": code, "reason": "restarting", "retry_after_ms": retry_after_ms}),
        ),
        Ending::Closed { .. }
        | Ending::Protocol { .. }
        | Ending::TooBig
        | Ending::Abuse
        | Ending::TokenEnded(_)
        | Ending::RightWithdrawn
        | Ending::Silent
        | Ending::TooSlow
        | Ending::TooMany { .. } => (String::new(), json!({"code": code, "reason": reason})),
    };
    format!("{retry}event: close\ndata: {data}\n\n").into_bytes()
}

impl Outlet for SseOutlet {
    fn push(&mut self, frame: Outgoing<'_>) {
        if matches!(frame, Outgoing::Ping) {
            return self.pushed.line(":");
        }
        self.pushed.id = self.position(&frame);
        bellpull_wire::encode(self.dialect, frame, Timestamp::now, &mut self.pushed);
    }

    fn flush(&mut self) -> Result<(), Broken> {
        let pushed = self.pushed.take();
        let was_idle = self.writer.waiting_bytes() == 0;
        let written = self.writer.write(&pushed.bytes, &pushed.ends);
        let backlog = written.map_err(|super::pipe::Gone| Broken::Gone)?;
        if backlog.bytes == 0 {
            self.room = None;
        }
        if was_idle {
            self.burst = backlog;
        } else if backlog.events > self.burst.events + WAITING_EVENTS_MAX
            || backlog.bytes > self.burst.bytes + WAITING_BYTES_MAX
        {
            return Err(Broken::TooSlow);
        }
        // What has left the first burst does not come back.
        self.burst.events = self.burst.events.min(backlog.events);
        self.burst.bytes = self.burst.bytes.min(backlog.bytes);
        Ok(())
    }

    fn close(mut self: Box<Self>, why: Ending) {
        self.finish(why);
    }

    /// The client sends nothing; accepting bytes is its sign of life.
    fn silent(&self) -> Duration {
        Duration::from_secs(self.writer.untaken_s().into())
    }

    fn connection(&self) -> Connection {
        Connection { dialect: self.dialect.as_str(), peer: None }
    }

    fn waiting_bytes(&self) -> usize {
        self.pushed.bytes.len() + self.writer.waiting_bytes()
    }

    fn count(&mut self, unsent: &Budget) -> Result<(), Broken> {
        let bytes = self.writer.waiting_bytes();
        if unsent.resize(&mut self.room, bytes) { Ok(()) } else { Err(Broken::TooSlow) }
    }

    fn stalled_s(&self) -> u32 {
        if self.writer.waiting_bytes() > 0 { self.writer.untaken_s() } else { 0 }
    }

    fn is_one_way(&self) -> bool {
        true
    }

    fn is_acknowledged(&self) -> bool {
        self.writer.has_handed_over() && self.queue.as_ref().is_none_or(SendQueue::is_acknowledged)
    }
}

impl Drop for SseOutlet {
    fn drop(&mut self) {
        let random = getrandom::u32().unwrap_or(0);
        self.finish(Ending::Restarting { retry_after_ms: random % SPREAD_MS_MAX });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::stream;

    fn text(events: crate::sse::Events) -> String {
        use futures_util::{FutureExt, StreamExt};
        let parts = events.map(|Ok(bytes)| bytes).collect::<Vec<_>>().now_or_never().unwrap();
        String::from_utf8(parts.concat()).unwrap()
    }

    #[test]
    fn it_begins_with_a_pause_and_ends_with_a_reason() {
        let (mut outlet, events, _line) = stream(Dialect::BellpullV1, "e1".into(), None);
        outlet.push(Outgoing::Reset);
        outlet.push(Outgoing::Ping);
        outlet.push(Outgoing::ProtocolPong(b"none"));
        outlet.flush().unwrap();
        Box::new(outlet).close(Ending::Restarting { retry_after_ms: 150 });
        let text = text(events);
        assert!(text.starts_with("retry: 3000\ndata: {\"type\":\"reset\"}\n\n"), "{text}");
        let last = "\n\n:\n\nretry: 150\nevent: close\n\
            data: {\"code\":1012,\"reason\":\"restarting\",\"retry_after_ms\":150}\n\n";
        assert!(text.ends_with(last), "{text}");
    }

    #[test]
    fn one_that_is_dropped_says_come_back() {
        let (outlet, events, _line) = stream(Dialect::Incident, "e1".into(), None);
        drop(outlet);
        assert!(text(events).contains("event: close\ndata: {\"code\":1012,"));
    }

    #[test]
    fn a_slow_reader_is_one_behind_whose_first_burst_too_much_waits() {
        let (mut outlet, events, _line) = stream(Dialect::BellpullV1, "e1".into(), None);
        for _ in 0..1_000 {
            outlet.push(Outgoing::Ping);
        }
        outlet.flush().unwrap();
        for _ in 0..WAITING_EVENTS_MAX {
            outlet.push(Outgoing::Ping);
            outlet.flush().unwrap();
        }
        outlet.push(Outgoing::Ping);
        assert_eq!(outlet.flush(), Err(Broken::TooSlow));
        Box::new(outlet).close(Ending::TooSlow);
        let text = text(events);
        assert_eq!(text, "event: close\ndata: {\"code\":4413,\"reason\":\"reader too slow\"}\n\n");
    }
}
