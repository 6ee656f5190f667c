//! Webhooks: users' own servers that the hub calls.
//!
//! A user's webhook is called for each notification in the user's inbox, once; a project's for each
//! event of the project's tickets, once, whatever its recipients.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::event::Event;
use super::ids::{ProjectId, UserId, WebhookId};

/// The most webhooks of one user.
pub const PER_USER_MAX: u32 = 10;
/// The most webhooks of one project.
pub const PER_PROJECT_MAX: u32 = 20;
/// How many consecutive deliveries that were given up, each after all its attempts, disable a
/// webhook: it has been failing for about a day.
pub const FAILURES_MAX: u32 = 20;
/// How long a secret continues to sign beside its successor: long enough to deploy the new one to
/// every server.
pub const OLD_SECRET_LASTS: SignedDuration = SignedDuration::from_hours(24);

/// A webhook's signing secret. No log shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(String);

impl HookSecret {
    /// A secret of these characters.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret's text: for signing, and for the creator of the webhook.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecret(…)")
    }
}

/// The owner of a webhook, which decides what it is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookOwner {
    /// A user: notifications in the inbox.
    User(UserId),
    /// A project: events of its tickets.
    Project(ProjectId),
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Its owner.
    pub owner: HookOwner,
    /// Where it is called.
    pub url: String,
    /// The names of its events; empty for all.
    pub events: Vec<String>,
    /// The owner's description.
    pub description: String,
    /// Whether it is called.
    pub is_active: bool,
    /// How many consecutive deliveries were given up.
    pub failures: u32,
    /// Why the hub has switched it off, if it has.
    pub off_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its owner last changed it.
    pub updated_at: Timestamp,
}

/// A webhook to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Its owner.
    pub owner: HookOwner,
    /// Where it is called.
    pub address: HookAddress,
    /// The names of its events; empty for all.
    pub events: Vec<String>,
    /// The owner's description.
    pub description: String,
    /// Whether it is called.
    pub is_active: bool,
    /// The signing secret.
    pub secret: HookSecret,
}

/// Where a webhook is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookAddress {
    /// The URL.
    pub url: String,
    /// Its host and port: its lane.
    pub lane: String,
}

/// The changes; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookChanges {
    /// Where it is called.
    pub address: Option<HookAddress>,
    /// Its events.
    pub events: Option<Vec<String>>,
    /// The owner's description.
    pub description: Option<String>,
    /// Whether it is called. One that is switched on begins without failures.
    pub is_active: Option<bool>,
}

/// Whether a webhook with this list is called for an event.
#[must_use]
pub fn hears(events: &[String], event: &Event) -> bool {
    events.is_empty() || events.iter().any(|name| name == event.as_str())
}

/// How a delivery to a webhook ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEnd {
    /// It was taken.
    Taken,
    /// It was given up.
    GivenUp,
    /// The webhook answered that it does not exist any more.
    Gone,
}

/// A webhook's state, as far as its deliveries decide it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// How many consecutive deliveries were given up.
    pub failures: u32,
    /// Why it is to be switched off, if it is.
    pub off_reason: Option<String>,
}

impl Health {
    /// The state after another delivery. A reason, once set, stays.
    #[must_use]
    pub fn after(mut self, end: HookEnd) -> Self {
        if self.off_reason.is_some() {
            return self;
        }
        match end {
            HookEnd::Taken => self.failures = 0,
            HookEnd::GivenUp => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES_MAX {
                    let text = format!("{FAILURES_MAX} deliveries in a row came to nothing.");
                    self.off_reason = Some(text);
                }
            }
            HookEnd::Gone => {
                self.failures = self.failures.saturating_add(1);
                self.off_reason = Some("It answered 410 Gone.".to_owned());
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_switch_off() {
        let after = |ends: &[HookEnd]| {
            ends.iter().fold(Health::default(), |health, end| health.after(*end))
        };
        let mut ends = vec![HookEnd::GivenUp; 19];
        assert_eq!(after(&ends), Health { failures: 19, off_reason: None });
        ends.push(HookEnd::Taken);
        assert_eq!(after(&ends), Health::default());
        ends.extend([HookEnd::GivenUp; 20]);
        let off = after(&ends);
        assert_eq!(off.failures, FAILURES_MAX);
        assert!(off.off_reason.as_ref().unwrap().contains("20 deliveries in a row"));
        assert_eq!(off.clone().after(HookEnd::Taken), off, "only its owner switches it on");
        let gone = after(&[HookEnd::Gone]);
        assert!(gone.off_reason.unwrap().contains("410"));
    }

    #[test]
    fn an_empty_list_is_all_events() {
        let some = ["mentioned".to_owned(), "build_done".to_owned()];
        assert!(hears(&[], &Event::TicketCreated));
        assert!(hears(&some, &Event::Mentioned) && hears(&some, &Event::from_name("build_done")));
        assert!(!hears(&some, &Event::TicketCreated));
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = HookSecret::new("whsec_abc".to_owned());
        assert!(!format!("{secret:?}").contains("abc"));
    }
}
