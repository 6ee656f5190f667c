//! Which facts a group of commands depends on.

use std::collections::BTreeSet;

use super::super::comment::NewComment;
use super::super::idempotency::IdempotencyKey;
use super::super::ids::{ProjectId, TicketId, UserId};
use super::super::notification::Announcement;
use super::super::routing::{Channel, Channels, Group};
use super::super::ticket::Decision;
use super::Members;

/// What a store has to read before it plans. Recipients come last: they depend on the members of
/// groups.
#[derive(Debug, Default)]
pub struct Needs<'a> {
    calls_webhooks: bool,
    /// The tickets that are decided or commented on.
    pub tickets: BTreeSet<TicketId>,
    /// Those of them that are new: only a mistake would find one.
    pub new_tickets: BTreeSet<TicketId>,
    /// The projects in which a ticket is new.
    pub projects: BTreeSet<ProjectId>,
    /// The projects whose webhooks may be called.
    pub hooks_of: BTreeSet<ProjectId>,
    /// Whether an announcement is for a group.
    pub members: bool,
    /// The events whose policies are needed.
    pub events: BTreeSet<&'a str>,
    /// The idempotency keys whose first uses are needed.
    pub keys: Vec<&'a IdempotencyKey>,
    announcements: Vec<&'a Announcement>,
}

impl<'a> Needs<'a> {
    /// No need yet; these channels are switched on.
    #[must_use]
    pub fn new(channels: Channels) -> Self {
        Self { calls_webhooks: channels.contains(Channel::Webhook), ..Self::default() }
    }

    /// Adds the needs of a decision.
    pub fn decision(&mut self, decision: &'a Decision) {
        let ticket = &decision.ticket;
        self.keys.extend(&decision.key);
        self.tickets.insert(ticket.id);
        if ticket.version == 1 {
            self.new_tickets.insert(ticket.id);
            self.projects.insert(ticket.project);
        }
        if let Some(announcement) = &decision.announcement {
            self.announcement(announcement);
            if self.calls_webhooks {
                self.hooks_of.insert(ticket.project);
            }
        }
    }

    /// Adds the needs of a comment.
    pub fn comment(&mut self, new: &'a NewComment) {
        self.keys.extend(&new.key);
        self.tickets.insert(new.comment.ticket);
        if let Some(announcement) = &new.announcement {
            self.announcement(announcement);
        }
    }

    /// Adds the needs of an announcement.
    pub fn announcement(&mut self, announcement: &'a Announcement) {
        self.members |= announcement.audience.group.is_some();
        self.events.insert(announcement.message.event.as_str());
        self.announcements.push(announcement);
    }

    /// Whether an announcement is for this group.
    #[must_use]
    pub fn concern(&self, group: Group) -> bool {
        self.announcements.iter().any(|one| one.audience.group == Some(group))
    }

    /// The recipients of the announcements, each once, ordered by id.
    #[must_use]
    pub fn recipients(&self, members: &Members) -> BTreeSet<UserId> {
        let mut all = BTreeSet::new();
        for one in &self.announcements {
            all.extend(one.audience.recipients(members.of(one.audience.group)));
        }
        all
    }
}
