//! Who is notified of an event, and on which channels.

use serde::{Deserialize, Serialize};

use super::ids::UserId;

/// A channel: an external one, or `System`, the inbox itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Channel {
    /// The inbox: sockets, streams and REST.
    System,
    /// SMTP.
    Email,
    /// WhatsApp's Cloud API.
    WhatsApp,
    /// Text messages.
    Sms,
    /// Web push.
    Push,
    /// HTTP calls to a user's own server.
    Webhook,
}

impl Channel {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] =
        [Self::System, Self::Email, Self::WhatsApp, Self::Sms, Self::Push, Self::Webhook];

    /// The channel's name in rows and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "SYSTEM",
            Self::Email => "EMAIL",
            Self::WhatsApp => "WHATSAPP",
            Self::Sms => "SMS",
            Self::Push => "PUSH",
            Self::Webhook => "WEBHOOK",
        }
    }

    /// The channel's label.
    #[must_use]
    pub fn display(self) -> &'static str {
        match self {
            Self::System => "System Alert",
            Self::Email => "Email",
            Self::WhatsApp => "WhatsApp",
            Self::Sms => "SMS",
            Self::Push => "Push",
            Self::Webhook => "Webhook",
        }
    }

    /// The channel with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }
}

/// A set of channels, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Channels(u8);

impl Channels {
    /// No channel.
    pub const NONE: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub const fn of(channels: &[Channel]) -> Self {
        let (mut bits, mut rest) = (0, channels);
        while let [channel, others @ ..] = rest {
            bits |= 1 << *channel as u8;
            rest = others;
        }
        Self(bits)
    }

    /// Whether the channel is in the set.
    #[must_use]
    pub fn contains(self, channel: Channel) -> bool {
        self.0 & (1 << channel as u8) != 0
    }

    /// With one more.
    #[must_use]
    pub fn with(self, channel: Channel) -> Self {
        self.or(Self::of(&[channel]))
    }

    /// Those in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that need a delivery row: all but the inbox itself.
    pub fn outgoing(self) -> impl Iterator<Item = Channel> {
        Channel::ALL.into_iter().filter(move |&c| c != Channel::System && self.contains(c))
    }
}

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
            Self::Chosen => "Its sender has chosen whom it is for.",
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

/// The users whom an announcement concerns.
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
