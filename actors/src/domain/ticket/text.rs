//! Texts about a ticket's events.

use super::super::event::Event;
use super::Ticket;

/// The body of an announcement about `ticket`, caused by the user `who`.
///
/// `extra` is the reason of a rejection; empty if there is none.
pub(super) fn body(event: &Event, ticket: &Ticket, who: &str, extra: &str) -> String {
    let Ticket { key, title, priority, .. } = ticket;
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
        | Event::Other(_) => title.clone(),
    }
}
