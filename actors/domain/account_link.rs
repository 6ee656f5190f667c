//! Links in e-mails that prove who reads them: for a new password, and for an address.

use jiff::{SignedDuration, Timestamp};

use super::event::Event;
use super::ids::{LinkId, UserId};
use super::notification::Message;
use super::ticket::Priority;
use super::user::User;

/// How long a link for a new password is good. Long enough for a mail that greylisting delays,
/// short enough that an old mail in a mailbox opens nothing.
const PASSWORD_MINUTES: i64 = 30;
/// How long a link that confirms an address is good: over a weekend.
const EMAIL_MINUTES: i64 = 72 * 60;

/// The purpose of a link. Each link has one purpose and is used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkPurpose {
    /// A new password.
    Password,
    /// The proof that the account's owner reads mail to its address.
    Email,
}

impl LinkPurpose {
    /// The purpose's name in rows and tokens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Email => "email",
        }
    }

    /// The purpose with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Password, Self::Email].into_iter().find(|purpose| purpose.as_str() == name)
    }

    /// Under which event's name its mail has templates.
    #[must_use]
    pub fn event(self) -> Event {
        match self {
            Self::Password => Event::PasswordReset,
            Self::Email => Event::EmailConfirmation,
        }
    }

    fn minutes(self) -> i64 {
        match self {
            Self::Password => PASSWORD_MINUTES,
            Self::Email => EMAIL_MINUTES,
        }
    }

    /// When a link ends that is made `now`.
    #[must_use]
    pub fn expires_at(self, now: Timestamp) -> Timestamp {
        now.checked_add(SignedDuration::from_mins(self.minutes())).unwrap_or(Timestamp::MAX)
    }

    /// The text of its e-mail to the account's owner, without the link itself.
    #[must_use]
    pub fn message(self, user: &User, now: Timestamp) -> Message {
        let (username, event) = (&user.username, self.event());
        let body = match self {
            Self::Password => format!(
                "A new password was requested for your account {username}. The link is good \
                 once, for {PASSWORD_MINUTES} minutes. If you did not ask for it, ignore this \
                 mail: your password stays as it is."
            ),
            Self::Email => format!(
                "Please confirm that this is the e-mail address of your account {username}. \
                 Until then you get no other mails. The link is good for {} days. If you did not \
                 register, ignore this mail.",
                EMAIL_MINUTES / (24 * 60)
            ),
        };
        let data = [("username", username.as_str().into()), ("minutes", self.minutes().into())];
        Message {
            kind: event.kind(),
            title: event.title().to_owned(),
            body,
            action_url: String::new(),
            metadata: data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            ticket: None,
            sender: None,
            priority: Priority::Medium,
            created_at: now,
            event,
        }
    }
}

/// A link, as its token names it. The store knows whether it is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLink {
    /// Never used for another link.
    pub id: LinkId,
    /// The account.
    pub user: UserId,
    /// Its purpose.
    pub purpose: LinkPurpose,
    /// Until when.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_survives_its_name_and_its_mail_has_its_own_templates() {
        for purpose in [LinkPurpose::Password, LinkPurpose::Email] {
            assert_eq!(LinkPurpose::from_name(purpose.as_str()), Some(purpose));
            assert_eq!(Event::from_name(purpose.event().as_str()), purpose.event());
        }
        assert_eq!(LinkPurpose::from_name("ticket"), None);
        let end = LinkPurpose::Password.expires_at(Timestamp::UNIX_EPOCH);
        assert_eq!(end.as_second(), 30 * 60);
    }
}
