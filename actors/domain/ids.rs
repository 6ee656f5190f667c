//! Newtype ids: a user's id cannot be passed for a ticket's.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A person (or program) with an account.
    UserId
}
id! {
    /// A ticket, over all projects; never used again after the ticket is deleted.
    TicketId
}
id! {
    /// A project. 1 is the one that every new hub has.
    ProjectId
}
id! {
    /// One recipient's notification, over all inboxes.
    NotificationId
}
id! {
    /// The text that all recipients of one announcement share.
    MessageId
}
id! {
    /// A position in one user's inbox, from 1; 0 is "before everything".
    Seq
}
id! {
    /// A comment, over all tickets.
    CommentId
}
id! {
    /// The external delivery of a notification to one address on one channel.
    DeliveryId
}
id! {
    /// A webhook; never used again.
    WebhookId
}
id! {
    /// A send: one message to many.
    SendId
}
id! {
    /// A link in a mail that changes an account; never used again.
    LinkId
}
id! {
    /// One login: the refresh tokens that descend from it, and the sockets opened with it.
    LoginId
}

impl Default for Seq {
    fn default() -> Self {
        Self::ZERO
    }
}

impl ProjectId {
    /// The project of a ticket that names none; open to every user.
    pub const DEFAULT: Self = Self(1);
}

impl Seq {
    /// Before the first change of an inbox.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
