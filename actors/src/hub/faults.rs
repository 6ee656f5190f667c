//! Faults that tests put into a running tree.

use super::root::HubMessage;
use super::single::SchedulerPlace;
use super::{Hub, ROOT_ANSWER_MAX, RestartError, outcome};
use crate::channel::{ChannelMessage, ChannelSupervisor};
use crate::directory::Directory;
use crate::messages::{ProjectMessage, ProjectProtocol, UserMessage, UserProtocol};
use crate::scheduler::SchedulerMessage;
use crate::supervisor::{Parent, Protocol, SupervisorMessage};
use crate::ticket::message::TicketProtocol;
use bellpull_domain::ids::{ProjectId, TicketId, UserId};
use bellpull_port::call::Call;

impl Hub {
    /// Kills the actor at `path`: to its supervisor that is a failure.
    ///
    /// # Errors
    /// See [`RestartError`].
    pub async fn kill_at(&self, path: &str) -> Result<(), RestartError> {
        if let Some((kind, id)) = path.split_once('/') {
            if kind == ChannelSupervisor::PATH {
                self.channels.at(path).ok_or(RestartError::NotFound)?.actor().kill();
                return Ok(());
            }
            let number = id.parse::<i64>().map_err(|_| RestartError::NotFound)?;
            if kind == UserProtocol::KIND {
                return kill(&self.users.directory, UserId(number));
            }
            if kind == TicketProtocol::KIND {
                return kill(&self.tickets.directory, TicketId(number));
            }
            if kind == ProjectProtocol::KIND {
                return kill(&self.projects.directory, ProjectId(number));
            }
        }
        let (call, answer) = Call::new(path.to_owned());
        self.root.cast(HubMessage::Kill(call));
        outcome(answer.within(ROOT_ANSWER_MAX).await)
    }

    /// Makes the actor at `path` panic over its next message.
    pub fn panic_at(&self, path: &str) {
        if path == SchedulerPlace::PATH {
            return self.sends.cast(SchedulerMessage::Panic);
        }
        if let Some(channel) = self.channels.at(path) {
            return channel.cast(ChannelMessage::Panic);
        }
        let Some((kind, id)) = path.split_once('/') else { return };
        let number = id.parse().unwrap_or_default();
        // The supervisors of shards, whose actors' ids have that remainder.
        panic_above(&self.users.directory, UserId(number), kind);
        panic_above(&self.tickets.directory, TicketId(number), kind);
        panic_above(&self.projects.directory, ProjectId(number), kind);
        if kind == UserProtocol::KIND
            && let Some(actor) = self.users.directory.live.get(&UserId(number))
        {
            actor.cast(UserMessage::Panic);
        }
        if kind == TicketProtocol::KIND
            && let Some(actor) = self.tickets.directory.live.get(&TicketId(number))
        {
            actor.cast(crate::ticket::TicketMessage::Panic);
        }
        if kind == ProjectProtocol::KIND
            && let Some(actor) = self.projects.directory.live.get(&ProjectId(number))
        {
            actor.cast(ProjectMessage::Panic);
        }
    }
}

fn panic_above<P: Protocol>(directory: &Directory<P>, id: P::Id, kind: &str) {
    if kind.strip_suffix('s') == Some(P::KIND)
        && let Some(Parent(supervisor)) = directory.parent(id)
    {
        supervisor.cast(SupervisorMessage::Panic);
    }
}

fn kill<P: Protocol>(directory: &Directory<P>, id: P::Id) -> Result<(), RestartError> {
    let actor = directory.live.get(&id).ok_or(RestartError::NotFound)?;
    actor.actor().kill();
    Ok(())
}
