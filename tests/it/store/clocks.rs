//! Clocks that were ahead: what they had due is due by the clock as it is.

use bellpull_domain::delivery::{Attempt, Outcome};
use bellpull_domain::escalation::{Escalation, Step};
use bellpull_domain::event::Event;
use bellpull_domain::preference::{Day, PreferenceChanges, QuietHours};
use bellpull_domain::routing::Channel;
use bellpull_domain::user::User;
use bellpull_port::tickets::AnnouncedMessage;
use bellpull_port::{DeliveryStore, SetBack};
use jiff::Timestamp;
use jiff::civil::time;

use super::outbox::{due, lease, reachable, tried};
use super::people::{at, fill};
use super::{Fixture, Store};
use crate::support::owner;

const HOUR: i64 = 3_600_000;
/// Of the first midnight (UTC) of the tests' time, in ms.
const DAY: i64 = 6_400_000;

pub(crate) async fn what_was_due_is_due_after_the_clock_was_set_back<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    fill(store, &ann, 4).await;
    let leased = lease(store, 2, 50).await;
    let outcome = Outcome::Later { error: "busy".to_owned(), after: None, is_outage: false };
    let failed = Attempt { due_at: Some(at(9_000)), ..tried(&leased[0], outcome) };
    store.record(vec![failed]).await.unwrap();
    let clock = SetBack { was: at(50), now: at(-1_000) };
    assert!(lease(store, 10, -1_000).await.is_empty(), "nothing is due by it");
    assert_eq!(store.set_back(Channel::Email, clock).await.unwrap(), 3);
    let due = store.next_due(&owner(), Channel::Email, u32::MAX).await.unwrap();
    assert_eq!(due, Some(at(-1_000)));
    assert_eq!(lease(store, 10, -1_000).await.len(), 2, "one is leased, one has failed");
    assert!(lease(store, 10, 7_949).await.iter().all(|one| one.id != leased[0].id));
    assert!(lease(store, 10, 7_950).await.iter().any(|one| one.id == leased[0].id));
    assert_eq!(store.set_back(Channel::Sms, clock).await.unwrap(), 4, "each channel by itself");
}

/// When the e-mail of a notification is due.
async fn due_at(store: &impl Store, of: &AnnouncedMessage) -> Timestamp {
    let rows = store.deliveries_of(&[of.entries[0].id]).await.unwrap();
    let row = rows.iter().find(|row| row.channel == Channel::Email).unwrap();
    row.due_at
}

/// A recipient of the event `slowly`, of which e-mails wait for a minute.
async fn slow(store: &impl Store, username: &str) -> User {
    let step = Step { channel: Channel::Email, after_s: 60 };
    let escalation = Escalation::new(vec![step]).unwrap();
    let event = Event::from_name("slowly");
    store.set_escalation(&event, escalation, None, at(1)).await.unwrap().unwrap();
    reachable(store, username).await
}

/// A recipient with quiet hours from ten in the evening until seven.
async fn sleeping(store: &impl Store, username: &str) -> User {
    let user = reachable(store, username).await;
    let quiet_hours = Some(Some(QuietHours {
        start: time(22, 0, 0, 0),
        end: time(7, 0, 0, 0),
        timezone: "UTC".to_owned(),
        days: Day::ALL.into_iter().collect(),
    }));
    let changes = PreferenceChanges { quiet_hours, ..Default::default() };
    store.change_preferences(user.id, changes, at(1)).await.unwrap().unwrap();
    user
}

pub(crate) async fn what_was_written_in_the_future_is_due_by_the_clock_as_it_is<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (ann, bob) = (slow(store, "ann").await, sleeping(store, "bob").await);
    let (now, ahead) = (DAY + 20 * HOUR, DAY + 23 * HOUR);
    let failing = due(store, "failing", &ann, now - HOUR).await;
    let leased = lease(store, 1, ahead).await;
    let outcome = Outcome::Later { error: "busy".to_owned(), after: None, is_outage: false };
    let again = Some(at(ahead + 900));
    let failed = Attempt { started_at: at(ahead), due_at: again, ..tried(&leased[0], outcome) };
    store.record(vec![failed]).await.unwrap();
    let earlier = due(store, "earlier", &ann, now - 5).await;
    let plain = due(store, "plain", &ann, ahead).await;
    let step = due(store, "slowly", &ann, ahead).await;
    let right_step = due(store, "slowly", &ann, now - 5).await;
    let morning = due(store, "quietly", &bob, ahead).await;

    let clocks = [
        (&failing, now + 900, "as much earlier"),
        (&earlier, now - 5, "is due already"),
        (&plain, now, "at once"),
        (&step, now + 60_000, "as much earlier"),
        (&right_step, now + 59_995, "was right"),
        (&morning, DAY + 31 * HOUR, "waits for a time of day"),
    ];
    let moved = store.repair_due(Channel::Email, at(now)).await.unwrap();
    for (of, wanted, why) in clocks {
        assert_eq!(due_at(store, of).await, at(wanted), "{why}");
    }
    assert_eq!(moved, 3);
    assert_eq!(store.repair_due(Channel::Email, at(now)).await.unwrap(), 0, "once");
}
