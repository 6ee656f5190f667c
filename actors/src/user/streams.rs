//! The streams that a user actor's sessions watch: subscriptions to projects' streams.
//!
//! A task checks the right and asks the project's actor for a subscription. It stands from
//! [`StreamMessage::Begun`] on, which that actor casts before any news. When it is lost, one to
//! presence begins again by itself, with a new list of present users; a session that watched
//! tickets ends, for it may have missed an event: its client reconnects and reads.

use std::time::Duration;

use jiff::Timestamp;

use ractor::ActorRef;

use super::asking::{Outcome, refused};
use super::session::SessionState;
use super::subscription::{Phase, Purpose, Subscription};
use super::{UserEntity, UserState};
use crate::messages::{
    Failed, NoSubscription, Parting, StreamMessage, Subscribe, SubscriptionId, UserMessage, Watch,
};
use crate::vitals::Handle;
use bellpull_domain::ids::{TicketId, UserId};
use bellpull_domain::stream::{Present, Stream, StreamKind};
use bellpull_domain::ticket::Caller;
use bellpull_port::outlet::{Ending, Outgoing};
use bellpull_port::session::Answer;

/// The most subscriptions of a session; a user follows a handful of projects.
const SUBSCRIPTIONS_MAX: usize = 64;

/// How long to wait before a lost subscription is requested again: doubled with each attempt. The
/// first is soon enough for the roster to be right again within a second.
const BACK_OFF: Duration = Duration::from_millis(50);
/// How often the wait is doubled.
const DOUBLINGS_MAX: u32 = 6;
/// After this many attempts (ten seconds) the session ends: its client reconnects.
const TRIES_MAX: u32 = 9;
/// Watchers that lose a project together request it again spread over this many milliseconds, …
const AGAIN_SPREAD_MS: u64 = 200;
/// … and clients whose sessions end reconnect spread over this many.
const BACK_SPREAD_MS: u64 = 1_000;

/// The close reason of a session whose own stream is unavailable.
const COME_BACK: Ending = Ending::Restarting { retry_after_ms: RETRY_MS };
/// When an unavailable stream may be requested again.
const RETRY_MS: u32 = 1_000;

impl UserEntity {
    /// Subscribes a new session to the stream that it is for.
    pub(super) fn watch_own(
        &self,
        myself: &ActorRef<UserMessage>,
        index: usize,
        stream: Stream,
        state: &mut UserState,
    ) {
        state.sessions[index].rest.streams.push(Subscription::new(stream, Purpose::OwnStream));
        self.subscribe(myself, index, state);
    }

    /// Subscribes a session at its request; `None` if that is answered later.
    pub(super) fn watch(
        &self,
        myself: &ActorRef<UserMessage>,
        index: usize,
        stream: Stream,
        state: &mut UserState,
    ) -> Option<Answer> {
        let streams = &mut state.sessions[index].rest.streams;
        if streams.iter().any(|known| known.stream == stream) {
            return Some(Answer::Done);
        }
        if streams.len() >= SUBSCRIPTIONS_MAX {
            let text = format!("A socket watches at most {SUBSCRIPTIONS_MAX} streams.");
            return Some(refused("too_many_streams", text, None));
        }
        streams.push(Subscription::new(stream, Purpose::Asked));
        self.subscribe(myself, index, state);
        None
    }

    /// A message of a project's actor.
    pub(super) fn stream(
        &self,
        myself: &ActorRef<UserMessage>,
        message: StreamMessage,
        state: &mut UserState,
    ) {
        match message {
            StreamMessage::Begun { watch, present } => {
                self.begun(myself, watch, present, state);
            }
            StreamMessage::News(content) => {
                let mut index = 0;
                while index < state.sessions.len() {
                    match state.sessions[index].show_event(&content, &self.shared.unsent) {
                        Ok(()) => index += 1,
                        Err(broken) => self.drop_session(myself, index, broken.into(), state),
                    }
                }
            }
            StreamMessage::Ended { project, actor, why } => {
                let stands_there = |known: &&Subscription| {
                    known.stream.project == project && known.stands_at(actor)
                };
                let streams = state.sessions.iter().flat_map(|session| &session.rest.streams);
                let ended: Vec<_> = streams.filter(stands_there).map(|known| known.id).collect();
                for id in ended {
                    match why {
                        Parting::Lost => self.lost(myself, id, state),
                        Parting::Withdrawn => self.no_right(myself, id, state),
                    }
                }
            }
            StreamMessage::Failed(Failed { id, why }) => match why {
                NoSubscription::NoRight => self.no_right(myself, id, state),
                NoSubscription::Unavailable => self.unavailable(myself, id, state),
            },
        }
    }

    /// Requests the session's last subscription.
    fn subscribe(&self, myself: &ActorRef<UserMessage>, index: usize, state: &mut UserState) {
        let last = state.sessions[index].rest.streams.len().saturating_sub(1);
        self.ask_for(myself, (index, last), Duration::ZERO, state);
    }

    /// Requests a subscription, with a new id.
    fn ask_for(
        &self,
        myself: &ActorRef<UserMessage>,
        (session, nth): (usize, usize),
        after: Duration,
        state: &mut UserState,
    ) {
        let Some(caller) = state.account.as_deref().map(Caller::from) else { return };
        let own = state.own(myself);
        state.last_number += 1;
        let known = &mut state.sessions[session].rest.streams[nth];
        known.id = state.last_number;
        known.phase = Phase::Asking { typed: None };
        known.tries += 1;
        let (stream, id) = (known.stream, known.id);
        self.spawn_subscribe(own, caller, stream, id, after);
    }

    fn spawn_subscribe(
        &self,
        actor: Handle<UserMessage>,
        caller: Caller,
        stream: Stream,
        id: SubscriptionId,
        after: Duration,
    ) {
        let projects = self.shared.projects.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let wish = Subscribe { actor: actor.clone(), caller, kind: stream.kind, id };
            if let Err(why) = projects.subscribe(stream.project, wish).await {
                let failed = StreamMessage::Failed(Failed { id, why });
                actor.cast(UserMessage::Stream(Box::new(failed)));
            }
        });
    }

    /// The project's actor died, or may have: something may have been missed.
    fn lost(&self, myself: &ActorRef<UserMessage>, id: SubscriptionId, state: &mut UserState) {
        let Some((index, nth)) = place(id, state) else { return };
        let known = &state.sessions[index].rest.streams[nth];
        let (kind, tries) = (known.stream.kind, known.tries);
        if kind == StreamKind::Presence && tries < TRIES_MAX {
            let wait = BACK_OFF * (1 << tries.min(DOUBLINGS_MAX));
            let wait = wait + Duration::from_millis(spread(state.id, AGAIN_SPREAD_MS));
            return self.ask_for(myself, (index, nth), wait, state);
        }
        let back_ms = spread(state.id, BACK_SPREAD_MS);
        let retry_after_ms = u32::try_from(back_ms).unwrap_or(0);
        self.drop_session(myself, index, Ending::Restarting { retry_after_ms }, state);
    }

    /// The store or the project's actor did not answer.
    fn unavailable(
        &self,
        myself: &ActorRef<UserMessage>,
        id: SubscriptionId,
        state: &mut UserState,
    ) {
        let Some((index, nth)) = place(id, state) else { return };
        let session = &mut state.sessions[index];
        let known = &session.rest.streams[nth];
        if known.is_awaited() {
            session.rest.streams.remove(nth);
            let text = "This stream cannot be had now.";
            session.done(Outcome::now(refused("unavailable", text, Some(RETRY_MS))));
        } else if known.has_stood {
            self.lost(myself, id, state);
        } else {
            self.drop_session(myself, index, COME_BACK, state);
        }
    }

    /// A subscription stands: first the greeting or the answer, then the present users, then the
    /// client's messages from before its greeting.
    fn begun(
        &self,
        myself: &ActorRef<UserMessage>,
        watch: Watch,
        present: Option<Vec<Present>>,
        state: &mut UserState,
    ) {
        // One that is no longer wanted ends here: its watch is dropped.
        let Some((index, nth)) = place(watch.id(), state) else { return };
        let Some(account) = &state.account else { return };
        let session = &mut state.sessions[index];
        let known = &mut session.rest.streams[nth];
        let is_awaited = known.is_awaited();
        (known.tries, known.has_stood) = (0, true);
        if let Some((order, ticket)) = known.looks {
            watch.view(order, Some(ticket));
        }
        if let Phase::Asking { typed: Some((ticket, is_typing)) } = known.phase {
            watch.type_on(ticket, is_typing);
        }
        known.phase = Phase::Stands(watch);
        // Of an earlier watch: the present users come anew.
        known.waiting = None;
        let (stream, is_own) = (known.stream, known.purpose == Purpose::OwnStream);
        let is_first = is_own && !session.is_greeted;
        if is_first {
            session.push(Outgoing::Established { user: &Caller::from(&**account) });
            session.is_greeted = true;
            self.arm_expiry(myself, &state.vitals, session);
        }
        if is_awaited {
            session.done(Outcome::now(Answer::Done));
        }
        if let Some(people) = present {
            session.push(Outgoing::Present { stream, people: &people });
        }
        if is_first {
            let (id, early) = (session.id, session.rest.early.take());
            for heard in early {
                self.heard(myself, id, heard, state);
            }
        }
    }

    /// There is no right to it, or no longer.
    fn no_right(&self, myself: &ActorRef<UserMessage>, id: SubscriptionId, state: &mut UserState) {
        let Some((index, nth)) = place(id, state) else { return };
        let session = &mut state.sessions[index];
        let gone = session.rest.streams.remove(nth);
        if gone.purpose == Purpose::OwnStream {
            self.drop_session(myself, index, Ending::RightWithdrawn, state);
        } else if gone.is_awaited() {
            // A project that one may not watch is none, as everywhere.
            session.done(Outcome::now(refused("not_found", "Not found.", None)));
        } else {
            session.push(Outgoing::StreamEnded {
                stream: gone.stream,
                code: "right_withdrawn",
                message: "You may not watch this project any more.",
            });
        }
    }
}

/// Ends a subscription at a session's request.
pub(super) fn unwatch(index: usize, stream: Stream, state: &mut UserState) -> Answer {
    let streams = &mut state.sessions[index].rest.streams;
    let is_it =
        |known: &Subscription| known.stream == stream && known.purpose != Purpose::OwnStream;
    match streams.iter().position(is_it) {
        Some(found) => {
            streams.remove(found);
            Answer::Done
        }
        None => not_watched(),
    }
}

/// A session views another ticket, or none.
pub(super) fn view(
    index: usize,
    stream: Option<Stream>,
    ticket: Option<TicketId>,
    now: Timestamp,
    state: &mut UserState,
) -> Answer {
    // By the time, so that the user's views on several nodes have an order, too.
    let now_us = u64::try_from(now.as_microsecond()).unwrap_or_default();
    state.last_number = now_us.max(state.last_number + 1);
    let order = state.last_number;
    let Some(known) = find(&mut state.sessions[index], stream) else { return not_watched() };
    known.looks = ticket.map(|ticket| (order, ticket));
    if let Phase::Stands(watch) = &known.phase {
        watch.view(order, ticket);
    }
    Answer::Done
}

/// A session types, or has ended.
pub(super) fn type_on(
    index: usize,
    stream: Option<Stream>,
    (ticket, is_typing): (TicketId, bool),
    state: &mut UserState,
) -> Answer {
    let Some(known) = find(&mut state.sessions[index], stream) else { return not_watched() };
    match &mut known.phase {
        Phase::Stands(watch) => watch.type_on(ticket, is_typing),
        Phase::Asking { typed } => *typed = Some((ticket, is_typing)),
    }
    Answer::Done
}

/// Which session's subscription it is, and which of that session's.
fn place(id: SubscriptionId, state: &UserState) -> Option<(usize, usize)> {
    let of = |session: &SessionState| session.rest.streams.iter().position(|known| known.id == id);
    state.sessions.iter().enumerate().find_map(|(index, session)| Some((index, of(session)?)))
}

/// The presence stream that is meant; where none is named, the session's own.
fn find(session: &mut SessionState, stream: Option<Stream>) -> Option<&mut Subscription> {
    session.rest.streams.iter_mut().find(|known| {
        known.stream.kind == StreamKind::Presence
            && stream.map_or(known.purpose == Purpose::OwnStream, |stream| stream == known.stream)
    })
}

fn not_watched() -> Answer {
    refused("not_subscribed", "This socket does not watch that stream.", None)
}

/// Spreads users evenly over `span_ms`: the same delay each time for one user, and neighbours by
/// id far apart.
fn spread(user: UserId, span_ms: u64) -> u64 {
    /// The golden ratio of the span of `u64`, as in Fibonacci hashing.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    (user.0.unsigned_abs().wrapping_mul(GOLDEN) >> 32) % span_ms.max(1)
}
