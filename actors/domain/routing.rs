//! Who is notified of an event, and on which channels.

pub use super::channel::{Channel, Channels};
use super::ids::UserId;

/// Why an event concerns a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// To be an admin.
    Admin,
    /// To be a super admin.
    SuperAdmin,
    /// To have raised the ticket.
    Creator,
    /// To be on the ticket.
    Assigned,
    /// To be named in a comment.
    Named,
    /// Named by the sender.
    Chosen,
}

impl Concern {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::SuperAdmin => "super_admin",
            Self::Creator => "creator",
            Self::Assigned => "assigned",
            Self::Named => "named",
            Self::Chosen => "chosen",
        }
    }

    /// The same as a text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Admin => "Admins are told of it.",
            Self::SuperAdmin => "Super admins are told of it.",
            Self::Creator => "The ticket's creator is notified.",
            Self::Assigned => "The ticket's developers are notified.",
            Self::Named => "Users mentioned in the comment are notified.",
            Self::Chosen => "Its sender chose the recipients.",
        }
    }
}

/// A role whose users are all notified; the store resolves it at the time of the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Admins and super admins.
    Admins,
    /// Super admins alone.
    SuperAdmins,
}

/// The users that an announcement concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience {
    /// A whole group, if one is concerned.
    pub group: Option<Group>,
    /// Users who are concerned because of their relation to the ticket.
    pub users: Vec<UserId>,
    /// The acting user, who is never notified of their own action.
    pub except: Option<UserId>,
}

impl Audience {
    /// The recipients, each once however many of its roles match, in the order of their ids
    /// (so that two commits never lock inboxes in opposite orders).
    ///
    /// `members` are the users of [`Audience::group`] as the committing transaction sees them.
    #[must_use]
    pub fn recipients(&self, members: &[UserId]) -> Vec<UserId> {
        let mut all: Vec<UserId> = self.users.clone();
        if self.group.is_some() {
            all.extend_from_slice(members);
        }
        all.sort_unstable();
        all.dedup();
        all.retain(|user| Some(*user) != self.except);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_with_two_reasons_is_told_once_and_the_actor_never() {
        let audience = Audience {
            group: Some(Group::Admins),
            users: vec![UserId(9), UserId(2)],
            except: Some(UserId(1)),
        };
        let told = audience.recipients(&[UserId(1), UserId(2), UserId(3)]);
        assert_eq!(told, [UserId(2), UserId(3), UserId(9)]);
    }

    #[test]
    fn members_of_a_group_that_is_not_concerned_are_not_told() {
        let audience = Audience { group: None, users: vec![UserId(5)], except: None };
        assert_eq!(audience.recipients(&[UserId(1)]), [UserId(5)]);
    }
}
