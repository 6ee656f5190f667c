//! Webhooks: whose they are, what is written for them, how they are switched off; and lanes.

use bellpull_domain::delivery::{Attempt, Leased, Outcome, Rule, Target, WebhookTarget};
use bellpull_domain::ids::{ProjectId, UserId, WebhookId};
use bellpull_domain::routing::{Audience, Channel, Channels};
use bellpull_domain::ticket::Command;
use bellpull_domain::webhook::{
    FAILURES_MAX, HookAddress, HookOwner, HookSecret, NewWebhook, PER_PROJECT_MAX, PER_USER_MAX,
    Webhook, WebhookChanges,
};
use bellpull_port::delivery_log::DeliveryFilter;
use bellpull_port::retention::{Old, Position};
use bellpull_port::webhooks::WhichWebhooks;
use bellpull_port::{
    DeliveryLog, DeliveryStore, LeaseLimit, LeaseOwner, ProjectStore, RetentionStore, StoreError,
    TicketStore, WebhookStore,
};

use super::people::{at, creation, default_project, first, person, raise, step, tell};
use super::push::to;
use super::{Fixture, Store};
use crate::support::owner;

const DAY: i64 = 24 * 3_600_000;

fn address(host: &str) -> HookAddress {
    HookAddress { url: format!("https://{host}/hook"), lane: host.to_owned() }
}

fn new(owner: HookOwner, host: &str, events: &[&str]) -> NewWebhook {
    NewWebhook {
        owner,
        address: address(host),
        events: events.iter().map(|name| (*name).to_owned()).collect(),
        description: "mine".to_owned(),
        is_active: true,
        secret: HookSecret::new(format!("secret of {host}")),
    }
}

pub(crate) async fn hook(
    store: &impl Store,
    owner: HookOwner,
    host: &str,
    events: &[&str],
) -> Webhook {
    store.create_webhook(new(owner, host, events), at(1)).await.unwrap().unwrap()
}

async fn with_hooks<F: Fixture>() -> F {
    F::with_channels(Channels::of(&[Channel::Webhook])).await
}

async fn lease(store: &impl Store, now: i64) -> Vec<Leased> {
    store.lease(&owner(), Channel::Webhook, 999.into(), at(now), at(now + 1_000)).await.unwrap()
}

fn target(leased: &Leased) -> &WebhookTarget {
    let Target::Webhook(target) = &leased.target else { panic!("{leased:?}") };
    target
}

fn ids(leased: &[Leased]) -> Vec<WebhookId> {
    leased.iter().map(|one| target(one).id).collect()
}

fn attempt(leased: &Leased, outcome: Outcome) -> Attempt {
    let (delivery, number) = (leased.id, leased.attempt);
    Attempt { delivery, number, started_at: at(60), took_ms: 1, outcome, due_at: None }
}

fn given_up() -> Outcome {
    Outcome::Later { error: "HTTP 500".to_owned(), after: None, is_outage: false }
}

fn changes(is_active: bool) -> WebhookChanges {
    WebhookChanges { is_active: Some(is_active), ..WebhookChanges::default() }
}

pub(crate) async fn a_webhook_is_kept_changed_and_forgotten<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let ann = person(&**fixture.store(), "ann", "client").await;
    let owner = HookOwner::User(ann.id);
    let made = hook(&**fixture.store(), owner, "a.example", &["mentioned"]).await;
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    assert_eq!(store.webhook(made.id).await.unwrap(), Some(made.clone()));
    let wanted = Webhook {
        id: made.id,
        owner,
        url: "https://a.example/hook".to_owned(),
        events: vec!["mentioned".to_owned()],
        description: "mine".to_owned(),
        is_active: true,
        failures: 0,
        off_reason: None,
        created_at: at(1),
        updated_at: at(1),
    };
    assert_eq!(made, wanted);
    let other = WebhookChanges {
        address: Some(address("b.example")),
        events: Some(Vec::new()),
        description: Some(String::new()),
        ..changes(false)
    };
    let changed = store.change_webhook(made.id, other, at(2)).await.unwrap().unwrap();
    assert_eq!((changed.url.as_str(), changed.is_active), ("https://b.example/hook", false));
    assert!(changed.events.is_empty() && changed.description.is_empty());
    assert_eq!((changed.created_at, changed.updated_at), (at(1), at(2)));
    let nothing = store.change_webhook(made.id, WebhookChanges::default(), at(3)).await.unwrap();
    assert_eq!(nothing, Some(Webhook { updated_at: at(3), ..changed }));

    assert!(store.delete_webhook(made.id).await.unwrap());
    assert!(!store.delete_webhook(made.id).await.unwrap());
    assert_eq!(store.webhook(made.id).await.unwrap(), None);
    assert_eq!(store.change_webhook(made.id, changes(true), at(4)).await.unwrap(), None);
    assert_eq!(store.webhook_target(made.id, at(4)).await.unwrap(), None);
    let secret = HookSecret::new("x".to_owned());
    assert!(!store.rotate_secret(made.id, secret, at(4)).await.unwrap());
    assert_ne!(hook(store, owner, "c.example", &[]).await.id, made.id, "never used again");
}

pub(crate) async fn there_are_so_many_webhooks_and_no_more<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    for (owner, most) in [
        (HookOwner::User(ann.id), PER_USER_MAX),
        (HookOwner::Project(ProjectId::DEFAULT), PER_PROJECT_MAX),
    ] {
        let mut made = Vec::new();
        for _ in 0..most {
            made.push(hook(store, owner, "a.example", &[]).await.id);
        }
        let one_more = || store.create_webhook(new(owner, "a.example", &[]), at(1));
        assert_eq!(one_more().await.unwrap(), None);
        assert!(store.delete_webhook(made[0]).await.unwrap());
        assert!(one_more().await.unwrap().is_some());
    }
    for unknown in [HookOwner::User(UserId(99)), HookOwner::Project(ProjectId(99))] {
        let made = store.create_webhook(new(unknown, "a.example", &[]), at(1)).await;
        assert_eq!(made, Err(StoreError::NotFound));
    }
}

pub(crate) async fn a_list_shows_ones_own_and_those_of_projects<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "admin").await;
    let bob = person(store, "bob", "client").await;
    let web = store.create_project("WEB".to_owned(), "Web".to_owned(), ann.id, at(1)).await;
    let web = web.unwrap().id;
    let mut made = Vec::new();
    for owner in [
        HookOwner::User(ann.id),
        HookOwner::User(bob.id),
        HookOwner::Project(ProjectId::DEFAULT),
        HookOwner::Project(web),
    ] {
        made.push(hook(store, owner, "a.example", &[]).await.id);
    }
    for (which, wanted) in [
        (WhichWebhooks::Own(bob.id), vec![made[1]]),
        (WhichWebhooks::OwnAndProjects(ann.id), vec![made[0], made[2], made[3]]),
        (WhichWebhooks::Of(web), vec![made[3]]),
        (WhichWebhooks::Of(ProjectId(99)), vec![]),
    ] {
        let page = store.webhooks(which, first(10)).await.unwrap();
        let shown: Vec<WebhookId> = page.rows.iter().map(|hook| hook.id).collect();
        assert_eq!((shown, usize::try_from(page.count).unwrap()), (wanted.clone(), wanted.len()));
    }
    let page = store.webhooks(WhichWebhooks::OwnAndProjects(ann.id), first(2)).await.unwrap();
    assert_eq!((page.rows.len(), page.count), (2, 3));
}

pub(crate) async fn a_users_webhook_hears_of_what_comes_into_the_inbox<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let bob = person(store, "bob", "client").await;
    let owner = HookOwner::User(ann.id);
    let all = hook(store, owner, "a.example", &[]).await.id;
    let some = hook(store, owner, "b.example", &["mentioned", "build_done"]).await.id;
    let off = hook(store, owner, "c.example", &[]).await.id;
    store.change_webhook(off, changes(false), at(2)).await.unwrap();
    let announced = tell(store, "ticket_created", &bob, &[ann.id, bob.id]).await;
    assert_eq!(announced.channels, Channels::of(&[Channel::Webhook]));
    let leased = lease(store, 50).await;
    assert_eq!(ids(&leased), [all]);
    let one = &leased[0];
    assert_eq!(to(one), Some(ann.id));
    let hers = announced.entries.iter().find(|entry| entry.recipient == ann.id).unwrap();
    assert_eq!(one.notification, Some(hers.id));
    assert_eq!(one.contents[0].message, announced.content.message);
    assert_eq!(target(one).url, "https://a.example/hook");
    assert_eq!(target(one).project, None);
    assert_eq!(target(one).secrets, [HookSecret::new("secret of a.example".to_owned())]);
    tell(store, "build_done", &bob, &[ann.id]).await;
    assert_eq!(ids(&lease(store, 60).await), [all, some]);

    // Switched off, or forgotten, it is called no more, whatever is on its way.
    tell(store, "mentioned", &bob, &[ann.id]).await;
    store.change_webhook(all, changes(false), at(70)).await.unwrap();
    store.delete_webhook(some).await.unwrap();
    assert!(lease(store, 70).await.is_empty());
    let none = tell(store, "mentioned", &bob, &[ann.id]).await;
    assert_eq!(none.channels, Channels::NONE);
    let page = store.deliveries(DeliveryFilter::default(), first(10)).await.unwrap();
    let held_back = page.rows.iter().filter(|row| row.rule == Some(Rule::NoAddress));
    assert_eq!((page.count, held_back.count()), (5, 2));
}

pub(crate) async fn a_projects_webhook_is_called_once_an_event_whatever_its_recipients<
    F: Fixture,
>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let carl = person(store, "carl", "client").await;
    let ann = person(store, "ann", "admin").await;
    let bob = person(store, "bob", "admin").await;
    let web = store.create_project("WEB".to_owned(), "Web".to_owned(), ann.id, at(1)).await;
    let web = web.unwrap();
    let of_default = HookOwner::Project(ProjectId::DEFAULT);
    let everything = hook(store, of_default, "a.example", &[]).await.id;
    let opened = hook(store, of_default, "b.example", &["ticket_opened"]).await.id;
    let hers = hook(store, HookOwner::User(ann.id), "c.example", &[]).await.id;
    let other = hook(store, HookOwner::Project(web.id), "d.example", &[]).await.id;
    let made = raise(store, "One", &carl).await;
    assert_eq!(made.announced.as_ref().unwrap().entries.len(), 2, "both admins");
    let leased = lease(store, 50).await;
    assert_eq!(ids(&leased), [hers, everything]);
    let [_, one] = &leased[..] else { panic!("not two") };
    assert_eq!((one.notification, to(one)), (None, None));
    assert_eq!(target(one).project, Some(ProjectId::DEFAULT));
    let message = &one.contents[0].message;
    assert_eq!(message.event.as_str(), "ticket_created");
    assert_eq!(message.ticket.as_ref().unwrap().key, made.ticket.key);
    store.commit(step(&made.ticket, Command::Open, &bob)).await.unwrap();
    assert_eq!(ids(&lease(store, 1_001).await), [everything, opened]);

    let id = store.reserve_ticket_id().await.unwrap();
    store.commit(creation(id, &web, "Two", &ann)).await.unwrap();
    assert_eq!(ids(&lease(store, 1_002).await), [other], "Bob has no webhook, Ann did it");
    let row = store.deliveries(DeliveryFilter::default(), first(1)).await.unwrap().rows.remove(0);
    assert_eq!((row.notification, row.recipient, row.recipient_name), (None, None, None));
    assert_eq!((row.channel, row.target), (Channel::Webhook, other.0));
}

pub(crate) async fn an_event_without_recipients_reaches_a_projects_webhook<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let ann = person(&**fixture.store(), "ann", "admin").await;
    let lone = raise(&**fixture.store(), "Unnoticed", &ann).await;
    assert!(lone.announced.is_none(), "its raiser is the only admin");
    let owner = HookOwner::Project(ProjectId::DEFAULT);
    let id = hook(&**fixture.store(), owner, "a.example", &[]).await.id;
    let announced = raise(&**fixture.store(), "One", &ann).await.announced.unwrap();
    assert!(announced.entries.is_empty());
    assert_eq!(announced.channels, Channels::of(&[Channel::Webhook]));
    // The letter is read again from what was written.
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    let leased = lease(store, 50).await;
    assert_eq!(ids(&leased), [id]);
    assert_eq!(leased[0].contents[0].message.body, announced.content.message.body);
    let sent = Outcome::Sent { provider_id: None };
    store.record(vec![attempt(&leased[0], sent)]).await.unwrap();
    assert!(lease(store, 9_999).await.is_empty());
    let mut silent =
        creation(store.reserve_ticket_id().await.unwrap(), &default_project(), "Silent", &ann);
    silent.announcement.as_mut().unwrap().audience = Audience::default();
    assert!(store.commit(silent).await.unwrap().announced.is_some());
}

pub(crate) async fn what_a_project_was_told_is_kept_with_its_deliveries<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "admin").await;
    hook(store, HookOwner::Project(ProjectId::DEFAULT), "a.example", &[]).await;
    assert!(raise(store, "One", &ann).await.announced.unwrap().entries.is_empty());
    let forget =
        async |what| store.forget(what, at(DAY), Position::START, 100).await.unwrap().removed;
    assert_eq!((forget(Old::Deliveries).await, forget(Old::Messages).await), (0, 0), "it waits");
    let leased = lease(store, 50).await;
    let sent = Outcome::Sent { provider_id: None };
    store.record(vec![attempt(&leased[0], sent)]).await.unwrap();
    assert_eq!(forget(Old::Messages).await, 0, "its delivery is shown");
    assert_eq!((forget(Old::Deliveries).await, forget(Old::Messages).await), (1, 1));
}

pub(crate) async fn an_old_secret_signs_beside_the_new_one_for_a_day<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let id = hook(store, HookOwner::User(ann.id), "a.example", &[]).await.id;
    let secrets = async |now: i64| {
        let target = store.webhook_target(id, at(now)).await.unwrap().unwrap();
        target.secrets.iter().map(|one| one.reveal().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(secrets(1).await, ["secret of a.example"]);
    let rotate = async |to: &str, now: i64| {
        let secret = HookSecret::new(to.to_owned());
        assert!(store.rotate_secret(id, secret, at(now)).await.unwrap());
    };
    rotate("second", 10).await;
    assert_eq!(secrets(11).await, ["second", "secret of a.example"]);
    assert_eq!(secrets(10 + DAY).await, ["second"], "a day later");
    rotate("third", 20).await;
    assert_eq!(secrets(21).await, ["third", "second"]);
    tell(store, "news", &ann, &[ann.id]).await;
    let leased = lease(store, 50).await;
    let signing: Vec<&str> = target(&leased[0]).secrets.iter().map(HookSecret::reveal).collect();
    assert_eq!(signing, ["third", "second"]);
    let again = lease(store, 50 + DAY).await;
    assert_eq!(target(&again[0]).secrets.len(), 1);
}

pub(crate) async fn a_webhook_that_is_gone_is_switched_off<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let gone = hook(store, HookOwner::User(ann.id), "a.example", &[]).await.id;
    let here = hook(store, HookOwner::User(ann.id), "b.example", &[]).await.id;
    tell(store, "news", &ann, &[ann.id]).await;
    tell(store, "more", &ann, &[ann.id]).await;
    let limit = LeaseLimit { most: 9, lane_max: 1 };
    let both = store.lease(&owner(), Channel::Webhook, limit, at(50), at(99)).await.unwrap();
    assert_eq!(ids(&both), [gone, here]);
    let error = Outcome::Gone { error: "HTTP 410".to_owned() };
    store.record(vec![attempt(&both[0], error)]).await.unwrap();
    let found = store.webhook(gone).await.unwrap().unwrap();
    assert!(!found.is_active && found.off_reason.unwrap().contains("410"));
    assert!(store.webhook(here).await.unwrap().unwrap().is_active);
    // The second one was written for both.
    assert_eq!(ids(&lease(store, 60).await), [here]);
    let on = store.change_webhook(gone, changes(true), at(70)).await.unwrap().unwrap();
    assert_eq!((on.is_active, on.failures, on.off_reason), (true, 0, None));
}

pub(crate) async fn a_webhook_that_fails_for_long_is_switched_off_and_its_owner_told_once<
    F: Fixture,
>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let id = hook(store, HookOwner::User(ann.id), "a.example", &[]).await.id;
    let mut count = 0;
    let mut end = async |outcome: Outcome, hour: i64| {
        count += 1;
        tell(store, &format!("news{count}"), &ann, &[ann.id]).await;
        let leased = lease(store, 50 + count).await;
        let started_at = at(hour * 3_600_000);
        store.record(vec![Attempt { started_at, ..attempt(&leased[0], outcome) }]).await.unwrap();
        store.webhook(id).await.unwrap().unwrap()
    };
    for n in 1..=FAILURES_MAX {
        let still = end(given_up(), 1).await;
        assert_eq!((still.failures, still.is_active), (n, true), "a short outage");
    }
    let fine = end(Outcome::Sent { provider_id: None }, 2).await;
    assert_eq!((fine.failures, fine.is_active), (0, true));
    for n in 1..FAILURES_MAX {
        assert!(end(given_up(), 26 + i64::from(n)).await.is_active, "they were not in a row");
    }
    assert!(store.untold_webhooks().await.unwrap().is_empty());
    assert!(!store.tell_webhook(id).await.unwrap());
    let off = end(Outcome::Refused { error: "HTTP 404".to_owned() }, 51).await;
    assert!(!off.is_active);
    assert!(off.off_reason.clone().unwrap().contains("in a row"));
    assert_eq!(tell(store, "last", &ann, &[ann.id]).await.channels, Channels::NONE);
    assert_eq!(store.untold_webhooks().await.unwrap(), [off]);
    assert!(store.tell_webhook(id).await.unwrap());
    assert!(!store.tell_webhook(id).await.unwrap(), "another node has told it");
    assert!(store.untold_webhooks().await.unwrap().is_empty());
    // Switched on again, it begins anew.
    store.change_webhook(id, changes(true), at(70)).await.unwrap();
    for _ in 0..FAILURES_MAX {
        assert!(end(given_up(), 60).await.is_active);
    }
    assert!(!end(given_up(), 90).await.is_active);
    assert!(store.tell_webhook(id).await.unwrap());
}

pub(crate) async fn a_record_that_is_repeated_counts_once<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let ann = person(store, "ann", "client").await;
    let id = hook(store, HookOwner::User(ann.id), "a.example", &[]).await.id;
    let failures = async || store.webhook(id).await.unwrap().unwrap().failures;
    for n in 0..3 {
        tell(store, &format!("news{n}"), &ann, &[ann.id]).await;
    }
    let leased = lease(store, 50).await;
    let later = Attempt { due_at: Some(at(500)), ..attempt(&leased[0], given_up()) };
    store.record(vec![later]).await.unwrap();
    assert_eq!(failures().await, 0, "it is not given up yet");
    let one = attempt(&leased[1], given_up());
    let other = attempt(&leased[2], given_up());
    store.record(vec![one.clone(), one.clone(), other]).await.unwrap();
    assert_eq!(failures().await, 2);
    store.record(vec![one]).await.unwrap();
    assert_eq!(failures().await, 2);
}

/// Two webhooks at one host that hangs, and one elsewhere that was told last.
async fn crowded(store: &impl Store) -> (Vec<WebhookId>, WebhookId) {
    let ann = person(store, "ann", "client").await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        slow.push(hook(store, HookOwner::User(ann.id), "slow.example", &["flood"]).await.id);
    }
    let quick = hook(store, HookOwner::User(ann.id), "quick.example", &["news"]).await.id;
    for _ in 0..30 {
        tell(store, "flood", &ann, &[ann.id]).await;
    }
    tell(store, "news", &ann, &[ann.id]).await;
    (slow, quick)
}

pub(crate) async fn a_full_lane_does_not_hold_up_the_others<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    let (slow, quick) = crowded(store).await;
    let limit = LeaseLimit { most: 9, lane_max: 4 };
    let lease = async |now| {
        store.lease(&owner(), Channel::Webhook, limit, at(now), at(9_000)).await.unwrap()
    };
    let leased = lease(1_000).await;
    assert_eq!(ids(&leased), [slow[0], slow[1], slow[0], slow[1], quick], "by due time");
    assert!(lease(1_001).await.is_empty(), "four of a host at once, whichever webhook's");
    let other = LeaseOwner::new("other", at(0));
    let others = store.lease(&other, Channel::Webhook, limit, at(1_001), at(9_000)).await.unwrap();
    assert_eq!(others.len(), 4, "what one owner holds closes no lane to another");
    assert!(store.next_due(&other, Channel::Webhook, 5).await.unwrap() < Some(at(1_000)));
    store.release(&other, Channel::Webhook, Vec::new()).await.unwrap();
    let sent = Outcome::Sent { provider_id: None };
    store.record(vec![attempt(&leased[0], sent)]).await.unwrap();
    assert_eq!(lease(1_002).await.len(), 1, "one has made room");
    // What ended without a record has its place back.
    assert_eq!(lease(9_000).await.len(), 5);
    let most = LeaseLimit { most: 3, lane_max: 4 };
    store.release(&owner(), Channel::Webhook, Vec::new()).await.unwrap();
    let few = store.lease(&owner(), Channel::Webhook, most, at(9_001), at(9_002)).await.unwrap();
    assert_eq!(few.len(), 3);
}

pub(crate) async fn what_is_in_a_full_lane_is_not_due<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let store = &**fixture.store();
    crowded(store).await;
    let next = async |lane_max| store.next_due(&owner(), Channel::Webhook, lane_max).await.unwrap();
    let limit = LeaseLimit { most: 9, lane_max: 4 };
    assert!(next(4).await.unwrap() < at(1_000));
    store.lease(&owner(), Channel::Webhook, limit, at(1_000), at(9_000)).await.unwrap();
    assert_eq!(next(4).await, Some(at(9_000)), "until a lease ends");
    assert!(next(5).await.unwrap() < at(1_000));
}

pub(crate) async fn a_lane_that_hangs_gets_one_at_a_time_until_it_answers<F: Fixture>() {
    let fixture = with_hooks::<F>().await;
    let (slow, quick) = crowded(&**fixture.store()).await;
    let limit = LeaseLimit { most: 9, lane_max: 4 };
    async fn leases(store: &impl Store, limit: LeaseLimit, now: i64) -> Vec<Leased> {
        store.lease(&owner(), Channel::Webhook, limit, at(now), at(90_000)).await.unwrap()
    }
    let later = || Outcome::Later { error: "no answer".to_owned(), after: None, is_outage: false };
    let ended = |leased: &Leased, took_ms, outcome| {
        let due_at = matches!(outcome, Outcome::Later { .. }).then(|| at(80_000));
        Attempt { took_ms, due_at, ..attempt(leased, outcome) }
    };
    let first = leases(&**fixture.store(), limit, 1_000).await;
    assert_eq!(first.len(), 5);
    // What says no at once, and what takes its time and takes what comes, keep their whole part.
    let sent = || Outcome::Sent { provider_id: None };
    let fine = vec![ended(&first[0], 20, later()), ended(&first[1], 9_000, sent())];
    fixture.store().record(fine).await.unwrap();
    let more = leases(&**fixture.store(), limit, 1_001).await;
    assert_eq!(more.len(), 2);
    // Two hang; of the others that are in hand one ends so too.
    let hung = vec![ended(&first[2], 10_000, later()), ended(&first[3], 10_000, later())];
    fixture.store().record(hung).await.unwrap();
    assert!(leases(&**fixture.store(), limit, 1_002).await.is_empty(), "two are in hand");
    fixture.store().record(vec![ended(&more[0], 10_000, later())]).await.unwrap();
    assert!(leases(&**fixture.store(), limit, 1_003).await.is_empty(), "one is");
    let next = fixture.store().next_due(&owner(), Channel::Webhook, 4).await.unwrap();
    assert_eq!(next, Some(at(90_000)), "nothing is due there before that ends");
    // Who begins anew knows it still.
    let fixture = fixture.reopen().await;
    let store = &**fixture.store();
    store.release(&owner(), Channel::Webhook, Vec::new()).await.unwrap();
    let one = leases(store, limit, 1_004).await;
    let elsewhere = one.iter().filter(|leased| target(leased).id == quick).count();
    assert_eq!((one.len(), elsewhere), (2, 1), "one goes there, and the others' as ever");
    let tried = one.iter().find(|leased| slow.contains(&target(leased).id)).unwrap();
    store.record(vec![ended(tried, 10_000, later())]).await.unwrap();
    let tried = leases(store, limit, 1_005).await.remove(0);
    assert!(leases(store, limit, 1_006).await.is_empty());
    store.record(vec![ended(&tried, 30, sent())]).await.unwrap();
    assert_eq!(leases(store, limit, 1_007).await.len(), 4, "it answers: it has its part again");
}
