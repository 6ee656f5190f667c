//! Sends: what a request becomes ([`Timing`], [`Audience`]), how sends in progress
//! share a chunk ([`step`]), which node continues them ([`claim`]), and the progress in their
//! records.
//!
//! A send reads its audience in the order of the accounts' ids, which is its cursor's order and
//! nothing else: the time of registration decides who is in the audience.

pub mod claim;
pub mod step;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ProjectId, UserId};
use crate::send::{NewSend, Recipients, SendStatus};
use crate::user::Role;

/// Unknown accounts that a rejection names.
pub const UNKNOWN_MAX: usize = 10;

/// The recipients of a send, as they were chosen when it was taken in. Always active accounts that
/// had registered by then. Stores keep it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// These, in the order of their ids.
    Users(Vec<UserId>),
    /// All of this role.
    Role(Role),
    /// All on this project's list of members.
    Project(ProjectId),
    /// All.
    All,
}

/// The facts from which an audience is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProjectFact {
    /// There is no such project, or the request names none.
    #[default]
    Unknown,
    /// Its list of members counts.
    ByList,
    /// Every active user is a member.
    Open,
}

/// Why a send has no audience. Nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAudience {
    /// Some of the accounts do not exist; the first few of them.
    UnknownUsers(Vec<UserId>),
    /// The project does not exist.
    UnknownProject,
}

impl Audience {
    /// Chooses the audience. `is_active` answers for an account that the request names (`None`:
    /// there is no such account), `project` is the project that it names.
    ///
    /// # Errors
    /// [`NoAudience`] where an account or the project does not exist. Inactive accounts are left
    /// out without an error.
    pub fn choose(
        recipients: &Recipients,
        is_active: impl Fn(UserId) -> Option<bool>,
        project: ProjectFact,
    ) -> Result<Self, NoAudience> {
        match recipients {
            Recipients::Users(users) => {
                let users: BTreeSet<UserId> = users.iter().copied().collect();
                let unknown = users.iter().filter(|user| is_active(**user).is_none());
                let unknown: Vec<UserId> = unknown.take(UNKNOWN_MAX).copied().collect();
                if !unknown.is_empty() {
                    return Err(NoAudience::UnknownUsers(unknown));
                }
                let active = users.into_iter().filter(|user| is_active(*user) == Some(true));
                Ok(Self::Users(active.collect()))
            }
            Recipients::Role(role) => Ok(Self::Role(role.clone())),
            Recipients::Project(id) => match project {
                ProjectFact::Unknown => Err(NoAudience::UnknownProject),
                ProjectFact::ByList => Ok(Self::Project(*id)),
                ProjectFact::Open => Ok(Self::All),
            },
            Recipients::All => Ok(Self::All),
        }
    }

    /// Whether it names one account alone: then the answer to the request names its notification.
    #[must_use]
    pub fn is_one_user(&self) -> bool {
        matches!(self, Self::Users(users) if users.len() == 1)
    }
}

/// When a send begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// When its first recipients are notified.
    pub due_at: Timestamp,
    /// Whether that is later than now. A request for a time that has passed begins at once.
    pub is_scheduled: bool,
}

impl Timing {
    /// When this send begins, if it is taken in now.
    #[must_use]
    pub fn of(send: &NewSend, now: Timestamp) -> Self {
        let due_at = send.due_at.unwrap_or(now);
        Self { due_at, is_scheduled: due_at > now }
    }

    /// The date of the message: a scheduled one carries the time at which it begins.
    #[must_use]
    pub fn message_date(self, written: Timestamp) -> Timestamp {
        if self.is_scheduled { self.due_at } else { written }
    }
}

/// The progress of a send, as its record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There are recipients left.
    Active,
    /// All recipients have it.
    Done,
    /// An admin stopped it.
    Cancelled,
}

impl Progress {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Done, Self::Cancelled];

    /// The progress after a chunk.
    #[must_use]
    pub fn after_chunk(has_more: bool) -> Self {
        if has_more { Self::Active } else { Self::Done }
    }

    /// Whether a request to cancel the send stops it; one that is stopped already stays so.
    #[must_use]
    pub fn can_cancel(self) -> bool {
        self != Self::Done
    }

    /// The status that admins are shown. A send is in progress once its cursor has moved.
    #[must_use]
    pub fn status(self, was_begun: bool) -> SendStatus {
        match self {
            Self::Active if was_begun => SendStatus::Sending,
            Self::Active => SendStatus::Scheduled,
            Self::Done => SendStatus::Done,
            Self::Cancelled => SendStatus::Cancelled,
        }
    }

    /// Its name in a store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Done => "DONE",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The progress of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|progress| progress.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(ids: &[i64]) -> Vec<UserId> {
        ids.iter().copied().map(UserId).collect()
    }

    #[test]
    fn an_audience_is_chosen_from_facts() {
        // Accounts 1 to 5 exist, and 4 is inactive.
        let is_active = |user: UserId| (1..=5).contains(&user.0).then_some(user.0 != 4);
        let choose = |to: Recipients, project| Audience::choose(&to, is_active, project);
        let named = |ids: &[i64]| choose(Recipients::Users(users(ids)), ProjectFact::Unknown);
        assert_eq!(named(&[5, 4, 2, 5]), Ok(Audience::Users(users(&[2, 5]))), "each once");
        assert_eq!(named(&[4]), Ok(Audience::Users(Vec::new())));
        assert_eq!(named(&[9, 1, 7]), Err(NoAudience::UnknownUsers(users(&[7, 9]))));
        let many: Vec<i64> = (10..40).collect();
        assert_eq!(named(&many), Err(NoAudience::UnknownUsers(users(&many[..UNKNOWN_MAX]))));
        let project = |fact| choose(Recipients::Project(ProjectId(3)), fact);
        assert_eq!(project(ProjectFact::Unknown), Err(NoAudience::UnknownProject));
        assert_eq!(project(ProjectFact::ByList), Ok(Audience::Project(ProjectId(3))));
        assert_eq!(project(ProjectFact::Open), Ok(Audience::All));
        assert!(named(&[2, 4]).unwrap().is_one_user() && !named(&[2, 3]).unwrap().is_one_user());
    }

    #[test]
    fn an_audience_survives_its_row() {
        for (audience, text) in [
            (Audience::Users(users(&[2, 7])), r#"{"users":[2,7]}"#),
            (Audience::Role(Role::Developer), r#"{"role":"developer"}"#),
            (Audience::Project(ProjectId(3)), r#"{"project":3}"#),
            (Audience::All, r#""all""#),
        ] {
            assert_eq!(serde_json::to_string(&audience).unwrap(), text);
            assert_eq!(serde_json::from_str::<Audience>(text).unwrap(), audience);
        }
    }

    #[test]
    fn progress_is_named_and_shown() {
        use SendStatus::{Cancelled, Done, Scheduled, Sending};
        for (name, waiting, begun, can_cancel) in [
            ("ACTIVE", Scheduled, Sending, true),
            ("DONE", Done, Done, false),
            ("CANCELLED", Cancelled, Cancelled, true),
        ] {
            let progress = Progress::from_name(name).unwrap();
            assert_eq!((progress.status(false), progress.status(true)), (waiting, begun));
            assert_eq!((progress.as_str(), progress.can_cancel()), (name, can_cancel));
        }
        assert_eq!(Progress::from_name("active"), None);
    }
}
