//! The broker of a single node, and the subscriber that passes other nodes' messages to this node's
//! actors.

use std::sync::{Arc, Weak};

use crate::directory::{Projects, Users};
use bellpull_port::broker::{Broker, BrokerMessage, BrokerState, Subscriber};
use bellpull_port::outlet::Revoked;

/// The broker of a single node: it has no peers.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalBroker;

impl Broker for LocalBroker {
    fn has_peers(&self) -> bool {
        false
    }

    fn state(&self) -> BrokerState {
        BrokerState::Off
    }

    fn publish(&self, _: BrokerMessage<'_>) {}

    fn subscribe(&self, _: Weak<dyn Subscriber>) {}
}

/// Passes other nodes' messages to this node's actors. The hub owns it.
#[derive(Debug)]
pub(crate) struct ActorSubscriber {
    users: Users,
    projects: Projects,
}

impl ActorSubscriber {
    pub(crate) fn subscribe(broker: &dyn Broker, users: &Users, projects: &Projects) -> Arc<Self> {
        let subscriber = Arc::new(Self { users: users.clone(), projects: projects.clone() });
        let weak: Weak<Self> = Arc::downgrade(&subscriber);
        broker.subscribe(weak);
        subscriber
    }
}

impl Subscriber for ActorSubscriber {
    fn receive(&self, message: BrokerMessage<'_>) {
        match message {
            BrokerMessage::Changed { user, change } => self.users.tell_peers(user, change.clone()),
            BrokerMessage::Moved(heads) => self.users.tell_heads_own(heads),
            BrokerMessage::Announced(announced) => self.users.tell_all_peers(announced),
            BrokerMessage::ProjectNews { project, news } => {
                self.projects.tell_own(project, || news.clone());
            }
            BrokerMessage::Presence { project, news } => {
                self.projects.tell_presence(project, || news.clone());
            }
            BrokerMessage::MemberRemoved { project, user } => {
                self.projects.withdraw_own(project, user);
            }
            // Who reads accounts tells which of them were opened with other rights.
            BrokerMessage::SessionsEnded { why: Revoked::Role, .. } => {}
            BrokerMessage::SessionsEnded { user, login, why } => {
                self.users.end_own_sessions(user, login, why);
            }
            BrokerMessage::ChannelsDue(which) => self.users.channels.nudge(which),
            BrokerMessage::Compare => self.users.compare_own(),
            BrokerMessage::Missed => {
                self.users.compare_own();
                self.projects.begin_anew_own();
            }
            // Actors cache none of these.
            BrokerMessage::LoginEnded { .. }
            | BrokerMessage::AccountChanged(_)
            | BrokerMessage::TemplatesChanged => {}
        }
    }
}
