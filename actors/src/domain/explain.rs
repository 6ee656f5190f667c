//! Why somebody was told of something, or was not.
//!
//! Who is told is decided where an event happens (`ticket::decide`, `comment::mention`, the sender
//! of a send); here the same rules are said in words, of an account as it is now. Roles and
//! tickets change, so that what was then may not be found again: then that is said.

use super::event::Event;
use super::ids::UserId;
use super::preference::Preferences;
use super::user::User;

/// What makes an event somebody's concern.
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
    /// To be chosen by whoever sent it.
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

    /// The same for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Admin => "Admins are told of it.",
            Self::SuperAdmin => "Super admins are told of it.",
            Self::Creator => "Whoever raised the ticket is told of it.",
            Self::Assigned => "Whoever is on the ticket is told of it.",
            Self::Named => "Whoever is named in the comment is told of it.",
            Self::Chosen => "Its sender has chosen whom it is for.",
        }
    }
}

/// Whose concern an event is.
#[must_use]
pub fn concerns(event: &Event) -> &'static [Concern] {
    use Concern::{Admin, Assigned, Chosen, Creator, Named, SuperAdmin};
    match event {
        Event::TicketCreated => &[Admin],
        Event::TicketOpened | Event::WorkStarted => &[Creator],
        Event::TicketAssigned => &[Assigned],
        Event::WorkFinished => &[Creator, Admin],
        Event::TicketApproved | Event::TicketRejected => &[Admin, Assigned],
        Event::Mentioned => &[Named],
        Event::UserRegistration => &[SuperAdmin],
        Event::Other(_) => &[Chosen],
    }
}

/// Why somebody was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTold {
    /// It was the account's own act.
    OwnAct,
    /// The account is not active.
    Inactive,
    /// It does not want to be told.
    Preference,
    /// It is none of its concern.
    NotConcerned,
    /// By what is so now it would have been told: something has changed since.
    NotThen,
}

impl NotTold {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnAct => "own_act",
            Self::Inactive => "inactive",
            Self::Preference => "preference",
            Self::NotConcerned => "not_concerned",
            Self::NotThen => "not_then",
        }
    }

    /// The same for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::OwnAct => "Whoever acts is not told of its own act.",
            Self::Inactive => "The account is not active.",
            Self::Preference => "The account does not want to be told of this event.",
            Self::NotConcerned => "The account is none of those whom this event concerns.",
            Self::NotThen => {
                "It was not concerned then, or did not want to be told: that has changed since."
            }
        }
    }
}

/// Somebody, and what is to be known of them.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The account as it is now.
    pub user: &'a User,
    /// What it wishes for now.
    pub preferences: &'a Preferences,
    /// Who raised the ticket, and who is on it now; nobody without a ticket.
    pub ticket: Option<(UserId, &'a [UserId])>,
}

impl Person<'_> {
    /// What makes the event this person's concern, as far as that can be seen from what is so now.
    #[must_use]
    pub fn concerns(&self, event: &Event) -> Vec<Concern> {
        let is_one = |concern: &Concern| match concern {
            Concern::Admin => self.user.role.is_admin(),
            Concern::SuperAdmin => self.user.role == super::user::Role::SuperAdmin,
            Concern::Creator => self.ticket.is_some_and(|(creator, _)| creator == self.user.id),
            Concern::Assigned => self.ticket.is_some_and(|(_, all)| all.contains(&self.user.id)),
            // These are seen from what was said alone.
            Concern::Named | Concern::Chosen => false,
        };
        concerns(event).iter().copied().filter(is_one).collect()
    }

    /// Why this person, who was told, was told: never nothing, unless something has changed since.
    #[must_use]
    pub fn why_told(&self, event: &Event) -> Vec<Concern> {
        match concerns(event) {
            said @ ([Concern::Named] | [Concern::Chosen]) => said.to_vec(),
            _ => self.concerns(event),
        }
    }

    /// Why this person was not told of what somebody did.
    #[must_use]
    pub fn why_not_told(&self, event: &Event, by: Option<UserId>) -> NotTold {
        if by == Some(self.user.id) {
            NotTold::OwnAct
        } else if !self.user.is_active {
            NotTold::Inactive
        } else if self.concerns(event).is_empty() {
            NotTold::NotConcerned
        } else if !self.preferences.wants_notification(event) {
            NotTold::Preference
        } else {
            NotTold::NotThen
        }
    }
}

/// Whether an audience is what [`concerns`] says of its event; for the tests of those who decide.
#[cfg(test)]
pub(super) fn fits(
    event: &Event,
    audience: &super::routing::Audience,
    ticket: (UserId, &[UserId]),
) -> bool {
    use super::routing::Group;
    let (creator, assigned) = ticket;
    let mut users = Vec::new();
    let mut group = None;
    for concern in concerns(event) {
        match concern {
            Concern::Admin => group = Some(Group::Admins),
            Concern::SuperAdmin => group = Some(Group::SuperAdmins),
            Concern::Creator => users.push(creator),
            Concern::Assigned => users.extend(assigned),
            Concern::Named | Concern::Chosen => return true,
        }
    }
    let is_subset = audience.users.iter().all(|user| users.contains(user));
    audience.group == group && is_subset && audience.users.is_empty() == users.is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::preference::{PreferenceChanges, Wish};
    use super::super::routing::Channel;
    use super::*;

    fn user(id: i64, role: &str) -> User {
        User {
            id: UserId(id),
            username: "ann".into(),
            email: "".into(),
            full_name: "".into(),
            role: role.parse().unwrap(),
            whatsapp_number: "".into(),
            phone: "".into(),
            is_active: true,
            created_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_reason_has_its_turn() {
        fn of<'a>(
            user: &'a User,
            preferences: &'a Preferences,
            ticket: Option<(UserId, &'a [UserId])>,
        ) -> Person<'a> {
            Person { user, preferences, ticket }
        }
        let mut admin = user(1, "admin");
        let (nothing, assigned) = (Preferences::default(), [UserId(3)]);
        let ticket = Some((UserId(2), &assigned[..]));
        let event = Event::WorkFinished;
        assert_eq!(of(&admin, &nothing, ticket).why_told(&event), [Concern::Admin]);
        let client = user(2, "client");
        assert_eq!(of(&client, &nothing, ticket).why_told(&event), [Concern::Creator]);
        assert_eq!(of(&client, &nothing, ticket).why_told(&Event::Mentioned), [Concern::Named]);
        let stranger = user(4, "client");
        assert!(
            of(&stranger, &nothing, ticket).why_told(&event).is_empty(),
            "that has changed since"
        );
        let why = |user: &User, preferences: &Preferences| {
            of(user, preferences, ticket).why_not_told(&event, Some(UserId(3)))
        };
        assert_eq!(why(&user(3, "developer"), &nothing), NotTold::OwnAct);
        assert_eq!(why(&stranger, &nothing), NotTold::NotConcerned);
        assert_eq!(why(&admin, &nothing), NotTold::NotThen);
        let mut changes = PreferenceChanges::default();
        let wishes = [(Channel::System, Wish::No)];
        changes.events.insert(event.as_str().to_owned(), wishes.into());
        let against = nothing.clone().with(&changes).unwrap();
        assert_eq!(why(&admin, &against), NotTold::Preference);
        admin.is_active = false;
        assert_eq!(why(&admin, &against), NotTold::Inactive);
    }
}
