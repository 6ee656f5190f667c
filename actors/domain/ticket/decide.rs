//! The rules of the workflow.

use jiff::Timestamp;
use serde_json::Map;

use super::super::event::Event;
use super::super::ids::{TicketId, UserId};
use super::super::notification::{Announcement, Message, TicketSnapshot};
use super::super::routing::{Audience, Concern, Group};
use super::super::user::{Role, User};
use super::text::{Subject, body};
use super::{
    Caller, Command, Creator, Decision, Edit, HistoryEntry, Membership, NewTicket, Project,
    Refusal, Right, Status, Step, Ticket, is_visible,
};

/// Creates a ticket. The store assigns its number, and so its key, when it commits.
///
/// # Errors
/// [`Refusal::NotFound`] if the caller is neither a member of the project nor an admin.
pub fn create(
    id: TicketId,
    project: &Project,
    new: NewTicket,
    caller: &Caller,
    membership: Membership,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if membership == Membership::NonMember && !caller.role.is_admin() {
        return Err(Refusal::NotFound);
    }
    let ticket = Ticket {
        id,
        project: project.id,
        project_name: project.name.clone(),
        key: String::new(),
        title: new.title,
        description: new.description,
        priority: new.priority,
        category: new.category,
        status: Status::New,
        created_by: caller.id,
        created_by_name: caller.name.to_string(),
        assigned_to: Vec::new(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let audience = EventAudience::of(&Event::TicketCreated, &ticket);
    let announcement = Some(audience.announce(&ticket, "", caller, now));
    let entry = entry(&ticket, "create", None, caller, String::new(), now);
    let of_open_project = project.is_open;
    Ok(Decision { ticket, deleted: false, entry, announcement, of_open_project, key: None })
}

/// Decides the effect of a command of a caller that has seen this version of the ticket, if it says
/// so.
///
/// # Errors
/// As [`decide_with`]; `Stale` for another version, whatever the status allows by now.
pub fn decide_at(
    ticket: &Ticket,
    command: &Command,
    caller: &Caller,
    membership: Membership,
    creator: Creator,
    seen: Option<i64>,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let decision = decide_with(ticket, command, caller, membership, creator, now);
    let is_allowed = !matches!(
        decision,
        Err(Refusal::NotFound | Refusal::Forbidden { .. } | Refusal::Invalid { .. })
    );
    match seen {
        Some(expected) if is_allowed && expected != ticket.version => {
            Err(Refusal::Stale { expected, actual: ticket.version })
        }
        Some(_) | None => decision,
    }
}

/// Decides the effect of a command on a ticket whose creator is there.
///
/// # Errors
/// Every [`Refusal`]; `Stale` only if the command names a version.
pub fn decide(
    ticket: &Ticket,
    command: &Command,
    caller: &Caller,
    membership: Membership,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    decide_with(ticket, command, caller, membership, Creator::There, now)
}

/// Decides the effect of a command on a ticket. Rights are checked before the status. Where its
/// creator is gone, an admin judges the work: otherwise a finished ticket could only be deleted.
fn decide_with(
    ticket: &Ticket,
    command: &Command,
    caller: &Caller,
    membership: Membership,
    creator: Creator,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if !is_visible(ticket, caller, membership) {
        return Err(Refusal::NotFound);
    }
    let mut right = command.right();
    if right == Right::Creator && creator == Creator::Gone {
        right = Right::CreatorOrAdmin;
    }
    if !right.is_held(ticket, caller) {
        return Err(Refusal::Forbidden { action: command.name(), allowed: right.holder() });
    }
    let mut after = ticket.clone();
    after.version += 1;
    after.updated_at = now;
    let mut audience = None;
    if let Some(rule) = command.step().map(Step::rule) {
        if !rule.from.contains(&ticket.status) {
            return Err(Refusal::WrongStatus { action: rule.name, status: ticket.status });
        }
        after.status = rule.to;
        audience = Some(EventAudience::of(&rule.event, ticket));
    }
    let mut note = String::new();
    if let Command::Assign { developers } = command {
        let newly = assign(&mut after, developers)?;
        note = developers.iter().map(User::display_name).collect::<Vec<_>>().join(", ");
        // Developers who were assigned before are not notified again.
        audience = audience
            .filter(|_| !newly.is_empty())
            .map(|audience| EventAudience { users: newly, ..audience });
    } else if let Command::Reject { reason } = command {
        note.clone_from(reason);
    } else if let Command::Edit(edit) = command {
        note = apply(&mut after, edit)?;
    } else if let Command::Unassign { developer } = command {
        unassign(&mut after, developer)?;
        note = developer.display_name().to_owned();
    }
    let announcement = if let Command::Unassign { developer } = command {
        Some(unassigned(&after, developer, caller, now))
    } else {
        audience.map(|audience| audience.announce(&after, &note, caller, now))
    };
    let entry = entry(&after, command.name(), Some(ticket.status), caller, note, now);
    let deleted = *command == Command::Delete;
    let of_open_project = false;
    Ok(Decision { ticket: after, deleted, entry, announcement, of_open_project, key: None })
}

/// An event and its audience.
struct EventAudience {
    event: &'static Event,
    admins: bool,
    users: Vec<UserId>,
}

impl EventAudience {
    /// The event with the users that it concerns because of their relation to the ticket.
    fn of(event: &'static Event, ticket: &Ticket) -> Self {
        let (mut admins, mut users) = (false, Vec::new());
        for concern in event.concerns() {
            match concern {
                Concern::Admin => admins = true,
                Concern::Creator => users.push(ticket.created_by),
                Concern::Assigned => users.extend_from_slice(&ticket.assigned_to),
                // Not a relation to a ticket.
                Concern::SuperAdmin | Concern::Named | Concern::Chosen => {}
            }
        }
        Self { event, admins, users }
    }

    fn announce(
        self,
        after: &Ticket,
        extra: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Announcement {
        let Self { event, admins, users } = self;
        let audience = Audience { group: admins.then_some(Group::Admins), users, except: None };
        announce(after, event.clone(), audience, extra, caller, now)
    }
}

/// Assigns developers to the ticket. Returns those who were not assigned before.
fn assign(ticket: &mut Ticket, developers: &[User]) -> Result<Vec<UserId>, Refusal> {
    let invalid = |message: String| Refusal::Invalid { field: "developers", message };
    if developers.is_empty() {
        return Err(invalid("This list may not be empty.".to_owned()));
    }
    if let Some(user) = developers.iter().find(|user| user.role != Role::Developer) {
        return Err(invalid(format!("User {} is not a developer.", user.id)));
    }
    if let Some(user) = developers.iter().find(|user| !user.is_active) {
        return Err(invalid(format!("User {} is not active.", user.id)));
    }
    let ids: Vec<UserId> = developers.iter().map(|user| user.id).collect();
    let newly = ids.iter().copied().filter(|id| !ticket.assigned_to.contains(id)).collect();
    ticket.assigned_to = ids;
    Ok(newly)
}

/// Takes a developer off the ticket.
fn unassign(ticket: &mut Ticket, developer: &User) -> Result<(), Refusal> {
    if !ticket.assigned_to.contains(&developer.id) {
        let message = format!("User {} is not assigned to this ticket.", developer.id);
        return Err(Refusal::Invalid { field: "developer", message });
    }
    ticket.assigned_to.retain(|user| *user != developer.id);
    Ok(())
}

/// All whom the ticket concerns are told that a developer was taken off it: work that was under way
/// may need another one.
fn unassigned(after: &Ticket, developer: &User, caller: &Caller, now: Timestamp) -> Announcement {
    let mut users = after.assigned_to.clone();
    users.extend([after.created_by, developer.id]);
    let audience = Audience { group: Some(Group::Admins), users, except: None };
    let event = Event::from_name("ticket_unassigned");
    let mut announcement = announce(after, event, audience, "", caller, now);
    let (who, name) = (&caller.name, developer.display_name());
    let Ticket { key, title, .. } = after;
    "Ticket Unassigned".clone_into(&mut announcement.message.title);
    announcement.message.body = format!("{who} took {name} off {key}: {title}");
    announcement
}

/// The refusal of an assignment to developers who are not members of the ticket's project: what
/// they may see of it would end with the assignment.
#[must_use]
pub fn outsiders(developers: &[User], is_member: &[bool]) -> Option<Refusal> {
    let names: Vec<String> = developers
        .iter()
        .zip(is_member)
        .filter(|(_, is_member)| !**is_member)
        .map(|(user, _)| format!("{} ({})", user.id, user.username))
        .collect();
    if names.is_empty() {
        return None;
    }
    let message = format!("Not members of the ticket's project: {}.", names.join(", "));
    Some(Refusal::Invalid { field: "developers", message })
}

/// Changes the fields that the edit names; the note lists those that really changed.
fn apply(ticket: &mut Ticket, edit: &Edit) -> Result<String, Refusal> {
    let seen = ticket.version - 1;
    if let Some(expected) = edit.version
        && expected != seen
    {
        return Err(Refusal::Stale { expected, actual: seen });
    }
    let mut changed = Vec::new();
    if let Some(title) = edit.title.as_ref().filter(|title| **title != ticket.title) {
        ticket.title.clone_from(title);
        changed.push("title");
    }
    if let Some(text) = edit.description.as_ref().filter(|text| **text != ticket.description) {
        ticket.description.clone_from(text);
        changed.push("description");
    }
    if let Some(priority) = edit.priority.filter(|priority| *priority != ticket.priority) {
        ticket.priority = priority;
        changed.push("priority");
    }
    if let Some(category) = edit.category.filter(|category| *category != ticket.category) {
        ticket.category = category;
        changed.push("category");
    }
    Ok(changed.join(", "))
}

fn entry(
    after: &Ticket,
    action: &'static str,
    from: Option<Status>,
    caller: &Caller,
    note: String,
    at: Timestamp,
) -> HistoryEntry {
    let (by, by_name) = (caller.id, caller.name.to_string());
    HistoryEntry { version: after.version, action, from, to: after.status, by, by_name, note, at }
}

/// The announcement of a ticket's event; `extra` is the reason of a rejection, or a comment's text.
pub(crate) fn announce(
    after: &Ticket,
    event: Event,
    mut audience: Audience,
    extra: &str,
    caller: &Caller,
    now: Timestamp,
) -> Announcement {
    audience.except = Some(caller.id);
    let message = Message {
        kind: event.kind(),
        title: event.title().to_owned(),
        body: body(&event, &Subject::from(after), &caller.name, extra),
        action_url: format!("/tickets/{}/", after.id),
        metadata: Map::new(),
        ticket: Some(TicketSnapshot::from(after)),
        sender: Some(caller.id),
        priority: after.priority,
        created_at: now,
        event,
    };
    Announcement { channels: message.event.channels(), message, audience }
}
