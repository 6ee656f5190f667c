//! What operators do by hand besides restarts: end a session, open or close a channel's circuit.

use jiff::Timestamp;
use tracing::info;

use super::{Hub, ROOT_ANSWER_MAX, RestartError};
use crate::call::{Call, CallOutcome};
use crate::channel::HeldOpen;
use crate::domain::ids::UserId;
use crate::domain::routing::Channel;
use crate::messages::{UserMessage, UserProtocol};
use crate::supervisor::Protocol;

/// What an operator does to a channel's circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// Nothing is sent from now on.
    Open {
        /// Until then; `None`: until it is closed.
        until: Option<Timestamp>,
    },
    /// Everything is sent, whatever has failed before.
    Closed,
}

impl Hub {
    /// Ends a user's session with that number on this node, for the operator with that name: it
    /// closes with 1012, so its client may come back.
    ///
    /// # Errors
    /// [`RestartError::NotFound`] if there is no such session, [`RestartError::Unavailable`] if the
    /// user's actor does not answer.
    pub async fn close_session(
        &self,
        user: UserId,
        session: u32,
        operator: &str,
    ) -> Result<(), RestartError> {
        let actor = self.users.directory.live.get(&user).map(|entry| entry.value().clone());
        let actor = actor.ok_or(RestartError::NotFound)?;
        let (call, answer) = Call::new(session);
        actor.cast(UserMessage::Close(call));
        match answer.within(ROOT_ANSWER_MAX).await {
            CallOutcome::Answered(true) => {}
            // An actor that stops has no session left.
            CallOutcome::Answered(false) | CallOutcome::Returned(_) => {
                return Err(RestartError::NotFound);
            }
            CallOutcome::Lost => return Err(RestartError::Unavailable),
        }
        info!(%user, session, operator, "session closed by operator");
        let what = format!("session {session} closed by operator {operator}");
        self.log.note(&format_args!("{}/{user}", UserProtocol::KIND), "closed", &what);
        Ok(())
    }

    /// Opens a channel's circuit on this node for the operator with that name, until then or until
    /// it is closed; or closes it. False if the channel is not enabled.
    pub fn set_circuit(&self, channel: Channel, circuit: ByHand, operator: &str) -> bool {
        let mut places = self.channels.places.iter();
        let Some(place) = places.find(|place| place.channel() == channel) else { return false };
        let (held, what) = match circuit {
            ByHand::Open { until } => {
                let since = self.log.clock().now();
                let held = HeldOpen { operator: operator.into(), since, until };
                let what = format!("circuit {held}");
                (Some(held), what)
            }
            ByHand::Closed => (None, format!("circuit closed by operator {operator}")),
        };
        place.hold(held);
        info!(channel = channel.as_str(), operator, "{what}");
        self.log.note(&place.path(), "circuit", &what);
        true
    }
}
