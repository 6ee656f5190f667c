//! Deliveries as operators and recipients see them.

use bellpull_domain::delivery::{Attempt, Outcome};
use bellpull_domain::ids::{DeliveryId, UserId};
use bellpull_domain::notification::DeliveryStatus::{Failed, Queued, Sent, Suppressed};
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::delivery_log::DeliveryFilter;
use bellpull_port::inbox::NotificationFilter;
use bellpull_port::{DeliveryLog, DeliveryStore, InboxStore, PageRequest, TicketStore};

use super::Fixture;
use super::outbox::{due, lease, reachable};
use super::people::{at, fill, first, news, person, tell};

pub(crate) async fn deliveries_are_narrowed_and_paged_newest_first<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    // Only an e-mail address: what goes out by SMS is held back.
    let bob = person(store, "bob", "client").await;
    for n in 0..3 {
        tell(store, &format!("n{n}"), &ann, &[ann.id, bob.id]).await;
    }
    let leased = lease(store, 2, 50).await;
    for (one, number) in leased.iter().zip(0..) {
        let refused = Outcome::Refused { error: "550".to_owned() };
        let outcome = if number == 0 { refused } else { Outcome::Sent { provider_id: None } };
        let (delivery, number) = (one.id, one.attempt);
        let (started_at, due_at) = (at(60), None);
        let attempt = Attempt { delivery, number, started_at, took_ms: 0, outcome, due_at };
        store.record(vec![attempt]).await.unwrap();
    }
    for (status, channel, wanted) in [
        (None, None, 12),
        (Some(Failed), None, 1),
        (Some(Sent), Some(Channel::Email), 1),
        (Some(Sent), Some(Channel::Sms), 0),
        (Some(Queued), None, 7),
        (Some(Queued), Some(Channel::Email), 4),
        (Some(Suppressed), None, 3),
        (None, Some(Channel::Sms), 6),
        (None, Some(Channel::Push), 0),
    ] {
        let filter = DeliveryFilter { status, channel };
        let page = store.deliveries(filter, first(100)).await.unwrap();
        assert_eq!((page.count, page.rows.len()), (wanted, usize::try_from(wanted).unwrap()));
        assert!(page.rows.is_sorted_by(|a, b| a.id > b.id), "{filter:?}");
        assert!(page.rows.iter().all(|row| status.is_none_or(|status| row.status == status)));
        assert!(page.rows.iter().all(|row| channel.is_none_or(|channel| row.channel == channel)));
        // Page by page it is the same list.
        let mut paged = Vec::new();
        for page in 1..=5 {
            let request = PageRequest { page, page_size: 3 };
            paged.extend(store.deliveries(filter, request).await.unwrap().rows);
        }
        assert_eq!(paged, page.rows, "{filter:?}");
    }
    let failed = store.delivery(leased[0].id).await.unwrap().unwrap();
    assert_eq!(failed.recipient, Some(ann.id));
    assert_eq!(failed.recipient_name.as_deref(), Some("ann Example"));
    assert_eq!(failed.error.as_deref(), Some("550"));
    assert_eq!(store.delivery(DeliveryId(9_999)).await.unwrap(), None);
}

pub(crate) async fn a_notification_shows_one_delivery_a_channel<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let id = tell(store, "news", &ann, &[ann.id]).await.entries[0].id;
    let all = store.deliveries_of(&[id]).await.unwrap();
    let channels: Vec<Channel> = all.iter().map(|row| row.channel).collect();
    assert_eq!(channels, [Channel::Email, Channel::Sms]);
    assert!(all.iter().all(|row| row.notification == Some(id) && row.recipient == Some(ann.id)));
    // A second address on one channel, which fared better.
    let sql = format!(
        "INSERT INTO deliveries (id, notification_id, recipient_id, channel, target_id, status, \
         leases, due_at, sent_at) VALUES (9000, {id}, {}, 'SMS', 7, 'SENT', 1, 0, 5)",
        ann.id
    );
    fixture.execute(&sql).await;
    let shown = store.notification(ann.id, id).await.unwrap().unwrap().deliveries;
    let shown: Vec<_> = shown.iter().map(|one| (one.channel, one.status, one.attempts)).collect();
    assert_eq!(shown, [(Channel::Email, Queued, 0), (Channel::Sms, Sent, 1)]);
    assert_eq!(store.deliveries_of(&[id]).await.unwrap().len(), 3);
    let counts = store.unread_counts(ann.id).await.unwrap();
    assert_eq!(counts, (1, vec![(Channel::Email, 1), (Channel::Sms, 1)]));
    let filter = NotificationFilter { channel: Some(Channel::Sms), ..Default::default() };
    assert_eq!(store.notifications(ann.id, &filter, first(10).into()).await.unwrap().count, 1);
}

pub(crate) async fn what_waits_is_counted<F: Fixture>() {
    let fixture = F::make().await;
    let store = &**fixture.store();
    assert!(store.waiting().await.unwrap().is_empty());
    let ann = reachable(store, "ann").await;
    due(store, "a", &ann, 30).await;
    due(store, "b", &ann, 20).await;
    due(store, "c", &ann, 9_000).await;
    lease(store, 1, 50).await;
    let waiting = store.waiting().await.unwrap();
    let mut waiting: Vec<_> =
        waiting.iter().map(|one| (one.channel, one.queued, one.first_due_at)).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, [(Channel::Email, 2, at(30)), (Channel::Sms, 3, at(20))]);
}

pub(crate) async fn a_refused_decision_leaves_no_delivery<F: Fixture>() {
    let fixture = F::with_channels(Channels::of(&[Channel::Email])).await;
    let store = &**fixture.store();
    let ann = reachable(store, "ann").await;
    let refused = news(store, "refused", &ann, &[ann.id, UserId(999)]).await;
    let good = news(store, "good", &ann, &[ann.id]).await;
    let rival = good.clone();
    let (refused, good, rival) =
        tokio::join!(store.commit(refused), store.commit(good), store.commit(rival));
    assert!(refused.is_err() && good.is_ok() && rival.is_err());
    let page = store.deliveries(DeliveryFilter::default(), first(10)).await.unwrap();
    assert_eq!(page.count, 1);
    let announced = good.unwrap().announced.unwrap();
    assert_eq!(page.rows[0].notification, Some(announced.entries[0].id));
    fill(store, &ann, 1).await;
    assert_eq!(lease(store, 10, 50).await.len(), 2);
}
