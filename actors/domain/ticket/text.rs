//! Texts about a ticket's events.

use super::super::event::Event;
use super::super::routing::Concern;
use super::{Priority, Ticket, announced_actions};

/// What of a ticket its announcements name.
pub(super) struct Subject<'a> {
    key: &'a str,
    title: &'a str,
    priority: Priority,
}

impl<'a> From<&'a Ticket> for Subject<'a> {
    fn from(ticket: &'a Ticket) -> Self {
        Self { key: &ticket.key, title: &ticket.title, priority: ticket.priority }
    }
}

/// The body of an announcement about `ticket`, caused by the user `who`.
///
/// `extra` is the reason of a rejection; empty if there is none.
pub(super) fn body(event: &Event, subject: &Subject<'_>, who: &str, extra: &str) -> String {
    let Subject { key, title, priority } = subject;
    match event {
        Event::TicketCreated => {
            format!("New {} priority ticket created: {title}", priority.display())
        }
        Event::TicketOpened => format!("Your ticket {key} was opened by {who}: {title}"),
        Event::TicketAssigned => format!("You were assigned to {key}: {title}"),
        Event::WorkStarted => format!("{who} started work on {key}: {title}"),
        Event::WorkFinished => format!("{who} finished work on {key}: {title}"),
        Event::TicketApproved => format!("{who} approved {key}: {title}"),
        Event::TicketRejected if extra.is_empty() => format!("{who} rejected {key}: {title}"),
        Event::TicketRejected => format!("{who} rejected {key}: {title} — {extra}"),
        Event::Mentioned => format!("{who} mentioned you on {key}: {extra}"),
        Event::UserRegistration
        | Event::PasswordReset
        | Event::EmailConfirmation
        | Event::Other(_) => (*title).to_owned(),
    }
}

/// The body of an announcement about an example of a ticket, for previews: John raised it, Ada
/// works on it. `None` for events that are no ticket's.
#[must_use]
pub fn example(event: &Event) -> Option<String> {
    let subject = Subject { key: "WEB-5", title: "Slow & late", priority: Priority::High };
    let is_ticket =
        *event == Event::Mentioned || announced_actions().any(|(_, announced)| announced == event);
    if !is_ticket {
        return None;
    }
    let who = if event.concerns().contains(&Concern::Creator) { "Ada" } else { "John" };
    let extra = if *event == Event::TicketRejected {
        "still so"
    } else if *event == Event::Mentioned {
        "@ada, any news?"
    } else {
        ""
    };
    Some(body(event, &subject, who, extra))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_a_ticket_has_an_example() {
        for (event, wanted) in [
            (Event::TicketCreated, "New High priority ticket created: Slow & late"),
            (Event::TicketOpened, "Your ticket WEB-5 was opened by Ada: Slow & late"),
            (Event::TicketRejected, "John rejected WEB-5: Slow & late — still so"),
            (Event::Mentioned, "John mentioned you on WEB-5: @ada, any news?"),
        ] {
            assert_eq!(example(&event).as_deref(), Some(wanted));
        }
        for (action, event) in announced_actions() {
            assert!(example(event).is_some_and(|text| text.contains("Slow & late")), "{action}");
        }
        assert_eq!(example(&Event::UserRegistration), None);
    }
}
