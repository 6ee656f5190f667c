//! What operators do by hand besides restarts: end a session, open or close a channel's circuit,
//! watch an actor's messages.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::info;

use super::root::HubMessage;
use super::{Hub, ROOT_ANSWER_MAX, RestartError};
use crate::channel::HeldOpen;
use crate::directory::Directory;
use crate::messages::{ProjectProtocol, UserMessage, UserProtocol};
use crate::supervisor::Protocol;
use crate::ticket::message::TicketProtocol;
use crate::vitals::Vitals;
use crate::vitals::message_log;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_domain::routing::Channel;
use bellpull_port::call::{Call, CallOutcome};

/// When a request to watch one more actor may succeed: others end by their time.
const WATCH_RETRY_S: u32 = 60;

fn of<P: Protocol>(directory: &Directory<P>, id: P::Id) -> Option<Arc<Vitals>> {
    directory.live.get(&id).map(|live| Arc::clone(live.vitals()))
}

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

    /// Watches the messages of the actor at `path` on this node for so long, or no longer, for the
    /// operator with that name; until when.
    ///
    /// # Errors
    /// [`RestartError::NotFound`] if no actor that is up has that path, `TooMany` if as many are
    /// watched as may be.
    pub async fn watch_messages(
        &self,
        path: &str,
        time: Duration,
        operator: &str,
    ) -> Result<Timestamp, RestartError> {
        let vitals = self.vitals(path).await?.ok_or(RestartError::NotFound)?;
        let retry_after_s = WATCH_RETRY_S;
        let until = message_log::watch(&vitals, time)
            .map_err(|_| RestartError::TooMany { retry_after_s })?;
        info!(path, operator, "messages watched until {until}");
        Ok(until)
    }

    async fn vitals(&self, path: &str) -> Result<Option<Arc<Vitals>>, RestartError> {
        if let Some((kind, id)) = path.split_once('/')
            && let Ok(id) = id.parse::<i64>()
        {
            let live = match kind {
                UserProtocol::KIND => of(&self.users.directory, UserId(id)),
                TicketProtocol::KIND => of(&self.tickets.directory, TicketId(id)),
                ProjectProtocol::KIND => of(&self.projects.directory, ProjectId(id)),
                _ => None,
            };
            if live.is_some() {
                return Ok(live);
            }
        }
        let (call, answer) = Call::new(path.to_owned());
        self.root.cast(HubMessage::Vitals(call));
        match answer.within(ROOT_ANSWER_MAX).await {
            CallOutcome::Answered(found) => Ok(found),
            CallOutcome::Returned(_) | CallOutcome::Lost => Err(RestartError::Unavailable),
        }
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
