//! What a user actor does with the store's answer about what it was told of its inbox.

use ractor::ActorRef;

use super::confirm::Compared;
use super::follow::Follow;
use super::stretch::Shows;
use super::{Gap, UserEntity, UserState};
use crate::messages::UserMessage;
use bellpull_domain::ids::Seq;
use bellpull_port::outlet::Ending;
use bellpull_port::session::{Begin, Feed, Resume};

impl UserEntity {
    pub(super) fn compared(
        &self,
        myself: &ActorRef<UserMessage>,
        compared: &Compared,
        state: &mut UserState,
    ) {
        match compared.from {
            None => {
                state.follow.confirmed(&compared.question);
                self.reached(myself, compared.last, state);
            }
            Some(from) if state.follow.stands(&compared.question) => {
                self.begin_anew(myself, from, state);
            }
            Some(_) => {}
        }
    }

    /// The inbox is not what was shown after `from`: sessions are shown it again from there.
    fn begin_anew(&self, myself: &ActorRef<UserMessage>, from: Seq, state: &mut UserState) {
        tracing::warn!(
            user = state.id.0,
            from = from.0,
            "an inbox is not what was shown of it: it is shown again"
        );
        metrics::counter!("bellpull_inboxes_shown_again_total").increment(1);
        (state.follow, state.gap) = (Follow::default(), Gap::None);
        let mut index = 0;
        while index < state.sessions.len() {
            let session = &mut state.sessions[index];
            let feed = match session.shows() {
                Shows::Nothing => None,
                Shows::Entries => Some(Feed::Entries(Begin::Since(from))),
                Shows::Changes => Some(Feed::Changes(Resume::Reset)),
            };
            match feed {
                Some(feed) if session.begin_anew(from) => {
                    let id = session.id;
                    self.load(myself, (id, feed), from.into(), state);
                    index += 1;
                }
                None => index += 1,
                // Its reading of the store may be older than this.
                Some(_) => {
                    let why = Ending::Restarting { retry_after_ms: 1_000 };
                    state.sessions.swap_remove(index).close(why);
                }
            }
        }
        for at in [&mut state.reached, &mut state.noted, &mut state.saved] {
            *at = at.up_to(from);
        }
        for session in &state.sessions {
            state.reached = state.reached.max(session.reached());
        }
    }
}
