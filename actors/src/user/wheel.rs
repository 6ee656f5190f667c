//! What a user actor does when the wheel turns: silence, tokens, delivered positions, leaving.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use tokio::time::Instant;

use super::handlers::note_delivered;
use super::session::SessionState;
use super::{Own, UserEntity, UserMessage, UserState};
use crate::port::outlet::{Ending, Outgoing};
use crate::supervisor::Parent;
use crate::vitals::{Handle, Vitals};

/// How often an inbox is compared with the store, in case a hint was lost.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// How long a session's connection may take nothing while the budget of all sessions is short.
const STALLED_MAX_S: u32 = 10;

/// How long before its token's end a session is told.
const WARN_BEFORE: Duration = Duration::from_secs(60);

impl UserEntity {
    pub(super) fn tick(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        self.check_silence(myself, state);
        for session in &mut state.sessions {
            note_delivered(&mut state.delivered, session.delivered());
            self.arm_expiry(myself, &state.vitals, session);
        }
        if state.sessions.is_empty() {
            self.settle_or_leave(myself, state);
        } else if state.delivered > state.noted
            && let Some(parent) = self.parent(state)
        {
            state.noted = state.delivered;
            parent.note((state.id, state.delivered));
        }
        let is_due = state.compared_at.elapsed() >= COMPARE_EVERY;
        if is_due && state.follows() {
            state.compared_at = Instant::now();
            self.compare(state.own(myself), state.id);
        }
    }

    /// Pings clients that were silent for a while; ends those that answer no ping, and those that
    /// take nothing while others wait for the memory of what they do not take.
    fn check_silence(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        let limits = &self.shared.limits;
        let ping_after = limits.ping_after.as_secs().max(1);
        let silent_max = limits.silent_max.as_secs().max(1);
        let is_short = self.shared.unsent.is_short();
        let mut index = 0;
        while index < state.sessions.len() {
            let session = &mut state.sessions[index];
            let silent = u64::from(session.outlet.silent_s());
            let why = match () {
                () if silent >= silent_max => Some(Ending::Silent),
                () if is_short && session.outlet.stalled_s() >= STALLED_MAX_S => {
                    Some(Ending::TooSlow)
                }
                () => None,
            };
            if let Some(why) = why {
                self.drop_session(myself, index, why, state);
                continue;
            }
            let due = u32::try_from(silent / ping_after).unwrap_or(u32::MAX);
            if due > session.rest.pings {
                session.push(Outgoing::Ping);
            }
            session.rest.pings = due;
            index += 1;
        }
    }

    /// Tells a session that its token ends soon, once a token; starts a timer for one that ends
    /// before the wheel comes round again.
    pub(super) fn arm_expiry(
        &self,
        myself: &ActorRef<UserMessage>,
        vitals: &Arc<Vitals>,
        session: &mut SessionState,
    ) {
        let expires_at = session.rest.expires_at;
        let left = expires_at.duration_since(self.shared.clock.now());
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
        if session.is_greeted && !session.rest.is_warned && left <= WARN_BEFORE {
            session.rest.is_warned = true;
            session.push(Outgoing::TokenExpiring { expires_at });
        }
        let turn = crate::supervisor::Entity::turn(self);
        // Twice the turn, for a wheel that is late.
        if session.rest.is_expiry_armed || left > 2 * turn.max(Duration::from_secs(1)) {
            return;
        }
        session.rest.is_expiry_armed = true;
        let own = Handle::new(myself.clone(), Arc::clone(vitals));
        let session = session.id;
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            own.cast(Own::TokenEnds { session, expires_at }.into());
        });
    }

    /// Found where it is needed: it would be two pointers more for each user.
    fn parent(&self, state: &UserState) -> Option<Parent<Self>> {
        self.shared.users.directory.parent(state.id)
    }

    fn settle_or_leave(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        let was_idle = std::mem::replace(&mut state.is_idle, true);
        if self.settle(myself, state) && was_idle && !state.is_leaving {
            state.is_leaving = true;
            if let Some(parent) = self.parent(state) {
                parent.idle(state.id, myself.get_id());
            }
        }
    }
}
