//! Which tickets a presence stream may name to a watcher: those that the watcher may read.
//!
//! A ticket is read from the store when a user begins to view it or to type on it; its users stay
//! cached while it is on the roster.

use std::collections::HashMap;
use std::sync::Arc;

use bellpull_domain::ids::{ProjectId, TicketId};
use bellpull_domain::presence::Roster;
use bellpull_domain::stream::{Present, StreamEvent, TicketNews};
use bellpull_domain::ticket::{Caller, Membership, Stakes};
use bellpull_port::TicketStore;
use bellpull_port::in_time;

/// How many tickets are cached before those are dropped that are not on the roster.
const KNOWN_MAX: usize = 1_024;

/// The tickets of one project that are on its roster.
#[derive(Debug)]
pub(super) struct Sight {
    project: ProjectId,
    store: Arc<dyn TicketStore>,
    known: HashMap<TicketId, Stakes>,
}

/// The form of an event that a watcher is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// All of it.
    Whole,
    /// It, without its ticket.
    WithoutTicket,
    /// Nothing.
    Nothing,
}

impl Sight {
    pub(super) fn new(project: ProjectId, store: Arc<dyn TicketStore>) -> Self {
        Self { project, store, known: HashMap::new() }
    }

    /// Whether the caller may read the ticket, and so report to view it. One that cannot be read
    /// from the store now counts as none.
    pub(super) async fn may_name(
        &mut self,
        caller: &Caller,
        ticket: TicketId,
        roster: &Roster,
    ) -> bool {
        self.learn_of(ticket, roster).await;
        self.is_seen(caller, ticket)
    }

    /// Reads the users of a ticket of this project, if they are not cached.
    pub(super) async fn learn_of(&mut self, ticket: TicketId, roster: &Roster) {
        if self.known.contains_key(&ticket) {
            return;
        }
        let Ok(Some(found)) = in_time(self.store.ticket(ticket)).await else { return };
        if found.project != self.project {
            return;
        }
        if self.known.len() >= KNOWN_MAX {
            let named = roster.tickets();
            self.known.retain(|known, _| named.contains(known));
        }
        self.known.insert(ticket, found.stakes());
    }

    /// Updates a ticket's users. Watchers who have been sent its id continue to be: they would
    /// otherwise keep its last state.
    pub(super) fn learn(&mut self, news: &TicketNews) {
        let ticket = match &news.content.event {
            StreamEvent::Ticket { line, .. } => line.id,
            StreamEvent::Comment(comment) => comment.ticket,
            StreamEvent::Joined(_)
            | StreamEvent::Left(_)
            | StreamEvent::Viewing { .. }
            | StreamEvent::Typing { .. } => return,
        };
        if let Some(known) = self.known.get_mut(&ticket) {
            let new =
                news.stakes.assigned_to.iter().filter(|user| !known.assigned_to.contains(user));
            let new: Vec<_> = new.copied().collect();
            known.assigned_to.extend(new);
        }
    }

    /// It was deleted: from now on it is named to no watcher.
    pub(super) fn forget(&mut self, ticket: TicketId) {
        self.known.remove(&ticket);
    }

    /// How much of an event a watcher is sent.
    pub(super) fn shown(&self, caller: &Caller, event: &StreamEvent) -> Shown {
        let seen = |ticket: &TicketId| self.is_seen(caller, *ticket);
        match event {
            StreamEvent::Viewing { was, ticket, .. } => {
                match (was.as_ref().filter(|was| seen(was)), ticket.as_ref()) {
                    (_, Some(ticket)) if seen(ticket) => Shown::Whole,
                    (None, _) => Shown::Nothing,
                    (Some(_), None) => Shown::Whole,
                    (Some(_), Some(_)) => Shown::WithoutTicket,
                }
            }
            StreamEvent::Typing { ticket, .. } if !seen(ticket) => Shown::Nothing,
            StreamEvent::Typing { .. }
            | StreamEvent::Joined(_)
            | StreamEvent::Left(_)
            | StreamEvent::Ticket { .. }
            | StreamEvent::Comment(_) => Shown::Whole,
        }
    }

    /// All present users, as a watcher sees them.
    pub(super) fn present(&self, caller: &Caller, roster: &Roster) -> Vec<Present> {
        let mut all = roster.present();
        for one in &mut all {
            one.viewing = one.viewing.filter(|ticket| self.is_seen(caller, *ticket));
            one.typing.retain(|ticket| self.is_seen(caller, *ticket));
        }
        all
    }

    /// For cached tickets; every watcher is a member.
    fn is_seen(&self, caller: &Caller, ticket: TicketId) -> bool {
        let stakes = self.known.get(&ticket);
        stakes.is_some_and(|stakes| stakes.are_visible(caller, Membership::Member))
    }
}
