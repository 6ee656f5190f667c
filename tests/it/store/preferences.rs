//! Wishes, and how what is announced goes by them.

use bellpull_domain::delivery::Rule;
use bellpull_domain::event::Event;
use bellpull_domain::ids::UserId;
use bellpull_domain::notification::DeliveryStatus::{self, Queued, Suppressed};
use bellpull_domain::preference::{
    Day, EVENTS_MAX, EmailDigest, PreferenceChanges, Preferences, QuietHours, Wish,
};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_domain::user::User;
use bellpull_port::sends::BeginSend;
use bellpull_port::{
    DeliveryLog, DeliveryStore, InboxStore, PreferenceStore, SendStore, StoreError, TicketStore,
};
use jiff::civil::time;

use super::outbox::reachable;
use super::people::{at, first, head, news, raise};
use super::sends::send;
use super::{Fixture, Store, push};
use crate::support::owner;

fn wishes(event: &str, of: &[(Channel, Wish)]) -> PreferenceChanges {
    let mut changes = PreferenceChanges::default();
    changes.events.insert(event.to_owned(), of.iter().copied().collect());
    changes
}

async fn wish(store: &impl Store, user: &User, event: &str, of: &[(Channel, Wish)]) {
    let changes = wishes(event, of);
    store.change_preferences(user.id, changes, at(1)).await.unwrap().unwrap();
}

/// The deliveries of a user's newest notification.
async fn newest(store: &impl Store, user: UserId) -> Vec<(Channel, DeliveryStatus, Option<Rule>)> {
    let page = store.notifications(user, &Default::default(), first(1).into()).await.unwrap();
    let rows = store.deliveries_of(&[page.rows[0].id]).await.unwrap();
    rows.into_iter().map(|row| (row.channel, row.status, row.rule)).collect()
}

pub(crate) async fn wishes_are_merged_and_kept<F: Fixture>() {
    let fixture = F::make().await;
    let ann = reachable(&**fixture.store(), "ann").await;
    let store = &**fixture.store();
    assert_eq!(store.preferences(ann.id).await.unwrap(), Preferences::default());
    let quiet = QuietHours {
        start: time(22, 0, 0, 0),
        end: time(7, 30, 0, 0),
        timezone: "Europe/Berlin".to_owned(),
        days: Day::ALL.into_iter().collect(),
    };
    let first = PreferenceChanges {
        quiet_hours: Some(Some(quiet.clone())),
        ..wishes("mentioned", &[(Channel::Email, Wish::No), (Channel::Sms, Wish::Yes)])
    };
    let second = PreferenceChanges {
        email_digest: Some(EmailDigest::Daily),
        ..wishes("mentioned", &[(Channel::Email, Wish::Unsubscribed)])
    };
    store.change_preferences(ann.id, first, at(1)).await.unwrap().unwrap();
    let answered = store.change_preferences(ann.id, second, at(2)).await.unwrap().unwrap();
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let kept = store.preferences(ann.id).await.unwrap();
    assert_eq!(kept, answered);
    assert_eq!((kept.quiet_hours.as_ref(), kept.email_digest), (Some(&quiet), EmailDigest::Daily));
    assert_eq!(kept.wish(&Event::Mentioned, Channel::Email), Some(Wish::Unsubscribed));
    assert_eq!(kept.wish(&Event::Mentioned, Channel::Sms), Some(Wish::Yes));
    let none = PreferenceChanges { quiet_hours: Some(None), ..Default::default() };
    let after = store.change_preferences(ann.id, none, at(3)).await.unwrap().unwrap();
    assert_eq!((after.quiet_hours, after.events), (None, kept.events));
}

pub(crate) async fn wishes_need_an_account_and_have_a_bound<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let one = wishes("a", &[(Channel::Email, Wish::No)]);
    let unknown = store.change_preferences(UserId(999), one, at(1)).await.unwrap_err();
    assert_eq!(unknown, StoreError::NotFound);
    assert_eq!(store.preferences(UserId(999)).await.unwrap(), Preferences::default());
    let mut many = PreferenceChanges::default();
    for n in 0..=EVENTS_MAX {
        many.events.insert(format!("event{n}"), [(Channel::Email, Wish::No)].into());
    }
    assert_eq!(store.change_preferences(ann.id, many.clone(), at(1)).await.unwrap(), None);
    assert_eq!(store.preferences(ann.id).await.unwrap(), Preferences::default());
    many.events.pop_first();
    assert!(store.change_preferences(ann.id, many, at(1)).await.unwrap().is_some());
}

pub(crate) async fn a_wish_against_a_channel_is_recorded<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
    wish(store, &ann, "news", &[(Channel::Email, Wish::No)]).await;
    wish(store, &bob, "news", &[(Channel::Sms, Wish::Unsubscribed)]).await;
    let decision = news(store, "news", &ann, &[ann.id, bob.id]).await;
    store.commit(decision).await.unwrap();
    let (by_wish, by_link) = (Some(Rule::Preference), Some(Rule::Unsubscribed));
    let anns = [(Channel::Email, Suppressed, by_wish), (Channel::Sms, Queued, None)];
    let bobs = [(Channel::Email, Queued, None), (Channel::Sms, Suppressed, by_link)];
    assert_eq!(newest(store, ann.id).await, anns);
    assert_eq!(newest(store, bob.id).await, bobs);
    let leased = store.lease(&owner(), Channel::Email, 10.into(), at(50), at(60)).await.unwrap();
    assert_eq!(leased.iter().map(push::to).collect::<Vec<_>>(), [Some(bob.id)]);
    // Another event is another wish.
    let decision = news(store, "other", &ann, &[ann.id]).await;
    store.commit(decision).await.unwrap();
    assert!(newest(store, ann.id).await.iter().all(|one| one.1 == Queued));
}

pub(crate) async fn a_wish_for_a_channel_adds_it<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = reachable(store, "client").await;
    let admin = super::people::person(store, "admin", "admin").await;
    // A new ticket goes out by e-mail, but not by SMS.
    raise(store, "One", &client).await;
    assert_eq!(newest(store, admin.id).await, [(Channel::Email, Queued, None)]);
    wish(store, &admin, "ticket_created", &[(Channel::Sms, Wish::Yes)]).await;
    raise(store, "Two", &client).await;
    let no_address = Some(Rule::NoAddress);
    let wanted = [(Channel::Email, Queued, None), (Channel::Sms, Suppressed, no_address)];
    assert_eq!(newest(store, admin.id).await, wanted);
}

pub(crate) async fn a_wish_against_the_inbox_makes_nothing<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
    wish(store, &ann, "news", &[(Channel::System, Wish::No)]).await;
    let both = [ann.id, bob.id];
    let decision = news(store, "news", &bob, &both).await;
    let announced = store.commit(decision).await.unwrap().announced.unwrap();
    assert_eq!(announced.entries.iter().map(|one| one.recipient).collect::<Vec<_>>(), [bob.id]);
    assert_eq!(store.head(ann.id).await.unwrap(), head(0, 0, 0));
    let decision = news(store, "news", &bob, &[ann.id]).await;
    assert!(store.commit(decision).await.unwrap().announced.is_none());
    let page = store.deliveries(Default::default(), first(10)).await.unwrap();
    assert!(page.rows.iter().all(|row| row.recipient == Some(bob.id)));
    let decision = news(store, "other", &bob, &both).await;
    assert_eq!(store.commit(decision).await.unwrap().announced.unwrap().entries.len(), 2);
}

pub(crate) async fn sends_go_by_wishes_and_what_is_critical_passes<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
    let event = "maintenance";
    wish(store, &ann, event, &[(Channel::System, Wish::No), (Channel::Email, Wish::No)]).await;
    wish(store, &bob, event, &[(Channel::Email, Wish::No), (Channel::Sms, Wish::Yes)]).await;
    let to = Recipients::Users(vec![ann.id, bob.id]);
    let begin = async |send: NewSend| {
        let outcome = store.begin_send(send, 1, at(10)).await.unwrap();
        let BeginSend::Begun { send, announced, has_more } = outcome else { panic!("{outcome:?}") };
        assert!(has_more);
        let next = store.continue_send(&owner(), send.id, 1, at(20)).await.unwrap();
        [announced, next.announced]
            .map(|announced| announced.map_or(0, |announced| announced.entries.len()))
    };
    // The send names e-mail alone: a wish for SMS does not add it.
    assert_eq!(begin(send(ann.id, to.clone())).await, [0, 1]);
    let held_back = [(Channel::Email, Suppressed, Some(Rule::Preference))];
    assert_eq!(newest(store, bob.id).await, held_back);
    let channels = Channels::of(&[Channel::System, Channel::Email, Channel::Sms]);
    let critical = NewSend { is_critical: true, channels, ..send(ann.id, to) };
    assert_eq!(begin(critical).await, [1, 1]);
    let all = [(Channel::Email, Queued, None), (Channel::Sms, Queued, None)];
    assert_eq!(newest(store, ann.id).await, all);
    assert_eq!(newest(store, bob.id).await, all);
    // A send to a recipient who has switched it off is a send without inbox entries.
    let alone = send(bob.id, Recipients::Users(vec![ann.id]));
    let outcome = store.begin_send(alone, 10, at(10)).await.unwrap();
    let BeginSend::Begun { send, announced, has_more } = outcome else { panic!("{outcome:?}") };
    assert_eq!((send.recipients, announced.is_none(), has_more), (1, true, false));
    assert_eq!(store.head(ann.id).await.unwrap(), head(1, 1, 0));
}

pub(crate) async fn wishes_count_for_whatever_comes_after_them<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let changes = wishes("news", &[(Channel::Email, Wish::No)]);
    let decision = news(store, "news", &ann, &[ann.id]).await;
    let change = store.change_preferences(ann.id, changes, at(1));
    let (changed, announced) = if F::IS_EXCLUSIVE {
        // One process writes in the order of the requests, also within one group.
        tokio::join!(change, store.commit(decision))
    } else {
        (change.await, store.commit(decision).await)
    };
    assert!(changed.unwrap().is_some() && announced.is_ok());
    let rule = Some(Rule::Preference);
    assert_eq!(newest(store, ann.id).await[0], (Channel::Email, Suppressed, rule));
}
