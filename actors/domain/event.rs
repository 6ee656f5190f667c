//! The table of events: name, title, kind, channels and concerned users of each.

use std::fmt;

use super::kind::Kind;
use super::routing::{Channel, Channels, Concern};

macro_rules! events {
    (
        own { $(
            $(#[$doc:meta])*
            $own:ident = $name:literal, $title:literal, $kind:ident, [$($channel:ident),*],
                [$($concern:ident),*];
        )* }
        of_accounts { $(
            $(#[$account_doc:meta])*
            $account:ident = $account_name:literal, $account_title:literal;
        )* }
    ) => {
        /// Why a notification was made.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Event {
            $($(#[$doc])* $own,)*
            $($(#[$account_doc])* $account,)*
            /// A name that a sender chose (1 to 64 characters; the edge checks it).
            Other(Box<str>),
        }

        impl Event {
            /// The hub's own, in the order in which they are shown.
            pub const OWN: [Self; [$($name),*].len()] = [$(Self::$own),*];

            /// The hub's own that concern one account and are only sent by mail: no user has
            /// preferences for them, and they are in no inbox.
            pub const OF_ACCOUNTS: [Self; [$($account_name),*].len()] = [$(Self::$account),*];

            /// The event's name in rows and JSON.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$own => $name,)*
                    $(Self::$account => $account_name,)*
                    Self::Other(name) => name,
                }
            }

            /// The event with that name; never fails, because an unknown name is a sender's own.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$own,)*
                    $($account_name => Self::$account,)*
                    other => Self::Other(other.into()),
                }
            }

            fn rule(&self) -> &'static Rule {
                match self {
                    $(Self::$own => &Rule {
                        title: $title,
                        kind: Kind::$kind,
                        channels: const { Channels::of(&[$(Channel::$channel),*]) },
                        concerns: &[$(Concern::$concern),*],
                    },)*
                    $(Self::$account => &Rule {
                        title: $account_title,
                        kind: Kind::Info,
                        channels: const { Channels::of(&[Channel::Email]) },
                        concerns: &[],
                    },)*
                    Self::Other(_) => &Rule {
                        title: "",
                        kind: Kind::Info,
                        channels: const { Channels::of(&[Channel::System]) },
                        concerns: &[Concern::Chosen],
                    },
                }
            }
        }
    };
}

// Name, title, kind, the channels before preferences, and why it concerns users.
events! {
    own {
        /// A ticket was raised.
        TicketCreated = "ticket_created", "New Ticket Created", Info, [System, Email, WhatsApp],
            [Admin];
        /// An admin took note of it.
        TicketOpened = "ticket_opened", "Ticket Opened", Info, [System, Email, WhatsApp],
            [Creator];
        /// Developers were put on it.
        TicketAssigned = "ticket_assigned", "Ticket Assigned", Info, [System, Email, WhatsApp],
            [Assigned];
        /// One of them began.
        WorkStarted = "work_started", "Work Started", Info, [System, Email, WhatsApp],
            [Creator];
        /// One of them is done.
        WorkFinished = "work_finished", "Work Finished", Info, [System, Email, WhatsApp],
            [Creator, Admin];
        /// Its creator is content.
        TicketApproved = "ticket_approved", "Ticket Approved", Success, [System, WhatsApp],
            [Admin, Assigned];
        /// Its creator is not.
        TicketRejected = "ticket_rejected", "Ticket Rejected", Warning, [System, WhatsApp],
            [Admin, Assigned];
        /// A user was mentioned in a comment.
        Mentioned = "mentioned", "You Were Mentioned", Info, [System, Email],
            [Named];
        /// A user registered.
        UserRegistration = "user_registration", "New User Registration", UserRegistration,
            [System, Email], [SuperAdmin];
    }
    of_accounts {
        /// A new password was requested; sent by e-mail only.
        PasswordReset = "password_reset", "Choose a New Password";
        /// An address must be confirmed; sent by e-mail only.
        EmailConfirmation = "email_confirmation", "Confirm Your E-mail Address";
    }
}

/// A line of the table.
struct Rule {
    title: &'static str,
    kind: Kind,
    channels: Channels,
    concerns: &'static [Concern],
}

impl Event {
    /// Whether only the hub may send it: clients trust its statements about tickets and users.
    #[must_use]
    pub fn is_the_hubs(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// The title of a notification of this event; empty for a sender's own, which brings its own.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.rule().title
    }

    /// How it is shown.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.rule().kind
    }

    /// Its channels, before preferences.
    #[must_use]
    pub fn channels(&self) -> Channels {
        self.rule().channels
    }

    /// Why it concerns users.
    #[must_use]
    pub fn concerns(&self) -> &'static [Concern] {
        self.rule().concerns
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

    #[test]
    fn judgements_of_work_are_not_sent_by_e_mail() {
        let approved = Event::TicketApproved.channels();
        assert!(approved.contains(Channel::System) && approved.contains(Channel::WhatsApp));
        assert!(!approved.contains(Channel::Email));
        let names: Vec<_> = Event::WorkStarted.channels().outgoing().map(Channel::as_str).collect();
        assert_eq!(names, ["EMAIL", "WHATSAPP"]);
    }
}
