//! Policies, and what calls their steps off.

use bellpull_domain::delivery::{Attempt, Leased, Outcome, Rule};
use bellpull_domain::escalation::{Escalation, POLICIES_MAX, Step};
use bellpull_domain::event::Event;
use bellpull_domain::ids::{NotificationId, UserId};
use bellpull_domain::inbox::Mark;
use bellpull_domain::notification::DeliveryStatus::{self, Queued, Sent, Suppressed};
use bellpull_domain::preference::{EmailDigest, PreferenceChanges, Wish};
use bellpull_domain::routing::Channel::{self, Email, Sms};
use bellpull_domain::routing::Channels;
use bellpull_domain::send::{NewSend, Recipients};
use bellpull_domain::ticket::{Command, Edit};
use bellpull_domain::user::User;
use bellpull_port::accounts::UserChanges;
use bellpull_port::inbox::Selection;
use bellpull_port::sends::BeginSend;
use bellpull_port::{
    DeliveryLog, DeliveryStore, EscalationStore, PreferenceStore, SendStore, TicketStore,
};
use futures_util::future::join_all;

use super::outbox::{due, lease, reachable as user_with_addresses};
use super::people::{Marks, at, first, news, person, raise, step, tell};
use super::sends::send;
use super::{Fixture, Store};
use crate::support::owner;

/// In ms.
const SECOND: i64 = 1_000;

fn policy(steps: &[(Channel, u32)]) -> Escalation {
    let step = |&(channel, after_s)| Step { channel, after_s };
    Escalation::new(steps.iter().map(step).collect()).unwrap()
}

async fn set(store: &impl Store, event: &str, steps: &[(Channel, u32)]) {
    let event = Event::from_name(event);
    store.set_escalation(&event, policy(steps), None, at(1)).await.unwrap().unwrap();
}

/// A user with addresses who may see every ticket: what waits goes to no one else.
async fn reachable(store: &impl Store, name: &str) -> User {
    let user = user_with_addresses(store, name).await;
    let is_admin = UserChanges { role: Some("admin".parse().unwrap()), ..Default::default() };
    store.update_user(user.id, is_admin).await.unwrap()
}

type Shown = (Channel, DeliveryStatus, Option<Rule>);

/// How a notification's ways out stand.
async fn ways(store: &impl Store, of: NotificationId) -> Vec<Shown> {
    let rows = store.deliveries_of(&[of]).await.unwrap();
    rows.into_iter().map(|row| (row.channel, row.status, row.rule)).collect()
}

async fn mark(store: &impl Store, user: &User, selection: Selection, mark: Mark) {
    store.mark(user.id, selection, mark, at(5)).await.unwrap();
}

async fn read(store: &impl Store, user: &User, id: NotificationId) {
    mark(store, user, Selection::ids(vec![id]), Mark::Read).await;
}

/// Leases text messages that are due at `now`.
async fn texts(store: &impl Store, now: i64) -> Vec<Leased> {
    store.lease(&owner(), Sms, 10.into(), at(now), at(now + SECOND)).await.unwrap()
}

async fn record(store: &impl Store, leased: &Leased, outcome: Outcome, due_ms: Option<i64>) {
    let (delivery, number, due_at) = (leased.id, leased.attempt, due_ms.map(at));
    let attempt = Attempt { delivery, number, started_at: at(9), took_ms: 1, outcome, due_at };
    store.record(vec![attempt]).await.unwrap();
}

const GOES_OUT: Shown = (Email, Queued, None);
const WAITS: Shown = (Sms, Queued, Some(Rule::Escalation));
const SEEN: Shown = (Sms, Suppressed, Some(Rule::Seen));
const MOVED_ON: Shown = (Sms, Suppressed, Some(Rule::MovedOn));

pub(crate) async fn policies_are_kept_listed_and_taken_away<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    set(store, "news", &[(Email, 9)]).await;
    set(store, "fire", &[(Email, 60), (Sms, 5)]).await;
    set(store, "news", &[(Sms, 7)]).await;
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let page = store.escalations(first(1)).await.unwrap();
    assert_eq!((page.count, page.rows[0].event.as_str()), (2, "fire"));
    assert_eq!(page.rows[0].escalation, policy(&[(Sms, 5), (Email, 60)]));
    let name = Event::from_name("news");
    let row = store.escalation(&name).await.unwrap().unwrap();
    assert_eq!((row.escalation, row.updated_at), (policy(&[(Sms, 7)]), at(1)));
    assert!(store.remove_escalation(&name).await.unwrap());
    assert!(!store.remove_escalation(&name).await.unwrap());
    assert_eq!(store.escalation(&name).await.unwrap(), None);
    assert_eq!(store.escalations(first(10)).await.unwrap().count, 1);
}

pub(crate) async fn policies_have_a_bound<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    join_all((0..POLICIES_MAX).map(async |n| set(store, &format!("e{n}"), &[(Sms, 1)]).await))
        .await;
    let one_more = Event::from_name("one more");
    assert_eq!(
        store.set_escalation(&one_more, policy(&[(Sms, 1)]), None, at(1)).await.unwrap(),
        None
    );
    set(store, "e0", &[(Sms, 2)]).await;
    assert_eq!(store.escalations(first(1)).await.unwrap().count, POLICIES_MAX);
}

pub(crate) async fn a_step_is_due_when_it_has_waited<F: Fixture>() {
    let fixture = F::make().await;
    let ann = reachable(&**fixture.store(), "ann").await;
    set(&**fixture.store(), "news", &[(Sms, 60)]).await;
    due(&**fixture.store(), "news", &ann, 10).await;
    // A policy that changes, and a crash, change nothing for what was announced before.
    set(&**fixture.store(), "news", &[(Sms, 5)]).await;
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    assert_eq!(lease(store, 10, 10).await.len(), 1, "e-mail is not named: it goes at once");
    assert_eq!(store.next_due(&owner(), Sms, u32::MAX).await.unwrap(), Some(at(10 + 60 * SECOND)));
    assert!(texts(store, 9 + 60 * SECOND).await.is_empty());
    let leased = texts(store, 10 + 60 * SECOND).await;
    assert_eq!(leased.len(), 1);
    assert!(store.delivery(leased[0].id).await.unwrap().unwrap().is_until_seen);
    assert_eq!(texts(store, 10 + 120 * SECOND).await.len(), 1, "a lease that ended is not lost");
}

pub(crate) async fn a_read_or_a_delete_calls_the_rest_off<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let (ann, bob) = (reachable(store, "ann").await, reachable(store, "bob").await);
    set(store, "news", &[(Sms, 60)]).await;
    let one = tell(store, "news", &bob, &[ann.id, bob.id]).await.entries;
    let two = tell(store, "news", &bob, &[ann.id]).await.entries;
    let three = tell(store, "news", &bob, &[ann.id]).await.entries;
    read(store, &ann, one[0].id).await;
    assert_eq!(ways(store, one[0].id).await, [GOES_OUT, SEEN], "what was not named goes out");
    assert_eq!(ways(store, one[1].id).await, [GOES_OUT, WAITS], "bob has not seen it");
    assert_eq!(ways(store, two[0].id).await, [GOES_OUT, WAITS]);
    mark(store, &ann, Selection::ids(vec![two[0].id]), Mark::Delete).await;
    assert_eq!(ways(store, two[0].id).await, [GOES_OUT, SEEN]);
    // To be unread again is not to be told again.
    mark(store, &ann, Selection::ids(vec![one[0].id]), Mark::Unread).await;
    assert_eq!(ways(store, one[0].id).await, [GOES_OUT, SEEN]);
    mark(store, &ann, Selection::all(), Mark::Read).await;
    assert_eq!(ways(store, three[0].id).await, [GOES_OUT, SEEN]);
    assert_eq!(texts(store, 60 * SECOND + 1_000).await.len(), 1, "bob's");
}

pub(crate) async fn marks_of_one_group_call_off_each_its_own<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    set(store, "news", &[(Sms, 60)]).await;
    let mut announced = Vec::new();
    for n in 0..6 {
        let user = reachable(store, &format!("user{n}")).await;
        let mine = tell(store, "news", &user, &[user.id]).await.entries[0].id;
        let other = tell(store, "news", &user, &[user.id]).await.entries[0].id;
        announced.push((user, mine, other));
    }
    join_all(announced.iter().map(|(user, mine, _)| read(store, user, *mine))).await;
    for (_, mine, other) in announced {
        assert_eq!(ways(store, mine).await, [GOES_OUT, SEEN]);
        assert_eq!(ways(store, other).await, [GOES_OUT, WAITS]);
    }
}

pub(crate) async fn a_ticket_that_moves_on_calls_the_rest_off<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = reachable(store, "client").await;
    let admin = reachable(store, "admin").await;
    let admin = User { role: "admin".parse().unwrap(), ..admin };
    set(store, "news", &[(Sms, 60)]).await;
    set(store, "ticket_opened", &[(Sms, 30)]).await;
    let decision = news(store, "news", &client, &[admin.id]).await;
    let committed = store.commit(decision).await.unwrap();
    let id = committed.announced.unwrap().entries[0].id;
    let other = tell(store, "news", &client, &[admin.id]).await.entries[0].id;
    let title = Some("Better".to_owned());
    let edit = Command::Edit(Edit { title, ..Edit::default() });
    let edited = store.commit(step(&committed.ticket, edit, &client)).await.unwrap();
    assert_eq!(ways(store, id).await, [GOES_OUT, WAITS], "an edit is no step");
    let opened = store.commit(step(&edited.ticket, Command::Open, &admin)).await.unwrap();
    assert_eq!(ways(store, id).await, [GOES_OUT, MOVED_ON]);
    assert_eq!(ways(store, other).await, [GOES_OUT, WAITS], "another ticket's");
    let news = opened.announced.unwrap().entries[0].id;
    assert_eq!(ways(store, news).await, [GOES_OUT, WAITS], "what it moved on to is news itself");
    store.commit(step(&opened.ticket, Command::Delete, &client)).await.unwrap();
    assert_eq!(ways(store, news).await, [GOES_OUT, MOVED_ON]);
}

pub(crate) async fn two_steps_of_a_ticket_in_one_group_leave_the_last_ones<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = reachable(store, "client").await;
    let admin = person(store, "admin", "admin").await;
    let developer = reachable(store, "dev").await;
    let developer = User { role: "developer".parse().unwrap(), ..developer };
    for event in ["ticket_opened", "ticket_assigned"] {
        set(store, event, &[(Sms, 60)]).await;
    }
    let raised = raise(store, "One", &client).await.ticket;
    let opened = step(&raised, Command::Open, &admin);
    let assign = Command::Assign { developers: vec![developer.clone()] };
    let assigned = step(&opened.ticket, assign, &admin);
    let (opened, assigned) = tokio::join!(store.commit(opened), store.commit(assigned));
    let announced = |committed: Result<_, _>| {
        let committed: bellpull_port::tickets::Committed = committed.unwrap();
        committed.announced.unwrap().entries[0].id
    };
    assert_eq!(ways(store, announced(opened)).await, [GOES_OUT, MOVED_ON]);
    assert_eq!(ways(store, announced(assigned)).await, [GOES_OUT, WAITS]);
}

pub(crate) async fn what_is_with_a_provider_may_go_out<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    set(store, "news", &[(Sms, 1)]).await;
    let ids = [
        due(store, "news", &ann, 0).await.entries[0].id,
        due(store, "news", &ann, 1).await.entries[0].id,
    ];
    let leased = texts(store, 2 * SECOND).await;
    assert_eq!(leased.len(), 2);
    mark(store, &ann, Selection::ids(ids.to_vec()), Mark::Read).await;
    record(store, &leased[0], Outcome::Sent { provider_id: None }, None).await;
    assert_eq!(ways(store, ids[0]).await[1].1, Sent);
    // Where the provider did not take it, it is not tried again: it was seen.
    let later = Outcome::Later { error: "busy".to_owned(), after: None, is_outage: false };
    record(store, &leased[1], later, Some(9 * SECOND)).await;
    assert_eq!(ways(store, ids[1]).await, [GOES_OUT, SEEN]);
    assert!(texts(store, 10 * SECOND).await.is_empty());
    // Unless it did take it, and says so late.
    record(store, &leased[1], Outcome::Sent { provider_id: None }, None).await;
    assert_eq!(ways(store, ids[1]).await[1].1, Suppressed, "this attempt was recorded already");
}

pub(crate) async fn what_is_with_a_provider_when_its_ticket_moves_on_is_not_tried_again<
    F: Fixture,
>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let client = reachable(store, "client").await;
    let admin = reachable(store, "admin").await;
    let others = [reachable(store, "ann").await, reachable(store, "bob").await];
    set(store, "news", &[(Sms, 1)]).await;
    set(store, "ticket_opened", &[(Sms, 1)]).await;
    let to = [admin.id, others[0].id, others[1].id];
    let raised = store.commit(news(store, "news", &client, &to).await).await.unwrap();
    let ids: Vec<_> = raised.announced.unwrap().entries.iter().map(|entry| entry.id).collect();
    let unmoved = tell(store, "news", &client, &[admin.id]).await.entries[0].id;
    let leased = texts(store, 2 * SECOND).await;
    assert_eq!(leased.len(), 4, "all of the ticket's steps are with a provider");
    let opened = store.commit(step(&raised.ticket, Command::Open, &admin)).await.unwrap();
    let news = opened.announced.unwrap().entries[0].id;
    let later = || Outcome::Later { error: "busy".to_owned(), after: None, is_outage: false };
    let of = |id: NotificationId| leased.iter().find(|one| one.notification == Some(id)).unwrap();
    record(store, of(ids[0]), Outcome::Sent { provider_id: None }, None).await;
    assert_eq!(ways(store, ids[0]).await[1].1, Sent, "what a provider takes is sent");
    record(store, of(ids[1]), later(), Some(9 * SECOND)).await;
    assert_eq!(ways(store, ids[1]).await, [GOES_OUT, MOVED_ON]);
    record(store, of(unmoved), later(), Some(9 * SECOND)).await;
    assert_eq!(ways(store, unmoved).await, [GOES_OUT, WAITS], "another ticket's");
    // What comes back without an attempt is not begun again either.
    store.give_back(&owner(), vec![(of(ids[2]).id, of(ids[2]).attempt)]).await.unwrap();
    let again = texts(store, 10 * SECOND).await;
    let again: Vec<_> = again.iter().filter_map(|one| one.notification).collect();
    assert_eq!((again.len(), again.contains(&unmoved), again.contains(&news)), (2, true, true));
    assert_eq!(ways(store, ids[2]).await, [GOES_OUT, MOVED_ON]);
}

pub(crate) async fn a_late_success_of_what_was_called_off_counts<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    set(store, "news", &[(Sms, 1)]).await;
    let id = due(store, "news", &ann, 0).await.entries[0].id;
    let leased = texts(store, 2 * SECOND).await;
    store.release(&owner(), Sms, Vec::new()).await.unwrap();
    read(store, &ann, id).await;
    assert_eq!(ways(store, id).await, [GOES_OUT, SEEN]);
    record(store, &leased[0], Outcome::Sent { provider_id: None }, None).await;
    assert_eq!(ways(store, id).await[1], (Sms, Sent, None));
}

pub(crate) async fn wishes_hold_back_steps_too<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    set(store, "news", &[(Sms, 60), (Email, 600)]).await;
    let mut changes = PreferenceChanges::default();
    changes.events.insert("news".to_owned(), [(Sms, Wish::No)].into());
    changes.email_digest = Some(EmailDigest::Hourly);
    store.change_preferences(ann.id, changes, at(1)).await.unwrap().unwrap();
    let ids = [
        due(store, "news", &ann, 0).await.entries[0].id,
        due(store, "news", &ann, 1).await.entries[0].id,
    ];
    let wanted = [(Email, Queued, Some(Rule::Digest)), (Sms, Suppressed, Some(Rule::Preference))];
    assert_eq!(ways(store, ids[0]).await, wanted);
    // The digest is gathered without what was seen.
    read(store, &ann, ids[0]).await;
    assert_eq!(ways(store, ids[0]).await[0], (Email, Suppressed, Some(Rule::Seen)));
    let hour = 3_600 * SECOND;
    let digest = lease(store, 10, 2 * hour).await;
    assert_eq!((digest.len(), digest[0].contents.len()), (1, 1));
    assert_eq!(digest[0].notification, Some(ids[1]));
    // What an e-mail has gathered stays as it is once a server may have taken it.
    store.release(&owner(), Email, Vec::new()).await.unwrap();
    read(store, &ann, ids[1]).await;
    let again = lease(store, 10, 2 * hour + 1).await;
    assert_eq!((again.len(), again[0].id), (1, digest[0].id));
}

pub(crate) async fn sends_go_by_their_events_policy<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    set(store, "maintenance", &[(Sms, 60)]).await;
    let to = Recipients::Users(vec![ann.id]);
    let channels = Channels::of(&[Channel::System]);
    let for_later = NewSend { channels, due_at: Some(at(100)), ..send(UserId(1), to) };
    let outcome = store.begin_send(for_later, 10, at(10)).await.unwrap();
    let BeginSend::Begun { send, .. } = outcome else { panic!("{outcome:?}") };
    // The channel was off for an hour: it waits from the moment it can be seen.
    let late = 3_600 * SECOND;
    let announced =
        store.continue_send(&owner(), send.id, 10, at(late)).await.unwrap().announced.unwrap();
    assert_eq!(ways(store, announced.entries[0].id).await, [WAITS], "the policy adds its channel");
    assert_eq!(
        store.next_due(&owner(), Sms, u32::MAX).await.unwrap(),
        Some(at(late + 60 * SECOND))
    );
    read(store, &ann, announced.entries[0].id).await;
    assert_eq!(ways(store, announced.entries[0].id).await, [SEEN]);
    assert_eq!(store.next_due(&owner(), Sms, u32::MAX).await.unwrap(), None);
}
