//! A send: a message to many users, immediately or at a given time.

use jiff::Timestamp;

pub use super::idempotency::IdempotencyKey;
use super::ids::{ProjectId, UserId};
use super::notification::Message;
use super::routing::Channels;
use super::ticket::Caller;
use super::user::Role;

/// The recipients of a send, resolved when it begins; users that register later are not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients {
    /// These accounts, each once, 1 to 10,000 (the edge checks it).
    Users(Vec<UserId>),
    /// All active users of a role; super admins count among the admins.
    Role(Role),
    /// All active users on a project's list of members; of an open project, all active users.
    Project(ProjectId),
    /// All active users.
    All,
}

/// A send that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSend {
    /// The message; its `sender` is the sending user.
    pub message: Message,
    /// The recipients.
    pub recipients: Recipients,
    /// On which channels, before preferences; the store keeps those that are switched on.
    pub channels: Channels,
    /// Whether it passes quiet hours.
    pub is_critical: bool,
    /// When it begins; `None` for at once.
    pub due_at: Option<Timestamp>,
    /// The key that makes a retry the same request.
    pub key: Option<IdempotencyKey>,
}

/// The state of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendStatus {
    /// It waits for its time.
    Scheduled,
    /// Some of its recipients have it.
    Sending,
    /// All of them have it.
    Done,
    /// It was stopped.
    Cancelled,
}

impl SendStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scheduled, Self::Sending, Self::Done, Self::Cancelled];

    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Sending => "SENDING",
            Self::Done => "DONE",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// Whether a user may send to another over a socket, as far as the rules alone decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteRight {
    /// Yes.
    Given,
    /// If both are on some project's list of members.
    IfTheyShareAProject,
    /// No.
    Withheld,
}

/// Admins may send to all users, developers to the members of their projects, every user to
/// themselves.
#[must_use]
pub fn note_right(caller: &Caller, to: UserId) -> NoteRight {
    match &caller.role {
        Role::Admin | Role::SuperAdmin => NoteRight::Given,
        _ if caller.id == to => NoteRight::Given,
        Role::Developer => NoteRight::IfTheyShareAProject,
        Role::Client | Role::Other(_) => NoteRight::Withheld,
    }
}

/// Whether a click may lead there: somewhere on the client's own origin, or to a page of the web;
/// never into a script. Nowhere (empty) will do.
#[must_use]
pub fn is_good_link(link: &str) -> bool {
    // Browsers remove line breaks and tabs inside of a URL, and white space before it: the rest
    // might then begin with a scheme.
    if link.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let head = link.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((scheme, _)) = head.split_once(':') else { return true };
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let rest = link.get(scheme.len() + 1..).unwrap_or_default();
    is_web && rest.strip_prefix("//").is_some_and(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_send_to_whom() {
        use NoteRight::{Given, IfTheyShareAProject, Withheld};
        let rights = |role: &str, to: i64| {
            let caller = Caller {
                id: UserId(7),
                username: "x".into(),
                name: "x".into(),
                role: role.parse().unwrap(),
            };
            note_right(&caller, UserId(to))
        };
        for (role, to_others) in [
            ("client", Withheld),
            ("student", Withheld),
            ("developer", IfTheyShareAProject),
            ("admin", Given),
            ("super_admin", Given),
        ] {
            assert_eq!((rights(role, 7), rights(role, 8)), (Given, to_others), "{role}");
        }
    }

    #[test]
    fn a_link_leads_to_a_page_and_never_into_a_script() {
        for good in [
            "",
            "/tickets/5/",
            "tickets/5?at=10:30",
            "?page=2",
            "#a:b",
            "//cdn.example/x",
            "http://a.example",
            "HTTPS://a.example/x?y=javascript:z",
        ] {
            assert!(is_good_link(good), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "java\u{0}script:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "mailto:a@b.example",
            "http:",
            "http://",
            "https:evil",
            "/a b",
        ] {
            assert!(!is_good_link(bad), "{bad:?}");
        }
    }
}
