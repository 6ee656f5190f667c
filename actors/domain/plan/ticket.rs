//! What a decision about a ticket writes.

use super::super::idempotency::Creates;
use super::super::ids::TicketId;
use super::super::ticket::{Decision, Ticket};
use super::super::words::Folded;
use super::{Committed, KnownTicket, NewTicket, Plan, Rejection, SearchText};

impl<'a> Plan<'a> {
    /// Plans a decision: the ticket's state, its history entry, and its announcement.
    ///
    /// # Errors
    /// [`Rejection::Conflict`] if the ticket is not at the version before the decision's, or if the
    /// project of a new one has been opened or closed since it was decided;
    /// [`Rejection::NotFound`] if a recipient or a new ticket's project does not exist;
    /// [`Rejection::Used`] if its idempotency key was used before.
    pub fn commit(&mut self, decision: &'a Decision) -> Result<Committed, Rejection> {
        self.admit(decision.key.as_ref(), Creates::Ticket)?;
        let before = self.facts.tickets.get(&decision.ticket.id);
        check_version(before, &decision.ticket)?;
        let is_new = before.is_none();
        let announcement = decision.announcement.as_ref();
        let audience = announcement.map(|one| self.audience(one)).transpose()?;
        let mut ticket = decision.ticket.clone();
        if is_new {
            (ticket.key, ticket.project_name) = self.number(&ticket, decision)?;
        } else if decision.moves_on() {
            self.move_on(ticket.id);
        }
        self.put_state(decision);
        self.put_search_text(decision, &ticket.key, is_new);
        self.use_key(decision.key.as_ref(), Creates::Ticket, ticket.id.0, ticket.updated_at);
        let announced = match announcement.zip(audience) {
            None => None,
            Some((announcement, audience)) => {
                let mut message = announcement.message.clone();
                if let (true, Some(shown)) = (is_new, &mut message.ticket) {
                    shown.key.clone_from(&ticket.key);
                    shown.project_name.clone_from(&ticket.project_name);
                }
                self.tell_audience(announcement, audience, message, Some(ticket.project))?
            }
        };
        Ok(Committed { ticket, announced })
    }

    /// Gives a new ticket its number, and so its key; and the name of its project.
    fn number(
        &mut self,
        ticket: &Ticket,
        decision: &Decision,
    ) -> Result<(String, String), Rejection> {
        let project = self.facts.projects.get_mut(&ticket.project).ok_or(Rejection::NotFound)?;
        if project.is_open != decision.of_open_project {
            return Err(Rejection::Conflict);
        }
        project.last_number += 1;
        let number = project.last_number;
        let Ticket { id, project: of, created_by, created_at, .. } = *ticket;
        self.rows.new_tickets.push(NewTicket { id, project: of, number, created_by, created_at });
        self.rows.numbers.insert(of, number);
        Ok((format!("{}-{number}", project.key), project.name.clone()))
    }

    /// Cancels deliveries that wait to be seen and are obsolete now. The announcement of this
    /// decision is planned later, and so is not affected.
    fn move_on(&mut self, id: TicketId) {
        let known = self.facts.tickets.get_mut(&id);
        if known.is_some_and(|known| std::mem::take(&mut known.has_steps)) {
            self.rows.moved_on.push(id);
        }
        for planned in self.steps.remove(&id).unwrap_or_default() {
            for delivery in self.rows.deliveries.get_mut(planned).into_iter().flatten() {
                delivery.call_off();
            }
        }
    }

    fn put_state(&mut self, decision: &'a Decision) {
        let ticket = &decision.ticket;
        self.rows.tickets.insert(ticket.id, ticket);
        if decision.deleted {
            self.rows.deleted.push((ticket.id, ticket.updated_at));
        }
        let known = self.facts.tickets.entry(ticket.id).or_default();
        known.version = ticket.version;
        known.is_deleted = decision.deleted;
        if known.assigned_to != ticket.assigned_to {
            known.assigned_to.clone_from(&ticket.assigned_to);
            self.rows.assignees.insert(ticket.id, &ticket.assigned_to);
        }
        self.rows.history.push((ticket.id, &decision.entry));
    }

    /// Most decisions are steps of the workflow, which leave the text as it is.
    fn put_search_text(&mut self, decision: &Decision, key: &str, is_new: bool) {
        let Ticket { id, title, description, .. } = &decision.ticket;
        let text = match (decision.deleted, decision.changes_text()) {
            (true, _) => None,
            (false, true) => Some(search_text(key, title, description)),
            (false, false) => return,
        };
        let row = self.rows.search.entry(*id).or_insert(SearchText { is_new, text: None });
        row.text = text;
    }
}

/// The search words of a ticket.
#[must_use]
pub fn search_text(key: &str, title: &str, description: &str) -> Folded {
    Folded::of(&format!("{key}\n{title}\n{description}"))
}

fn check_version(before: Option<&KnownTicket>, ticket: &Ticket) -> Result<(), Rejection> {
    let fits = match before {
        None => ticket.version == 1,
        Some(known) => !known.is_deleted && known.version == ticket.version - 1,
    };
    if fits { Ok(()) } else { Err(Rejection::Conflict) }
}
