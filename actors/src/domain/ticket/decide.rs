//! The rules of the workflow.

use jiff::Timestamp;
use serde_json::Map;

use super::super::event::Event;
use super::super::ids::{TicketId, UserId};
use super::super::notification::{Announcement, Kind, Message, TicketSnapshot};
use super::super::routing::{Audience, Group, channels};
use super::super::user::Role;
use super::text::body;
use super::{
    Caller, Command, Decision, Edit, HistoryEntry, Membership, NewTicket, Project, Refusal, Status,
    Ticket, is_visible,
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
    let told = event_of("create").map(|event| Told { event, admins: true, users: Vec::new() });
    let announcement = told.map(|told| told.announce(&ticket, "", caller, now));
    let entry = entry(&ticket, "create", None, caller, String::new(), now);
    Ok(Decision { ticket, deleted: false, entry, announcement })
}

/// Decides the effect of a command on a ticket. Rights are checked before the status.
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
    if !is_visible(ticket, caller, membership) {
        return Err(Refusal::NotFound);
    }
    check_right(ticket, command, caller)?;
    let mut after = ticket.clone();
    after.version += 1;
    after.updated_at = now;
    if let Some(status) = next_status(ticket.status, command)? {
        after.status = status;
    }
    let (told, note) = match command {
        Command::Edit(edit) => (None, apply(&mut after, edit)?),
        Command::Delete => (None, String::new()),
        Command::Assign { developers } => assign(&mut after, developers)?,
        Command::Reject { reason } => (told(ticket, command), reason.clone()),
        Command::Open | Command::StartWork | Command::FinishWork | Command::Approve => {
            (told(ticket, command), String::new())
        }
    };
    let announcement = told.map(|told| told.announce(&after, &note, caller, now));
    let entry = entry(&after, command.name(), Some(ticket.status), caller, note, now);
    let deleted = *command == Command::Delete;
    Ok(Decision { ticket: after, deleted, entry, announcement })
}

/// Whether the caller may command this at all, whatever the status.
fn check_right(ticket: &Ticket, command: &Command, caller: &Caller) -> Result<(), Refusal> {
    let is_admin = caller.role.is_admin();
    let is_creator = ticket.created_by == caller.id;
    let is_assigned = caller.role == Role::Developer && ticket.assigned_to.contains(&caller.id);
    let (allowed, who) = match command {
        Command::Open | Command::Assign { .. } => (is_admin, "an admin"),
        Command::StartWork | Command::FinishWork => (is_assigned, "an assigned developer"),
        Command::Approve | Command::Reject { .. } => (is_creator, "its creator"),
        Command::Edit(_) | Command::Delete => (is_admin || is_creator, "its creator or an admin"),
    };
    if allowed { Ok(()) } else { Err(Refusal::Forbidden { action: command.name(), allowed: who }) }
}

/// The status that the command leads to, or `None` where it does not move the ticket.
fn next_status(from: Status, command: &Command) -> Result<Option<Status>, Refusal> {
    use Status::{Approved, Assigned, Finished, InProgress, New, Opened, Rejected};
    let (sources, to): (&[Status], Status) = match command {
        Command::Open => (&[New], Opened),
        Command::Assign { .. } => (&[New, Opened, Assigned, InProgress, Rejected], Assigned),
        Command::StartWork => (&[Assigned, Rejected], InProgress),
        Command::FinishWork => (&[InProgress], Finished),
        Command::Approve => (&[Finished], Approved),
        Command::Reject { .. } => (&[Finished], Rejected),
        Command::Edit(_) | Command::Delete => return Ok(None),
    };
    if sources.contains(&from) {
        Ok(Some(to))
    } else {
        Err(Refusal::WrongStatus { action: command.name(), status: from })
    }
}

/// An event and its audience.
struct Told {
    event: Event,
    admins: bool,
    users: Vec<UserId>,
}

impl Told {
    fn announce(
        self,
        after: &Ticket,
        extra: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Announcement {
        let Self { event, admins, users } = self;
        let audience = Audience { group: admins.then_some(Group::Admins), users, except: None };
        announce(after, event, audience, extra, caller, now)
    }
}

/// The event of each history action that is announced: what `create` and the commands mean.
pub const ANNOUNCED_ACTIONS: [(&str, Event); 7] = [
    ("create", Event::TicketCreated),
    ("open", Event::TicketOpened),
    ("assign", Event::TicketAssigned),
    ("start_work", Event::WorkStarted),
    ("finish_work", Event::WorkFinished),
    ("approve", Event::TicketApproved),
    ("reject", Event::TicketRejected),
];

fn event_of(action: &str) -> Option<Event> {
    let found = ANNOUNCED_ACTIONS.into_iter().find(|(name, _)| *name == action);
    found.map(|(_, event)| event)
}

/// The audience of a transition (of every one but `assign`, which has its own).
fn told(ticket: &Ticket, command: &Command) -> Option<Told> {
    let creator = vec![ticket.created_by];
    let assigned = ticket.assigned_to.clone();
    let (admins, users) = match command {
        Command::Open | Command::StartWork => (false, creator),
        Command::FinishWork => (true, creator),
        Command::Approve | Command::Reject { .. } => (true, assigned),
        Command::Assign { .. } | Command::Edit(_) | Command::Delete => return None,
    };
    event_of(command.name()).map(|event| Told { event, admins, users })
}

/// Assigns developers to the ticket; those who were not assigned before are notified.
fn assign(
    ticket: &mut Ticket,
    developers: &[super::super::user::User],
) -> Result<(Option<Told>, String), Refusal> {
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
    let newly: Vec<UserId> =
        ids.iter().copied().filter(|id| !ticket.assigned_to.contains(id)).collect();
    let names: Vec<&str> = developers.iter().map(|user| user.display_name()).collect();
    ticket.assigned_to = ids;
    let event = event_of("assign").filter(|_| !newly.is_empty());
    let told = event.map(|event| Told { event, admins: false, users: newly });
    Ok((told, names.join(", ")))
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
pub(in crate::domain) fn announce(
    after: &Ticket,
    event: Event,
    mut audience: Audience,
    extra: &str,
    caller: &Caller,
    now: Timestamp,
) -> Announcement {
    audience.except = Some(caller.id);
    let message = Message {
        kind: Kind::of(&event),
        title: event.title().to_owned(),
        body: body(&event, after, &caller.name, extra),
        action_url: format!("/tickets/{}/", after.id),
        metadata: Map::new(),
        ticket: Some(TicketSnapshot::from(after)),
        sender: Some(caller.id),
        priority: after.priority,
        created_at: now,
        event,
    };
    Announcement { channels: channels(&message.event), message, audience }
}
