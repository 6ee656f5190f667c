//! The handlers of a user actor's messages.

use std::time::Duration;

use opentelemetry::trace::SpanKind;
use ractor::ActorRef;
use serde_json::{Value, json};

use super::backlog::{Loaded, Reading};
use super::follow::Source;
use super::own::Own;
use super::queue::Next;
use super::session::SessionState;
use super::stretch::Shows;
use super::{Gap, UserEntity, UserState};
use crate::messages::{Attach, AttachError, Session, UserMessage};
use bellpull_domain::ids::{LoginId, Seq};
use bellpull_domain::inbox::Change;
use bellpull_domain::ticket::Caller;
use bellpull_port::call::Call;
use bellpull_port::outlet::{Connection, Ending, Outgoing, Welcome};
use bellpull_port::session::{Begin, Feed, Heard, Resume};
use bellpull_port::slow::SlowKind;
use bellpull_port::trace::{Trace, TraceSpan};

/// Messages that may be handled before the sessions are flushed although more wait.
const UNFLUSHED_MAX: u32 = 64;

/// What all sessions of one user may hold that their connections have not accepted: a portion of a
/// backlog for each of 32, and as much again for live frames.
const USER_UNSENT_MAX: usize = 4 << 20;

/// How long to wait before a gap is read again when the store did not answer.
pub(super) const STORE_RETRY: Duration = Duration::from_secs(1);

/// How often the store is asked to confirm what other nodes said, where something contradicts it.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The close reason of a session whose backlog cannot be read.
pub(super) const STORE_AWAY: Ending = Ending::Restarting { retry_after_ms: 1_000 };

/// The close reason of a session that an operator ends.
const BY_OPERATOR: Ending = Ending::Restarting { retry_after_ms: 1_000 };

/// The step of a trace in which a notification becomes frames.
fn frame_span(change: &Change, state: &UserState) -> TraceSpan {
    let Change::Added { entry, .. } = change else { return TraceSpan::none() };
    let mut span = Trace::from(entry.message.trace.of_frame()).span("frames", SpanKind::Producer);
    span.set("bellpull.user", state.id.0);
    span.set("bellpull.seq", entry.seq.0);
    span.set("bellpull.sessions", i64::try_from(state.sessions.len()).unwrap_or(i64::MAX));
    span
}

impl UserEntity {
    pub(super) fn attach(
        &self,
        myself: &ActorRef<UserMessage>,
        call: Call<Attach, Result<Session, AttachError>>,
        state: &mut UserState,
    ) {
        if state.is_leaving {
            return; // unopened: it goes back, and on to this actor's successor
        }
        let Some((Attach { account, start }, reply)) = call.open() else { return };
        if state.sessions.len() >= self.shared.limits.sessions_per_user_max {
            start.outlet.close(Ending::TooMany { reason: "too many sockets" });
            return reply.send(Err(AttachError::TooMany));
        }
        state.last_session = state.last_session.wrapping_add(1);
        let id = state.last_session;
        // Frames that the others were sent meanwhile need not be sent to this one.
        for session in &state.sessions {
            state.reached = state.reached.max(session.reached());
        }
        let stream = start.stream;
        let feed = match start.feed {
            // It will never acknowledge anything.
            Feed::Changes(Resume::Unacknowledged) if start.outlet.is_one_way() => {
                Feed::Changes(Resume::Undelivered)
            }
            feed @ (Feed::Nothing | Feed::Entries(_) | Feed::Changes(_)) => feed,
        };
        let mut session = SessionState::new(id, start, &self.shared.sessions);
        // A client relies on every event from its greeting on. So a session of changes, or of new
        // notifications only, is greeted once its start is known, and a session for one stream once
        // its subscription stands.
        let is_later = matches!(feed, Feed::Changes(_) | Feed::Entries(Begin::Live));
        if !is_later && stream.is_none() {
            session.push(Outgoing::Established { user: &Caller::from(&*account) });
            session.is_greeted = true;
        }
        self.arm_expiry(myself, &state.vitals, &mut session);
        state.open_with(account);
        state.sessions.push(session);
        state.is_idle = false;
        if let Some(stream) = stream {
            self.watch_own(myself, state.sessions.len() - 1, stream, state);
        }
        if feed != Feed::Nothing {
            self.load(myself, (id, feed), state.reached, state);
        }
        reply.send(Ok(Session { actor: state.own(myself), id }));
    }

    pub(super) fn changed(
        &self,
        myself: &ActorRef<UserMessage>,
        change: Change,
        source: Source,
        state: &mut UserState,
    ) {
        if state.follow.at().is_none() && !state.follows() {
            return; // no session shows it, and later ones read the store
        }
        let is_contradicted = state.follow.contradicts(&change) || state.follow.is_again(&change);
        let applied = state.follow.offer(change, source);
        self.apply(myself, &applied, state);
        let is_wanted = is_contradicted || state.follow.is_full();
        if is_wanted && state.compared_at.elapsed() >= ASK_AGAIN {
            self.compare_now(myself, state);
        }
    }

    /// Shows changes, which follow each other without a gap, to all sessions.
    pub(super) fn apply(
        &self,
        myself: &ActorRef<UserMessage>,
        changes: &[Change],
        state: &mut UserState,
    ) {
        for change in changes {
            let _span = frame_span(change, state);
            if let Change::Added { entry, .. } = change
                && state.unflushed_since.is_none()
                && self.shared.slow.is_on(SlowKind::Frame)
            {
                state.unflushed_since = entry.message.trace.announced();
            }
            for session in &mut state.sessions {
                session.change(change);
            }
        }
        if state.follow.has_gap() && state.gap == Gap::None {
            state.gap = Gap::Waiting;
            Self::wait_for_gap(state.own(myself), None);
        }
    }

    pub(super) fn heard(
        &self,
        myself: &ActorRef<UserMessage>,
        id: u32,
        heard: Heard,
        state: &mut UserState,
    ) {
        let Some(index) = state.sessions.iter().position(|session| session.id == id) else {
            return;
        };
        let session = &mut state.sessions[index];
        let heard = match session.is_greeted {
            true => heard,
            false => match session.rest.early.keep(heard) {
                Ok(Some(heard)) => heard,
                Ok(None) => return,
                Err(why) => return self.drop_session(myself, index, why, state),
            },
        };
        match heard {
            Heard::Ping(timestamp) => session.push(Outgoing::Pong(timestamp.as_deref())),
            Heard::Bad { tag, code, message } => {
                let (tag, message) = (tag.as_deref(), message.as_str());
                session.push(Outgoing::Error { tag, code, message, retry_after_ms: None });
            }
            Heard::ProtocolPing(payload) => session.push(Outgoing::ProtocolPong(&payload)),
            Heard::Writable => match session.flush(&self.shared.unsent) {
                Ok(()) => self.advance(myself, index, state),
                Err(broken) => self.drop_session(myself, index, broken.into(), state),
            },
            Heard::Asked(asked) => {
                state.is_asking = true;
                super::requests::asked(session, asked);
            }
            Heard::Renewed { tag, renewal } => {
                self.renewed(myself, index, tag, renewal, state);
            }
            Heard::Ended(why) => self.drop_session(myself, index, why, state),
        }
    }

    pub(super) fn end(
        &self,
        myself: &ActorRef<UserMessage>,
        login: Option<LoginId>,
        why: Ending,
        state: &mut UserState,
    ) {
        while let Some(index) =
            state.sessions.iter().position(|session| login.is_none() || session.rest.login == login)
        {
            self.drop_session(myself, index, why, state);
        }
    }

    /// Ends one session for an operator. Its client may come back, and goes on where it was.
    pub(super) fn close_one(
        &self,
        myself: &ActorRef<UserMessage>,
        call: Call<u32, bool>,
        state: &mut UserState,
    ) {
        let Some((id, reply)) = call.open() else { return };
        let found = state.sessions.iter().position(|session| session.id == id);
        if let Some(index) = found {
            self.drop_session(myself, index, BY_OPERATOR, state);
        }
        reply.send(found.is_some());
    }

    pub(super) fn own(&self, myself: &ActorRef<UserMessage>, own: Own, state: &mut UserState) {
        match own {
            Own::Loaded { session, loaded } => {
                let found = state.sessions.iter().position(|one| one.id == session);
                let Some(index) = found else { return };
                match loaded {
                    Ok(loaded) => self.loaded(myself, index, loaded, state),
                    Err(_) => self.drop_session(myself, index, STORE_AWAY, state),
                }
            }
            Own::Texts { session, texts } => {
                let found = state.sessions.iter().position(|one| one.id == session);
                let Some(index) = found else { return };
                match texts {
                    Ok(texts) => {
                        state.sessions[index].texts(texts);
                        self.advance(myself, index, state);
                    }
                    Err(_) => self.drop_session(myself, index, STORE_AWAY, state),
                }
            }
            Own::GapDue if state.follow.has_gap() => {
                state.gap = Gap::Reading;
                let after = state.follow.at().unwrap_or(Seq::ZERO);
                self.read_gap(state.own(myself), state.id, after, state.follow.target());
            }
            Own::GapDue => state.gap = Gap::None,
            Own::Filled { heard, read: Ok(Reading::Whole(stretch)) } => {
                state.follow.forget_false(heard, stretch.head);
                self.filled(myself, stretch, state);
            }
            Own::Filled { read: Ok(Reading::TooFar), .. } => self.start_over(myself, state),
            Own::Filled { read: Err(_), .. } => {
                state.gap = Gap::Waiting;
                Self::wait_for_gap(state.own(myself), Some(STORE_RETRY));
            }
            Own::Compared(compared) => self.compared(myself, &compared, state),
            Own::Saved(reached) => {
                state.is_saving = false;
                state.saved = state.saved.max(reached);
            }
            Own::NotSaved => state.is_saving = false,
            Own::TokenDue { session, expires_at, is_end } => {
                self.token_due(myself, (session, expires_at, is_end), state);
            }
            Own::Done { session, outcome } => {
                let found = state.sessions.iter().position(|one| one.id == session);
                let Some(index) = found else { return };
                state.sessions[index].done(*outcome);
                // Its frames may have waited for that.
                self.advance(myself, index, state);
            }
        }
    }

    fn loaded(
        &self,
        myself: &ActorRef<UserMessage>,
        index: usize,
        loaded: Loaded,
        state: &mut UserState,
    ) {
        let (head, id) = (loaded.stretch.head, state.sessions[index].id);
        if !state.sessions[index].is_greeted {
            self.greet(myself, index, &loaded, state);
        }
        let early = state.sessions[index].rest.early.take();
        state.reached = state.reached.max(loaded.stored);
        state.saved = state.saved.max(loaded.stored);
        if state.reached.acknowledged.is_none() {
            state.reached.acknowledged = loaded.unacknowledged_from;
        }
        let waited = state.follow.begin(head);
        if !state.follow.continues(head) {
            state.sessions[index].forget_told();
        }
        state.sessions[index].loaded(loaded, state.reached.delivered);
        state.follow.heard_of(head);
        self.apply(myself, &waited, state);
        self.advance(myself, index, state);
        for heard in early {
            self.heard(myself, id, heard, state);
        }
    }

    /// Greets a session whose start is known.
    fn greet(
        &self,
        myself: &ActorRef<UserMessage>,
        index: usize,
        loaded: &Loaded,
        state: &mut UserState,
    ) {
        let Some(account) = &state.account else { return };
        let user = &Caller::from(&**account);
        let session = &mut state.sessions[index];
        let heartbeat = self.shared.limits.ping_after.as_millis();
        let epoch = self.shared.names.epoch.name();
        session.push(match session.shows() {
            Shows::Nothing | Shows::Entries => Outgoing::Established { user },
            Shows::Changes => Outgoing::Welcome(Welcome {
                user,
                session: session.id,
                epoch: &epoch,
                node: &self.shared.names.node,
                last_seq: loaded.stretch.head,
                unread_count: loaded.stretch.unread_count,
                is_resumed: loaded.is_resumed,
                heartbeat_ms: u32::try_from(heartbeat).unwrap_or(u32::MAX),
            }),
        });
        if !loaded.is_resumed {
            session.push(Outgoing::Reset);
        }
        session.is_greeted = true;
        self.arm_expiry(myself, &state.vitals, session);
    }

    /// Shows a session more of its backlog.
    pub(super) fn advance(
        &self,
        myself: &ActorRef<UserMessage>,
        index: usize,
        state: &mut UserState,
    ) {
        let session = state.sessions[index].id;
        match state.sessions[index].advance(&self.shared.unsent) {
            Ok(Next::Nothing) => {}
            Ok(Next::Changes(after)) => {
                self.load_more(state.own(myself), state.id, session, after);
            }
            Ok(Next::Texts(texts)) => self.read_texts(state.own(myself), session, texts),
            Err(broken) => self.drop_session(myself, index, broken.into(), state),
        }
    }

    /// Ends one session. With the last one the delivered position is saved at once.
    pub(super) fn drop_session(
        &self,
        myself: &ActorRef<UserMessage>,
        index: usize,
        why: Ending,
        state: &mut UserState,
    ) {
        let session = state.sessions.swap_remove(index);
        state.reached = state.reached.max(session.close(why));
        if state.sessions.is_empty() {
            self.settle(myself, state);
        }
    }

    /// Saves unsaved positions; returns whether there were none.
    pub(super) fn settle(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) -> bool {
        if !state.reached.is_within(state.saved) && !state.is_saving {
            state.is_saving = true;
            let question = state.follow.question();
            self.save(state.own(myself), state.id, state.reached, question);
        }
        !state.is_saving
    }

    /// Flushes the frames of this message (and those before it), unless more messages wait: then
    /// the frames of all of them are sent in one write.
    pub(super) fn flush(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        state.unflushed += 1;
        if state.vitals.depth() > 0 && state.unflushed < UNFLUSHED_MAX {
            return;
        }
        state.unflushed = 0;
        let (mut index, mut is_blocked) = (0, false);
        while index < state.sessions.len() {
            let session = &mut state.sessions[index];
            let (id, was_blocked) = (session.id, session.is_blocked());
            if session.is_dirty
                && let Err(broken) = session.flush(&self.shared.unsent)
            {
                self.drop_session(myself, index, broken.into(), state);
                continue;
            }
            if was_blocked && !session.is_blocked() {
                // The connection has accepted the rest before its outlet could report that it
                // accepts more, and now it does not report it: the backlog continues here.
                self.advance(myself, index, state);
            }
            let Some(session) = state.sessions.get(index).filter(|session| session.id == id) else {
                continue; // it has ended, and another one took its place
            };
            is_blocked |= session.is_blocked();
            index += 1;
        }
        if is_blocked {
            self.shed(myself, state);
        }
    }

    /// Ends the session that holds most, while all of the user's hold more than they may.
    fn shed(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        loop {
            let bytes = |session: &SessionState| session.waiting_bytes();
            let waiting = state.sessions.iter().map(bytes);
            if waiting.clone().sum::<usize>() <= USER_UNSENT_MAX {
                return;
            }
            let Some((index, _)) = waiting.enumerate().max_by_key(|(_, bytes)| *bytes) else {
                return;
            };
            self.drop_session(myself, index, Ending::TooSlow, state);
        }
    }
}

pub(super) fn observe(call: Call<(), Value>, state: &UserState) {
    let Some(((), reply)) = call.open() else { return };
    let session = |session: &SessionState| {
        let Connection { dialect, peer } = session.outlet.connection();
        json!({
            "id": session.id,
            "by": if session.outlet.is_one_way() { "stream" } else { "socket" },
            "dialect": dialect,
            "peer": peer,
            "address": session.rest.address.as_deref().copied().or(peer.map(|peer| peer.ip())),
            "agent": session.rest.agent.text(),
            "phase": session.phase_name(),
            "seq": session.at(),
            "login": session.rest.login,
            "silent_s": session.outlet.silent().as_secs(),
            "waiting_bytes": session.waiting_bytes(),
        })
    };
    let sessions: usize = state.sessions.iter().map(SessionState::memory_bytes).sum();
    reply.send(json!({
        "memory_bytes": size_of::<UserState>() + sessions,
        "username": state.account.as_ref().map(|account| &account.username),
        "seq": state.follow.at(),
        "delivered_seq": state.reached.delivered,
        "acknowledged_seq": state.reached.acknowledged,
        "sessions": state.sessions.iter().map(session).collect::<Vec<_>>(),
    }));
}
