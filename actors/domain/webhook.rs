//! Webhooks: users' own servers that the hub calls.
//!
//! A user's webhook is called for each notification in the user's inbox, once; a project's for each
//! event of the project's tickets, once, whatever its recipients.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::event::Event;
use super::ids::{ProjectId, UserId, WebhookId};
use super::version::Version;

/// The most webhooks of one user.
pub const PER_USER_MAX: u32 = 10;
/// The most webhooks of one project.
pub const PER_PROJECT_MAX: u32 = 20;
/// A webhook is disabled after at least so many consecutive deliveries that were given up, each
/// after all its attempts, …
pub const FAILURES_MAX: u32 = 20;
/// … if the first of them was so long ago: a deployment or an outage of a night disables none.
pub const FAILING_MAX: SignedDuration = SignedDuration::from_hours(24);
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

impl Webhook {
    /// Of what its owner sees and changes; a failed delivery makes no other one, being switched off
    /// does.
    #[must_use]
    pub fn version(&self) -> Version {
        let is_active = if self.is_active { "1" } else { "0" };
        let off_reason = self.off_reason.as_deref().unwrap_or_default();
        let texts = [&self.url, self.description.as_str(), is_active, off_reason];
        Version::of_texts(texts.into_iter().chain(self.events.iter().map(String::as_str)))
    }
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
    /// What its owner has seen; `None` accepts any version.
    pub seen: Option<Version>,
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
    /// When the first of them was.
    pub failing_since: Option<Timestamp>,
    /// Why it is to be switched off, if it is.
    pub off_reason: Option<String>,
}

impl Health {
    /// The state after another delivery, which ended at that time. A reason, once set, stays.
    #[must_use]
    pub fn after(self, end: HookEnd, at: Timestamp) -> Self {
        if self.off_reason.is_some() {
            return self;
        }
        if end == HookEnd::Taken {
            return Self::default();
        }
        let since = self.failing_since.unwrap_or(at);
        let failures = self.failures.saturating_add(1);
        let has_failed_long = failures >= FAILURES_MAX && at.duration_since(since) >= FAILING_MAX;
        let off_reason = match end {
            HookEnd::Gone => Some("It answered 410 Gone.".to_owned()),
            HookEnd::Taken | HookEnd::GivenUp => has_failed_long.then(|| {
                let hours = FAILING_MAX.as_hours();
                format!("{failures} deliveries in a row came to nothing, for {hours} hours.")
            }),
        };
        Self { failures, failing_since: Some(since), off_reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_and_for_a_day_switch_off() {
        let hour = |n: i32| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(n.into());
        let after = |health: Health, ends: &[(HookEnd, i32)]| {
            ends.iter().fold(health, |health, (end, at)| health.after(*end, hour(*at)))
        };
        let given_up = |at| (HookEnd::GivenUp, at);
        // A second's deployment, with much to tell.
        let many = after(Health::default(), &[given_up(1); 500]);
        let wanted = Health { failures: 500, failing_since: Some(hour(1)), off_reason: None };
        assert_eq!(many, wanted);
        assert_eq!(after(many.clone(), &[(HookEnd::Taken, 2)]), Health::default());
        let still = after(many.clone(), &[given_up(24)]);
        assert_eq!(still.off_reason, None);
        let off = after(still, &[given_up(25)]);
        assert!(off.off_reason.as_ref().unwrap().contains("502 deliveries in a row"));
        assert_eq!(after(off.clone(), &[(HookEnd::Taken, 26)]), off, "its owner switches it on");
        // Little to tell, for long.
        let daily: Vec<_> = (0..19).map(|day| given_up(24 * day)).collect();
        let few = after(Health::default(), &daily);
        assert_eq!((few.failures, few.off_reason.as_ref()), (19, None));
        assert!(after(few, &[given_up(500)]).off_reason.is_some());
        let gone = after(Health::default(), &[(HookEnd::Gone, 0)]);
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
