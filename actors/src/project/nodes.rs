//! The presence stream over several nodes: what this project's actors on other nodes report, and
//! what this one reports to them.

use std::sync::Arc;

use ractor::ActorRef;

use super::{ProjectEntity, ProjectState};
use crate::messages::ProjectMessage;
use crate::vitals::Handle;
use bellpull_domain::ids::{ProjectId, UserId};
use bellpull_domain::presence::{
    HEARTBEAT_EVERY, Heard, NodeKey, Peers, PresenceNews, PresenceReport, Roster,
};
use bellpull_port::{Broker, BrokerMessage};

/// The project's actors on other nodes.
#[derive(Debug)]
pub(super) struct Nodes {
    project: ProjectId,
    peers: Peers,
    broker: Arc<dyn Broker>,
}

impl Nodes {
    /// `None` if there are no other nodes.
    pub(super) fn of(entity: &ProjectEntity, project: ProjectId) -> Option<Self> {
        if !entity.broker.has_peers() {
            return None;
        }
        let base = u64::try_from(entity.clock.now().as_microsecond()).unwrap_or_default();
        let peers = Peers::new(NodeKey::clone(&entity.node), base);
        Some(Self { project, peers, broker: Arc::clone(&entity.broker) })
    }

    /// Asks the other nodes for their sessions.
    pub(super) fn begin(&self) {
        self.publish(&self.peers.begin());
    }

    /// How many others have reported sessions.
    pub(super) fn count(&self) -> usize {
        self.peers.count()
    }

    fn publish(&self, all: &[PresenceNews]) {
        for news in all {
            self.broker.publish(BrokerMessage::Presence { project: self.project, news });
        }
    }
}

impl ProjectState {
    /// Publishes a user's own sessions, if they have changed.
    pub(super) fn report(&mut self, user: UserId) {
        let Some(nodes) = &mut self.nodes else { return };
        if let Some(news) = nodes.peers.changed(user, &self.roster) {
            nodes.publish(&[news]);
        }
    }

    /// A message of another node.
    pub(super) async fn heard(&mut self, news: PresenceNews) {
        self.learn_tickets(&news).await;
        let react = |peers: &mut Peers, roster: &mut Roster| peers.receive(news, roster);
        self.apply(react);
    }

    /// A heartbeat is due.
    pub(super) fn beat(&mut self, myself: &ActorRef<ProjectMessage>) {
        self.apply(Peers::beat);
        self.arm_heartbeat(myself);
    }

    fn apply(&mut self, react: impl FnOnce(&mut Peers, &mut Roster) -> Heard) {
        let Some(nodes) = &mut self.nodes else { return };
        let Heard { events, publish } = react(&mut nodes.peers, &mut self.roster);
        nodes.publish(&publish);
        self.announce(events);
    }

    /// A ticket is named to those who may read it: the reporting node has checked that its user
    /// may, this one checks its own watchers.
    async fn learn_tickets(&mut self, news: &PresenceNews) {
        let held = match &news.report {
            PresenceReport::Changed { held: Some(held), .. } => std::slice::from_ref(held),
            PresenceReport::All { held, .. } => held,
            PresenceReport::Changed { held: None, .. }
            | PresenceReport::Alive
            | PresenceReport::Asked { .. } => return,
        };
        for one in held {
            let viewing = one.viewing.map(|(_, ticket)| ticket);
            for ticket in viewing.into_iter().chain(one.typing.iter().copied()) {
                self.sight.learn_of(ticket, &self.roster).await;
            }
        }
    }

    /// One timer: the next is armed when it fires.
    pub(super) fn arm_heartbeat(&self, myself: &ActorRef<ProjectMessage>) {
        let own = Handle::new(myself.clone(), Arc::clone(&self.vitals));
        tokio::spawn(async move {
            tokio::time::sleep(HEARTBEAT_EVERY).await;
            own.cast(ProjectMessage::PresenceDue);
        });
    }
}
