//! The facts about a group's tickets, projects and recipients that are read before planning.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::escalation::Escalation;
use super::super::event::Event;
use super::super::idempotency::FirstUse;
use super::super::ids::{ProjectId, TicketId, UserId};
use super::super::routing::Group;
use super::{Hook, Recipient};

/// The facts that were read, updated while commands are planned: the second command about a ticket
/// sees the state that the first has left.
#[derive(Debug, Default)]
pub struct Facts {
    /// Those that exist, the deleted ones too.
    pub tickets: HashMap<TicketId, KnownTicket>,
    /// The projects of new tickets.
    pub projects: HashMap<ProjectId, KnownProject>,
    /// The members of the groups, where an announcement is for one.
    pub members: Members,
    /// The projects' webhooks.
    pub hooks: HashMap<ProjectId, Vec<Hook>>,
    /// The recipients; users who do not exist are left out.
    pub recipients: BTreeMap<UserId, Recipient>,
    /// The escalation policies of the events, by the events' names.
    pub escalations: HashMap<String, Arc<Escalation>>,
    /// The first uses of the requests' idempotency keys, by owner and key.
    pub keys: HashMap<(UserId, String), FirstUse>,
}

/// A ticket that exists.
#[derive(Debug, Clone, Default)]
pub struct KnownTicket {
    /// Its version.
    pub version: i64,
    /// Whether it is deleted.
    pub is_deleted: bool,
    /// The developers on it, in their order.
    pub assigned_to: Vec<UserId>,
    /// Whether stored deliveries wait that are cancelled when it moves on.
    pub has_steps: bool,
}

/// A project in which tickets are numbered.
#[derive(Debug, Clone)]
pub struct KnownProject {
    /// The prefix of its tickets' keys.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Whether every user counts as a member.
    pub is_open: bool,
    /// The last ticket number.
    pub last_number: i64,
}

/// The active users of the groups that can be notified.
#[derive(Debug, Default)]
pub struct Members {
    /// Admins and super admins.
    pub admins: Vec<UserId>,
    /// Super admins alone.
    pub super_admins: Vec<UserId>,
}

impl Members {
    /// The group's; none for no group.
    #[must_use]
    pub fn of(&self, group: Option<Group>) -> &[UserId] {
        match group {
            None => &[],
            Some(Group::Admins) => &self.admins,
            Some(Group::SuperAdmins) => &self.super_admins,
        }
    }
}

impl Facts {
    /// The webhooks of a project that subscribe to an event.
    pub(super) fn called<'f>(
        &'f self,
        project: Option<ProjectId>,
        event: &'f Event,
    ) -> impl Iterator<Item = &'f Hook> {
        let hooks = project.and_then(|project| self.hooks.get(&project));
        hooks.into_iter().flatten().filter(|hook| hook.hears(event))
    }
}
