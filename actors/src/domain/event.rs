//! The hub's events: name, title and text of each.

use std::fmt;

/// Why a notification was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A ticket was raised.
    TicketCreated,
    /// An admin took note of it.
    TicketOpened,
    /// Developers were put on it.
    TicketAssigned,
    /// One of them began.
    WorkStarted,
    /// One of them is done.
    WorkFinished,
    /// Its creator is content.
    TicketApproved,
    /// Its creator is not.
    TicketRejected,
    /// A user was mentioned in a comment.
    Mentioned,
    /// A user registered.
    UserRegistration,
    /// A new password was requested; sent by e-mail only.
    PasswordReset,
    /// An address must be confirmed; sent by e-mail only.
    EmailConfirmation,
    /// A name that a sender chose (1 to 64 characters; the edge checks it).
    Other(Box<str>),
}

impl Event {
    /// The hub's own, in the order in which they are shown.
    pub const OWN: [Self; 9] = [
        Self::TicketCreated,
        Self::TicketOpened,
        Self::TicketAssigned,
        Self::WorkStarted,
        Self::WorkFinished,
        Self::TicketApproved,
        Self::TicketRejected,
        Self::Mentioned,
        Self::UserRegistration,
    ];

    /// The hub's own that concern one account and are only sent by mail: no user has preferences
    /// for them, and they are in no inbox.
    pub const OF_ACCOUNTS: [Self; 2] = [Self::PasswordReset, Self::EmailConfirmation];

    /// The event's name in rows and JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::TicketCreated => "ticket_created",
            Self::TicketOpened => "ticket_opened",
            Self::TicketAssigned => "ticket_assigned",
            Self::WorkStarted => "work_started",
            Self::WorkFinished => "work_finished",
            Self::TicketApproved => "ticket_approved",
            Self::TicketRejected => "ticket_rejected",
            Self::Mentioned => "mentioned",
            Self::UserRegistration => "user_registration",
            Self::PasswordReset => "password_reset",
            Self::EmailConfirmation => "email_confirmation",
            Self::Other(name) => name,
        }
    }

    /// The event with that name; never fails, because an unknown name is a sender's own.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "ticket_created" => Self::TicketCreated,
            "ticket_opened" => Self::TicketOpened,
            "ticket_assigned" => Self::TicketAssigned,
            "work_started" => Self::WorkStarted,
            "work_finished" => Self::WorkFinished,
            "ticket_approved" => Self::TicketApproved,
            "ticket_rejected" => Self::TicketRejected,
            "mentioned" => Self::Mentioned,
            "user_registration" => Self::UserRegistration,
            "password_reset" => Self::PasswordReset,
            "email_confirmation" => Self::EmailConfirmation,
            other => Self::Other(other.into()),
        }
    }

    /// Whether only the hub may send it: clients trust its statements about tickets and users.
    #[must_use]
    pub fn is_the_hubs(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// The title of a notification of this event; empty for a sender's own, which brings its own.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::TicketCreated => "New Ticket Created",
            Self::TicketOpened => "Ticket Opened",
            Self::TicketAssigned => "Ticket Assigned",
            Self::WorkStarted => "Work Started",
            Self::WorkFinished => "Work Finished",
            Self::TicketApproved => "Ticket Approved",
            Self::TicketRejected => "Ticket Rejected",
            Self::Mentioned => "You Were Mentioned",
            Self::UserRegistration => "New User Registration",
            Self::PasswordReset => "Choose a New Password",
            Self::EmailConfirmation => "Confirm Your E-mail Address",
            Self::Other(_) => "",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_its_name() {
        for event in Event::OWN.into_iter().chain(Event::OF_ACCOUNTS) {
            assert_eq!(Event::from_name(event.as_str()), event);
            assert!(!event.title().is_empty(), "{event} has a title");
            assert!(event.is_the_hubs(), "{event}");
        }
        let own = Event::from_name("approval");
        assert_eq!((own.as_str(), own.is_the_hubs()), ("approval", false));
    }
}
