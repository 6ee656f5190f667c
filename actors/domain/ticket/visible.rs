//! Who may know that a ticket exists: the rule as data, so that a store can build a query from it.

use super::super::ids::UserId;
use super::super::user::Role;
use super::{Caller, Membership, Stakes, Ticket};

/// Which tickets a caller may know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisibleTo {
    /// Admins: all.
    All,
    /// Developers: those that they raised or are assigned to, and those of their projects (an open
    /// project's users are all members).
    OwnAndProjects(UserId),
    /// Other users: those that they raised or are assigned to.
    Own(UserId),
}

impl VisibleTo {
    /// Which tickets a user with this role may know of.
    #[must_use]
    pub fn of(user: UserId, role: &Role) -> Self {
        if role.is_admin() {
            Self::All
        } else if *role == Role::Developer {
            Self::OwnAndProjects(user)
        } else {
            Self::Own(user)
        }
    }

    /// Whether a ticket is one of them; `membership` is the caller's in the ticket's project.
    #[must_use]
    pub fn sees(self, created_by: UserId, assigned_to: &[UserId], membership: Membership) -> bool {
        let is_own = |user: UserId| created_by == user || assigned_to.contains(&user);
        match self {
            Self::All => true,
            Self::OwnAndProjects(user) => membership == Membership::Member || is_own(user),
            Self::Own(user) => is_own(user),
        }
    }
}

/// Whether the caller may know that the ticket exists: see [`VisibleTo`].
#[must_use]
pub fn is_visible(ticket: &Ticket, caller: &Caller, membership: Membership) -> bool {
    let rule = VisibleTo::of(caller.id, &caller.role);
    rule.sees(ticket.created_by, &ticket.assigned_to, membership)
}

impl Stakes {
    /// The same as [`is_visible`], of a ticket that is not at hand.
    #[must_use]
    pub fn are_visible(&self, caller: &Caller, membership: Membership) -> bool {
        let rule = VisibleTo::of(caller.id, &caller.role);
        rule.sees(self.created_by, &self.assigned_to, membership)
    }
}
