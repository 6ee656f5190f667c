//! Missing numbers of an inbox, as far as the store has them.

use std::sync::Arc;

use ractor::ActorRef;

use super::follow::Follow;
use super::handlers;
use super::stretch::{Shows, Stretch};
use super::{Gap, UserEntity, UserState};
use crate::messages::UserMessage;
use bellpull_domain::ids::Seq;

impl UserEntity {
    /// The inbox is known to have come so far: what is missing is read.
    pub(super) fn reached(&self, myself: &ActorRef<UserMessage>, last: Seq, state: &mut UserState) {
        state.follow.heard_of(last);
        self.apply(myself, &[], state);
    }

    /// A gap was read: each session is shown what it was not shown yet.
    pub(super) fn filled(
        &self,
        myself: &ActorRef<UserMessage>,
        stretch: Stretch,
        state: &mut UserState,
    ) {
        let then = state.follow.fill(&stretch);
        // A store that is behind the hints is not asked again at once.
        let is_stuck = then.is_none() && state.follow.has_gap();
        state.gap = if is_stuck { Gap::Waiting } else { Gap::None };
        if is_stuck {
            Self::wait_for_gap(state.own(myself), Some(handlers::STORE_RETRY));
        }
        let Some(then) = then else { return };
        let stretch = Arc::new(stretch);
        for session in &mut state.sessions {
            session.read(&stretch);
        }
        self.apply(myself, &then, state);
        let ids: Vec<u32> = state.sessions.iter().map(|session| session.id).collect();
        for id in ids {
            if let Some(index) = state.sessions.iter().position(|session| session.id == id) {
                self.advance(myself, index, state);
            }
        }
    }

    /// The gap is too wide to be read at once: sessions that follow the inbox reconnect and are
    /// sent a backlog.
    pub(super) fn start_over(&self, myself: &ActorRef<UserMessage>, state: &mut UserState) {
        state.gap = Gap::None;
        state.follow = Follow::default();
        while let Some(index) =
            state.sessions.iter().position(|session| session.shows() != Shows::Nothing)
        {
            self.drop_session(myself, index, handlers::STORE_AWAY, state);
        }
    }
}
