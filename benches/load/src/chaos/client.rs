//! A client: a socket of its family that reconnects, and catches up as its family does.

use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::family::{Family, Frame};
use super::lists;
use super::people::{Follows, Live, Person, Phase, Shared};
use super::sent::Sent;
use super::socket::{Ended, Socket};
use super::view::{BoardView, ChangesView, Seen, View};

/// How long a handshake or a greeting may take.
const OPEN: Duration = Duration::from_secs(5);
/// How often a client sends a ping, and acknowledges.
const BEAT: Duration = Duration::from_secs(2);
/// After this silence a client takes its socket for dead, as one on a frozen node is.
const SILENT: Duration = Duration::from_secs(7);
/// How long a client stays before it leaves by itself, in milliseconds.
const STAY_MS: std::ops::Range<u64> = 10_000..60_000;
const SHORT_STAY_MS: std::ops::Range<u64> = 1_000..9_000;
/// The rows of a list that a client asks for.
const LIST: usize = 100;

/// What a node says while its database is away.
const UNAVAILABLE: &str = r#""code":"unavailable""#;

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) family: Family,
    pub(super) person: Person,
    pub(super) has_cursor: bool,
    pub(super) shared: Shared,
    pub(super) rng: Rng,
}

/// Where a client of `bellpull.v1` is. `since` stays before a backlog until all of it has come: the
/// backlog is in the order of changes.
#[derive(Debug, Default)]
struct Position {
    since: u64,
    seen: u64,
    head: u64,
    epoch: String,
    acknowledged: u64,
}

impl Position {
    fn reach(&mut self, seq: u64) {
        self.seen = self.seen.max(seq);
        if self.seen >= self.head {
            self.since = self.seen;
        }
    }
}

/// What a client remembers from one socket to the next.
#[derive(Debug, Default)]
struct Memory {
    position: Position,
    /// Up to here a client without a position has everything.
    covered: u64,
    /// Whether its list was read since this socket was opened.
    is_reloaded: bool,
    /// Rows of the list that were read on this socket.
    offset: usize,
    /// Whether the list was asked for and refused: it is asked for again.
    is_list_refused: bool,
}

impl Client {
    /// Runs until the schedule is over; what it saw.
    pub(super) async fn run(mut self) -> Seen {
        let mut seen = Seen::new(self.family, self.number, self.person.id, self.has_cursor);
        let mut memory = Memory::default();
        while self.shared.phase() < Phase::Over {
            // Otherwise why a socket ended does not matter: clients reconnect in any case.
            if let Err(ended) = self.session(&mut seen, &mut memory).await
                && ended.is_refusal()
            {
                seen.refused(ended.0);
            }
            self.tell_live(&seen, false);
            if let Seen::Entries(view) = &seen
                && memory.is_reloaded
            {
                memory.covered = view.last();
            }
            memory.is_reloaded = false;
            sleep(Duration::from_millis(self.rng.u64(20..400))).await;
        }
        seen
    }

    async fn session(&mut self, seen: &mut Seen, memory: &mut Memory) -> Result<(), Ended> {
        let node = self.shared.line(&mut self.rng).map_err(|error| Ended(error.to_string()))?;
        let path = self.path(seen, memory);
        let mut socket = Socket::open(node, &path, OPEN).await?;
        begin(seen, memory);
        let late = |_| Ended("no greeting".to_owned());
        let first = tokio::time::timeout(OPEN, socket.hear()).await.map_err(late)??;
        self.frame(&first, seen, memory, &mut socket).await?;
        self.tell_live(seen, true);
        self.follow(seen, memory, &mut socket).await
    }

    /// Reads until the socket ends.
    async fn follow(
        &mut self,
        seen: &mut Seen,
        memory: &mut Memory,
        socket: &mut Socket,
    ) -> Result<(), Ended> {
        let mut phase = self.shared.phase.clone();
        let stay_ms = if self.shared.is_short { SHORT_STAY_MS } else { STAY_MS };
        let leave = Instant::now() + Duration::from_millis(self.rng.u64(stay_ms));
        let mut heard_at = Instant::now();
        let mut beat = Instant::now() + BEAT;
        loop {
            let is_storm = self.shared.phase() == Phase::Storm;
            tokio::select! {
                text = socket.hear() => {
                    heard_at = Instant::now();
                    let text = text?;
                    self.frame(&text, seen, memory, socket).await?;
                    self.tell_live(seen, true);
                }
                () = sleep_until(beat) => {
                    if heard_at.elapsed() > SILENT {
                        return Err(Ended("silent".to_owned()));
                    }
                    beat = Instant::now() + BEAT;
                    self.beat(memory, socket).await?;
                }
                () = sleep_until(leave), if is_storm => return Ok(()),
                changed = phase.changed() => {
                    if changed.is_err() || self.shared.phase() == Phase::Over {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn beat(&self, memory: &mut Memory, socket: &mut Socket) -> Result<(), Ended> {
        let position = &mut memory.position;
        if self.family == Family::V1 && position.since > position.acknowledged {
            position.acknowledged = position.since;
            socket.say(&json!({"type": "ack", "seq": position.since}).to_string()).await?;
        }
        if std::mem::take(&mut memory.is_list_refused) {
            ask(memory.offset, socket).await?;
        }
        socket.say(r#"{"type":"ping"}"#).await
    }

    fn path(&self, seen: &Seen, memory: &Memory) -> String {
        let mut path = format!("{}&token={}", self.family.path(), self.person.token);
        match seen {
            Seen::Entries(view) if view.has_cursor => {
                path.push_str(&format!("&since={}", view.last()));
            }
            Seen::Changes(_) => {
                path.push_str(&format!("&since={}", memory.position.since));
                if !memory.position.epoch.is_empty() {
                    path.push_str(&format!("&epoch={}", memory.position.epoch));
                }
            }
            Seen::Entries(_) | Seen::Board(_) => {}
        }
        path
    }

    async fn frame(
        &mut self,
        text: &str,
        seen: &mut Seen,
        memory: &mut Memory,
        socket: &mut Socket,
    ) -> Result<(), Ended> {
        let frame = self.family.read(text);
        self.note(&frame);
        match seen {
            Seen::Entries(view) => self.entry(frame, view, memory, socket).await,
            Seen::Changes(view) => self.change(frame, view, &mut memory.position).await,
            Seen::Board(view) => {
                board(frame, view);
                Ok(())
            }
        }
    }

    /// Notes what is stored if a client was sent it.
    fn note(&self, frame: &Frame) {
        let user = self.person.id;
        match *frame {
            Frame::Row { seq, id, .. } => self.shared.note(Sent::Row { user, seq, id }),
            Frame::Changed { seq: Some(seq), .. } => self.shared.note(Sent::Change { user, seq }),
            Frame::Ticket { id, version } => {
                self.shared.note(Sent::Version { ticket: id, version })
            }
            Frame::Greeting
            | Frame::Welcome { .. }
            | Frame::Reset
            | Frame::Changed { seq: None, .. }
            | Frame::Truncated
            | Frame::List(_)
            | Frame::Present(_)
            | Frame::Joined(_)
            | Frame::Left(_)
            | Frame::Comment { .. }
            | Frame::Pong
            | Frame::Error(_)
            | Frame::Other => {}
        }
    }

    async fn entry(
        &mut self,
        frame: Frame,
        view: &mut View,
        memory: &mut Memory,
        socket: &mut Socket,
    ) -> Result<(), Ended> {
        match frame {
            Frame::Row { seq, id, .. } => view.row(seq, id),
            // The greeting comes first: what is born from here on comes over the socket.
            Frame::Greeting if view.has_cursor => {}
            Frame::Greeting if self.family == Family::Inbox => ask(0, socket).await?,
            Frame::Greeting => self.reload(view, memory.covered, memory).await?,
            Frame::Truncated if view.has_cursor => {
                let last = view.last();
                self.reload(view, last, memory).await?;
            }
            Frame::List(rows) => {
                let oldest = rows.iter().map(|(seq, _)| *seq).min().unwrap_or_default();
                memory.offset += rows.len();
                memory.is_reloaded = rows.len() < LIST || oldest <= memory.covered + 1;
                view.list(rows);
                if !memory.is_reloaded {
                    ask(memory.offset, socket).await?;
                }
            }
            // The only thing that these clients ask for is the list.
            Frame::Error(text) if text.contains(UNAVAILABLE) => memory.is_list_refused = true,
            Frame::Error(text) => view.errors.push(text),
            // Marks of this family's rows, answers to pings; the list was read before a truncated
            // backlog.
            Frame::Truncated
            | Frame::Welcome { .. }
            | Frame::Reset
            | Frame::Changed { .. }
            | Frame::Present(_)
            | Frame::Joined(_)
            | Frame::Left(_)
            | Frame::Ticket { .. }
            | Frame::Comment { .. }
            | Frame::Pong
            | Frame::Other => {}
        }
        Ok(())
    }

    /// Reads what came after a number, over REST.
    async fn reload(
        &mut self,
        view: &mut View,
        after: u64,
        memory: &mut Memory,
    ) -> Result<(), Ended> {
        let rows = lists::after(&self.shared, &self.person, after, &mut self.rng).await;
        let rows = rows.map_err(|error| Ended(error.to_string()))?;
        view.list(rows.iter().map(|row| (row.seq, row.id)));
        memory.is_reloaded = true;
        Ok(())
    }

    async fn change(
        &mut self,
        frame: Frame,
        view: &mut ChangesView,
        position: &mut Position,
    ) -> Result<(), Ended> {
        match frame {
            Frame::Welcome { last_seq, epoch, unread } => {
                view.unread = unread;
                (position.head, position.epoch) = (last_seq, epoch);
                position.seen = position.since;
                position.reach(position.seen);
            }
            Frame::Row { seq, id, is_read, unread } => {
                view.unread = unread;
                view.row(seq, id, is_read);
                position.reach(seq);
            }
            Frame::Changed { seq: Some(seq), ids, is_read, is_deleted, unread } => {
                view.unread = unread;
                view.changed(seq, &ids, (!is_deleted).then_some(is_read));
                position.reach(seq);
            }
            Frame::Reset => {
                view.resets += 1;
                view.rows.clear();
                *position =
                    Position { epoch: std::mem::take(&mut position.epoch), ..Position::default() };
            }
            Frame::Truncated => {
                let rows = lists::after(&self.shared, &self.person, 0, &mut self.rng).await;
                let rows = rows.map_err(|error| Ended(error.to_string()))?;
                view.rows.extend(rows.iter().map(|row| (row.id, row.is_read)));
            }
            Frame::Error(text) => view.errors.push(text),
            Frame::Greeting
            | Frame::Changed { seq: None, .. }
            | Frame::List(_)
            | Frame::Present(_)
            | Frame::Joined(_)
            | Frame::Left(_)
            | Frame::Ticket { .. }
            | Frame::Comment { .. }
            | Frame::Pong
            | Frame::Other => {}
        }
        Ok(())
    }

    fn tell_live(&self, seen: &Seen, is_open: bool) {
        let (follows, last) = match seen {
            Seen::Entries(view) => (Follows::Entries, view.last()),
            Seen::Changes(view) => (Follows::Changes, view.last()),
            Seen::Board(_) => (Follows::Nothing, 0),
        };
        let present = match seen {
            Seen::Board(view) if self.family == Family::Presence => Some(view.present.clone()),
            Seen::Board(_) | Seen::Entries(_) | Seen::Changes(_) => None,
        };
        let live = Live { user: self.person.id, is_open, follows, last, present };
        self.shared.live().insert(self.number, live);
    }
}

/// A new socket.
fn begin(seen: &mut Seen, memory: &mut Memory) {
    (memory.offset, memory.is_list_refused) = (0, false);
    match seen {
        Seen::Entries(view) => view.sockets.push(Vec::new()),
        Seen::Changes(view) => view.sockets.push(Vec::new()),
        Seen::Board(view) => view.begin(),
    }
}

/// Asks for a part of the list, as the inbox family does.
async fn ask(offset: usize, socket: &mut Socket) -> Result<(), Ended> {
    let list = json!({"type": "get_notifications", "limit": LIST, "offset": offset});
    socket.say(&list.to_string()).await
}

/// A frame of a board.
pub(super) fn board(frame: Frame, view: &mut BoardView) {
    match frame {
        Frame::Present(users) => view.state(users),
        Frame::Joined(user) => view.joined(user),
        Frame::Left(user) => view.left(user),
        Frame::Ticket { id, version } => view.ticket(id, version),
        Frame::Comment { id } => view.comment(id),
        Frame::Error(text) => view.errors.push(text),
        Frame::Greeting
        | Frame::Welcome { .. }
        | Frame::Reset
        | Frame::Row { .. }
        | Frame::Changed { .. }
        | Frame::Truncated
        | Frame::List(_)
        | Frame::Pong
        | Frame::Other => {}
    }
}
