//! A ticket and its workflow: who may do what, when, and who is notified.
//!
//! [`create`] and [`decide`] are all of the rules. They take the state, the command, its caller and
//! the time, and return the new state, its history entry and its announcement; or a [`Refusal`].
//! They have no side effects.

/// Makes an enum and its names of a table. Before the modules, which use it too.
macro_rules! named {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$vdoc:meta])* $variant:ident = $code:literal, $display:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $code)] $variant,)* }

        impl $name {
            /// All of them, in their own order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in rows and JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The label.
            #[must_use]
            pub fn display(self) -> &'static str {
                match self { $(Self::$variant => $display,)* }
            }

            /// The one with that name, if there is one.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }
    };
}

mod decide;
mod decision;
mod text;
mod visible;
#[cfg(test)]
mod walk;
mod workflow;

use compact_str::CompactString;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use decide::announce;
pub use decide::{create, decide, decide_at, outsiders};
pub use decision::Decision;
pub use text::example;
pub use visible::{VisibleTo, is_visible};
pub use workflow::{Command, Right, Rule, Status, Step, WORKFLOW, announced_actions};

use super::ids::{ProjectId, TicketId, UserId};
use super::user::{Role, User};

named! {
    /// How urgent a ticket is.
    Priority {
        /// Whenever.
        Low = "LOW", "Low";
        /// The usual.
        Medium = "MEDIUM", "Medium";
        /// Soon.
        High = "HIGH", "High";
        /// Now.
        Critical = "CRITICAL", "Critical";
    }
}

named! {
    /// A ticket's category.
    Category {
        /// Something is broken.
        Bug = "BUG", "Bug";
        /// Something is missing.
        Feature = "FEATURE", "Feature";
        /// A request for help.
        Support = "SUPPORT", "Support";
        /// Anything else.
        Other = "OTHER", "Other";
    }
}

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Over all projects.
    pub id: TicketId,
    /// Where it belongs.
    pub project: ProjectId,
    /// Its project's name.
    pub project_name: String,
    /// `WEB-5`: its project's key and its number there. Empty until the store has numbered it.
    pub key: String,
    /// One line, never blank.
    pub title: String,
    /// Anything.
    pub description: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Its category.
    pub category: Category,
    /// Its status.
    pub status: Status,
    /// The creator.
    pub created_by: UserId,
    /// That person's name.
    pub created_by_name: String,
    /// The developers on it, in the order in which they were named.
    pub assigned_to: Vec<UserId>,
    /// 1 at first; increases by one with every change.
    pub version: i64,
    /// When it was raised.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The caller, as the account is now (not as a token claims).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub id: UserId,
    /// Its login name.
    pub username: CompactString,
    /// The full name, or the username if there is none.
    pub name: CompactString,
    /// Its role.
    pub role: Role,
}

impl From<&User> for Caller {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            name: user.display_name().into(),
            role: user.role.clone(),
        }
    }
}

/// A project, as far as its tickets are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The prefix of its tickets' keys: 2 to 10 of `A-Z0-9`.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Whether every user counts as a member.
    pub is_open: bool,
}

/// The caller's relation to the ticket's project; an open project's users are all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// The caller belongs to it, or it is open.
    Member,
    /// The caller does not belong to it.
    NonMember,
}

/// Whether the creator of a ticket can still judge the work on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creator {
    /// The account is active.
    There,
    /// The account was deactivated, or does not exist.
    Gone,
}

/// The fields of a new ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    /// One line, never blank; at most 255 characters (the edge checks it).
    pub title: String,
    /// Anything; at most 20,000 characters (the edge checks it).
    pub description: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Its category.
    pub category: Category,
}

/// The fields that a `PATCH` changes; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// A new title.
    pub title: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// A new priority.
    pub priority: Option<Priority>,
    /// A new category.
    pub category: Option<Category>,
    /// The version that the editor has seen; any other is a conflict.
    pub version: Option<i64>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such ticket, or the caller may not know that it exists.
    #[error("Not found.")]
    NotFound,
    /// The caller may see the ticket but not do this to it.
    #[error("Only {allowed} may {action} this ticket.")]
    Forbidden {
        /// The command's name.
        action: &'static str,
        /// Who may, as a text.
        allowed: &'static str,
    },
    /// The ticket's status does not allow it.
    #[error("Cannot {action} a ticket in status {status}.", status = .status.as_str())]
    WrongStatus {
        /// The command's name.
        action: &'static str,
        /// The ticket's status.
        status: Status,
    },
    /// The ticket has changed since the caller looked.
    #[error("The ticket has changed: it is at version {actual}, not {expected}.")]
    Stale {
        /// The version that the caller had seen.
        expected: i64,
        /// The current version.
        actual: i64,
    },
    /// A field's value is invalid.
    #[error("{field}: {message}")]
    Invalid {
        /// The field in the request.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// One line of a ticket's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The version that the change made.
    pub version: i64,
    /// `create`, or the command's name.
    pub action: &'static str,
    /// The status before; `None` for the creation.
    pub from: Option<Status>,
    /// The status after.
    pub to: Status,
    /// The acting user.
    pub by: UserId,
    /// That person's name at the time.
    pub by_name: String,
    /// Details: the reason, the developers, the changed fields. May be empty.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// The users of a ticket: besides a role, they decide who may know that it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stakes {
    /// The creator.
    pub created_by: UserId,
    /// The developers on it.
    pub assigned_to: Vec<UserId>,
}

impl Ticket {
    /// The users of the ticket.
    #[must_use]
    pub fn stakes(&self) -> Stakes {
        Stakes { created_by: self.created_by, assigned_to: self.assigned_to.clone() }
    }
}
