//! Reports: what was sent, held back and read, by the time of each message.

use bellpull_domain::address::Addresses;
use bellpull_domain::delivery::{Attempt, Outcome, ProviderReport, ProviderStatus, Rule};
use bellpull_domain::ids::UserId;
use bellpull_domain::inbox::Mark;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_port::analytics::{ReportFilter, ReportRow};
use bellpull_port::inbox::Selection;
use bellpull_port::sends::BeginSend;
use bellpull_port::{AccountStore, DeliveryStore, SendStore};

use super::outbox::{due, lease, reachable};
use super::people::{Marks, at, new_user, person};
use super::sends::send;
use super::{Fixture, Store};
use crate::support::owner;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn range(from_ms: i64, to_ms: i64) -> ReportFilter {
    ReportFilter { from: at(from_ms), to: at(to_ms), event: None, channel: None }
}

async fn report(store: &impl Store, filter: ReportFilter) -> Vec<ReportRow> {
    store.report(filter).await.unwrap().unwrap()
}

/// Each event with how many rows of inboxes it has in that range.
async fn in_inboxes(store: &impl Store, from_ms: i64, to_ms: i64) -> Vec<(String, i64)> {
    let filter = ReportFilter { channel: Some(Channel::System), ..range(from_ms, to_ms) };
    report(store, filter).await.into_iter().map(|row| (row.event, row.sent)).collect()
}

fn named(events: &[(&str, i64)]) -> Vec<(String, i64)> {
    events.iter().map(|(event, sent)| ((*event).to_owned(), *sent)).collect()
}

pub(crate) async fn a_report_adds_up_what_became_of_each_event<F: Fixture>() {
    let fixture = F::with_channels(Channels::of(&[Channel::Email])).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let mute = new_user("mute", "client");
    let mute = bellpull_port::accounts::NewUser { addresses: Addresses::default(), ..mute };
    let mute = store.create_user(mute, None).await.unwrap().0;
    let read = due(store, "news", &ann, 10).await.entries[0].id;
    due(store, "news", &ann, 20).await;
    due(store, "news", &ann, 9_000).await;
    due(store, "news", &mute, 30).await;
    let leased = lease(store, 9, 50).await;
    let outcomes = [
        Outcome::Sent { provider_id: Some("m-1".to_owned()) },
        Outcome::Refused { error: "no".to_owned() },
    ];
    let attempt = |(one, outcome): (&bellpull_domain::delivery::Leased, Outcome)| {
        let (delivery, number, started_at) = (one.id, one.attempt, at(60));
        Attempt { delivery, number, started_at, took_ms: 1, outcome, due_at: None }
    };
    store.record(leased.iter().zip(outcomes).map(attempt).collect()).await.unwrap();
    let (provider_id, status) = ("m-1".to_owned(), ProviderStatus::Read);
    let said = ProviderReport { provider_id, status, error: None, at: at(70) };
    store.reported(Channel::Email, said, at(70)).await.unwrap();
    let one = Selection::ids(vec![read]);
    store.mark(ann.id, one, Mark::Read, at(10 + 61_500)).await.unwrap().unwrap();

    let rows = report(store, range(0, DAY_MS)).await;
    let [inbox, email] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((inbox.event.as_str(), inbox.channel), ("news", Channel::System));
    assert_eq!((inbox.sent, inbox.read, inbox.read_p50_s), (4, 1, Some(61)));
    assert_eq!((email.event.as_str(), email.channel), ("news", Channel::Email));
    assert_eq!((email.queued, email.sent, email.failed), (1, 1, 1));
    assert_eq!(email.suppressed, [(Rule::NoAddress, 1)]);
    assert_eq!((email.delivered, email.read_there, email.read), (1, 1, 1));
}

pub(crate) async fn a_report_is_narrowed_to_an_event_and_a_channel<F: Fixture>() {
    let fixture = F::with_channels(Channels::of(&[Channel::Email])).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    for event in ["one", "two", "one"] {
        due(store, event, &ann, 10).await;
    }
    let shape = async |filter: ReportFilter| {
        let rows = report(store, filter).await;
        rows.into_iter().map(|row| (row.event, row.channel)).collect::<Vec<_>>()
    };
    let (one, two) = ("one".to_owned(), "two".to_owned());
    let all = range(0, 100);
    let event = ReportFilter { event: Some(one.clone()), ..all.clone() };
    let wanted = [(one.clone(), Channel::System), (one.clone(), Channel::Email)];
    assert_eq!(shape(event).await, wanted);
    let email = ReportFilter { channel: Some(Channel::Email), ..all.clone() };
    assert_eq!(shape(email).await, [(one, Channel::Email), (two, Channel::Email)]);
    assert_eq!(shape(range(100, 200)).await, []);
}

/// Messages whose ids, times and order of writing have nothing to do with each other.
pub(crate) async fn a_report_goes_by_the_time_of_messages_and_not_by_their_ids<F: Fixture>() {
    let fixture = F::with_channels(Channels::NONE).await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    for (event, day) in [("third", 30), ("first", 1), ("fourth", 40), ("second", 20)] {
        due(store, event, &ann, day * DAY_MS).await;
    }
    let days = async |from: i64, to: i64| in_inboxes(store, from * DAY_MS, to * DAY_MS).await;
    assert_eq!(days(0, 10).await, named(&[("first", 1)]));
    assert_eq!(days(20, 30).await, named(&[("second", 1)]), "from then on, and before then");
    assert_eq!(days(30, 41).await, named(&[("fourth", 1), ("third", 1)]));
    assert_eq!(days(50, 90).await, []);
}

pub(crate) async fn a_send_for_later_counts_when_it_is_due<F: Fixture>() {
    let fixture = F::with_channels(Channels::NONE).await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let later = NewSend {
        due_at: Some(at(9 * DAY_MS)),
        ..send(UserId(1), Recipients::Users(vec![ann.id]))
    };
    let outcome = store.begin_send(later, 9, at(10)).await.unwrap();
    let BeginSend::Begun { send: later, .. } = outcome else { panic!("{outcome:?}") };
    due(store, "meanwhile", &ann, 5 * DAY_MS).await;
    store.continue_send(&owner(), later.id, 9, at(9 * DAY_MS)).await.unwrap();
    assert_eq!(in_inboxes(store, 0, 8 * DAY_MS).await, named(&[("meanwhile", 1)]));
    let due = in_inboxes(store, 9 * DAY_MS, 10 * DAY_MS).await;
    assert_eq!(due, named(&[("maintenance", 1)]));
}
