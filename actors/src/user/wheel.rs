//! A user actor's work on a tick of the wheel: silence, tokens, delivered positions, leaving.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ractor::ActorRef;
use tokio::time::Instant;

use super::own::Own;
use super::session::{SessionState, Warning};
use super::{UserEntity, UserState};
use crate::messages::{UserMessage, UserProtocol};
use crate::supervisor::Parent;
use crate::vitals::{Handle, Vitals};
use bellpull_port::outlet::{Ending, Outgoing, TokenEnd};

/// How often an inbox is compared with the store, in case a hint was lost.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// How long a session's connection may accept nothing while the budget of all sessions is short.
const STALLED_MAX_S: u32 = 10;

/// A session is warned so long before its token ends …
const WARN_BEFORE_MAX: Duration = Duration::from_secs(60);
/// … or, where the token is short, when this part of its life is left: a client that renews at the
/// warning then renews once in two thirds of a life, however short that is.
const WARN_BEFORE_PART: u32 = 3;

/// How long before its expiry the client of a token is warned, by its remaining lifetime, in
/// milliseconds. "Lifetime" is what is left when the session gets the token: `iat` is optional, and
/// other issuers may set it to anything.
fn warn_before_ms(left: Duration) -> u16 {
    let before = (left / WARN_BEFORE_PART).min(WARN_BEFORE_MAX);
    u16::try_from(before.as_millis()).unwrap_or(u16::MAX)
}

impl UserEntity {
    pub(super) fn tick(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        self.check_silence(myself, state);
        let now = Instant::now();
        for session in &mut state.sessions {
            session.confirm(now, self.shared.limits.silent_max);
            state.reached = state.reached.max(session.reached());
            self.arm_expiry(myself, &state.vitals, session);
        }
        if state.sessions.is_empty() {
            self.settle_or_leave(myself, state);
        } else if !state.reached.up_to(state.follow.sure()).is_within(state.noted)
            && let Some(parent) = self.parent(state)
        {
            state.noted = state.reached.up_to(state.follow.sure());
            parent.note((state.id, state.noted));
        }
        if state.compared_at.elapsed() >= COMPARE_EVERY {
            self.compare_now(myself, state);
        }
    }

    /// Compares the inbox with the store, if a session shows it.
    pub(super) fn compare_now(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        if state.follows() {
            state.compared_at = Instant::now();
            self.compare(state.own(myself), state.id, state.follow.question());
        }
    }

    /// Pings clients that were silent for a while; closes those that answer no ping, and those that
    /// read nothing while others wait for memory.
    fn check_silence(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        let limits = &self.shared.limits;
        let ping_after = limits.ping_after.as_secs().max(1);
        let silent_max = limits.silent_max.as_secs().max(1);
        let is_short = self.shared.unsent.is_short();
        let mut index = 0;
        while index < state.sessions.len() {
            let session = &mut state.sessions[index];
            let silent = session.outlet.silent().as_secs();
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
            let due = u16::try_from(silent / ping_after).unwrap_or(u16::MAX);
            if due > session.rest.pings {
                session.push(Outgoing::Ping);
            }
            session.rest.pings = due;
            index += 1;
        }
    }

    /// Warns a session whose token expires soon, once for each token. Starts a timer if the warning
    /// or the expiry is due before the next tick.
    pub(super) fn arm_expiry(
        &self,
        myself: &ActorRef<UserMessage>,
        vitals: &Arc<Vitals>,
        session: &mut SessionState,
    ) {
        let expires_at = session.rest.expires_at;
        let left = expires_at.duration_since(self.shared.clock.now());
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
        if session.rest.warning == Warning::Unplanned {
            session.rest.warning = Warning::Before { ms: warn_before_ms(left) };
        }
        let mut next = left;
        if let Warning::Before { ms } = session.rest.warning {
            let before = Duration::from_millis(u64::from(ms));
            if left > before {
                next = left.saturating_sub(before);
            } else if session.is_greeted {
                session.rest.warning = Warning::Given;
                session.push(Outgoing::TokenExpiring { expires_at });
            }
        }
        let turn = crate::supervisor::Entity::turn(self);
        // Twice the interval, for a wheel that is late.
        if session.rest.is_expiry_armed || next > 2 * turn.max(Duration::from_secs(1)) {
            return;
        }
        session.rest.is_expiry_armed = true;
        let own = Handle::new(myself.clone(), Arc::clone(vitals));
        let (session, is_end) = (session.id, next == left);
        tokio::spawn(async move {
            tokio::time::sleep(next).await;
            own.cast(Own::TokenDue { session, expires_at, is_end }.into());
        });
    }

    /// The timer of [`Self::arm_expiry`] has fired.
    pub(super) fn token_due(
        &self,
        myself: &ActorRef<UserMessage>,
        (session, expires_at, is_end): (u32, Timestamp, bool),
        state: &mut UserState,
    ) {
        let is_it = |one: &SessionState| one.id == session && one.rest.expires_at == expires_at;
        // Not found: it has ended, or continues with another token.
        let Some(index) = state.sessions.iter().position(is_it) else { return };
        if is_end {
            let why = Ending::TokenEnded(TokenEnd::Expired);
            return self.drop_session(myself, index, why, state);
        }
        let session = &mut state.sessions[index];
        session.rest.is_expiry_armed = false;
        self.arm_expiry(myself, &state.vitals, session);
    }

    /// Found where it is needed: it would be two pointers more for each user.
    fn parent(&self, state: &UserState) -> Option<Parent<UserProtocol>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_comes_a_minute_or_a_third_of_the_life_before_the_end() {
        let lives = [0, 1, 30, 60, 180, 181, 3_600, 1 << 40];
        let before = lives.map(|s| warn_before_ms(Duration::from_secs(s)));
        assert_eq!(before, [0, 333, 10_000, 20_000, 60_000, 60_000, 60_000, 60_000]);
    }
}
