//! Leases of deliveries: another node takes none that stands, and takes over those of a node that
//! is gone.

use serde_json::json;

use super::post_office::PostOffice;
use super::{Shared, observed, raise, until};
use crate::support::redis::Private;
use crate::support::{Hub, Person};

/// How many leases the nodes of that name have.
async fn leased_by(shared: &Shared, node: &str) -> i64 {
    let sql = "SELECT count(*) FROM deliveries WHERE split_part(lease_owner, '/', 1) = $1";
    let mut connection = shared.database.connect().await;
    sqlx::query_scalar(sql).bind(node).fetch_one(&mut connection).await.unwrap()
}

/// Waits until so many e-mails are sent.
async fn until_sent(hub: &Hub, root: &Person, count: i64) {
    let path = "/api/deliveries/?channel=EMAIL&status=SENT&page_size=1";
    until(async || hub.get(root, path).await.1["count"] == count, "all e-mails are sent").await;
}

/// How often each e-mail has arrived, by the title of its ticket.
fn times(office: &PostOffice, title: &str) -> usize {
    office.mails().iter().filter(|mail| mail.text.contains(title)).count()
}

#[tokio::test]
async fn a_node_ends_its_own_leases_and_leaves_those_of_others() {
    let Some(shared) = Shared::new(None).await else { return };
    let office = PostOffice::start().await;
    let [root, carl] = shared.accounts([("root", "super_admin"), ("carl", "client")]).await;
    let a = shared.hub("a", |config| office.configure(config, 16)).await;
    raise(a.address(), &carl, "First").await;
    until(async || times(&office, "First") == 1, "a has begun").await;

    // Its start looks for what is due, and so does each e-mail of its own.
    let b = shared.hub("b", |config| office.configure(config, 16)).await;
    raise(b.address(), &carl, "Second").await;
    until(async || times(&office, "Second") == 1, "b has begun").await;
    assert_eq!((leased_by(&shared, "a").await, leased_by(&shared, "b").await), (1, 1));

    let path = "/api/operator/actors/channels/email/restart/?node=b";
    let (status, told) = b.post(&root, path, json!({})).await;
    assert_eq!(status, 200, "{told}");
    until(async || times(&office, "Second") == 2, "b has begun again").await;
    assert_eq!((leased_by(&shared, "a").await, leased_by(&shared, "b").await), (1, 1));
    assert_eq!(times(&office, "First"), 1, "a has it");
    office.answer(true);
    until_sent(&a, &root, 2).await;
    let mails = office.mails();
    assert_eq!(mails.len(), 3, "{mails:?}");
    assert_eq!(mails[1].id, mails[2].id, "again as the same message");
}

#[tokio::test]
async fn what_a_killed_node_had_leased_is_sent_by_another_as_the_same_messages() {
    let Some(shared) = Shared::new(None).await else { return };
    let office = PostOffice::start().await;
    let [root, carl] = shared.accounts([("root", "super_admin"), ("carl", "client")]).await;
    let url = office.url();
    let settings = [("BELLPULL_SMTP_URL", url.as_str()), ("BELLPULL_SMTP_FROM", "d@example.com")];
    let a = shared.process("a", &settings);
    for title in ["First", "Second"] {
        raise(a.address, &carl, title).await;
        until(async || times(&office, title) == 1, "a has begun").await;
    }
    let b = shared.hub("b", |config| office.configure(config, 16)).await;
    a.kill();
    raise(b.address(), &carl, "Third").await;
    until(async || times(&office, "Third") == 1, "b has begun").await;
    assert_eq!((leased_by(&shared, "a").await, leased_by(&shared, "b").await), (2, 1));

    // Their time comes sooner in this test; b notices it with the next e-mail.
    let sql = "UPDATE deliveries SET leased_until = due_at WHERE lease_owner LIKE 'a/%'";
    shared.database.execute(sql).await;
    office.answer(true);
    raise(b.address(), &carl, "Fourth").await;
    until_sent(&b, &root, 4).await;
    for (title, count) in [("First", 2), ("Second", 2), ("Third", 1), ("Fourth", 1)] {
        assert_eq!(times(&office, title), count, "{title}: {:?}", office.mails());
    }
    let mut ids: Vec<_> = office.mails().into_iter().map(|mail| mail.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "again as the same messages: {ids:?}");
}

#[tokio::test]
async fn a_node_that_stops_gives_its_leases_back() {
    let Some(shared) = Shared::new(None).await else { return };
    let office = PostOffice::start().await;
    let [root, carl] = shared.accounts([("root", "super_admin"), ("carl", "client")]).await;
    let a = shared.hub("a", |config| office.configure(config, 1)).await;
    for title in ["First", "Second"] {
        raise(a.address(), &carl, title).await;
    }
    // One is with the provider, and holds up the others.
    until(async || observed(&a, &root, "channels/email").await["leased"] == 1, "one waits").await;
    assert_eq!((office.mails().len(), leased_by(&shared, "a").await), (1, 2));
    let b = shared.hub("b", |config| office.configure(config, 1)).await;
    let stopping = tokio::spawn(a.stop());
    until(async || leased_by(&shared, "a").await == 1, "the one that has not begun").await;
    assert!(!stopping.is_finished(), "it waits for the other");
    office.answer(true);
    stopping.await.unwrap();
    assert_eq!(leased_by(&shared, "a").await, 0);
    raise(b.address(), &carl, "Third").await;
    until_sent(&b, &root, 3).await;
    assert_eq!(office.mails().len(), 3, "each once: {:?}", office.mails());
}

#[tokio::test]
async fn what_a_node_that_stops_gives_back_is_sent_by_another_at_once() {
    let Some(redis) = Private::start(&[]).await else { return };
    let Some(shared) = Shared::new(Some(redis)).await else { return };
    let office = PostOffice::start().await;
    let [root, carl] = shared.accounts([("root", "super_admin"), ("carl", "client")]).await;
    let a = shared.hub("a", |config| office.configure(config, 1)).await;
    for title in ["First", "Second"] {
        raise(a.address(), &carl, title).await;
    }
    until(async || observed(&a, &root, "channels/email").await["leased"] == 1, "one waits").await;
    let b = shared.hub("b", |config| office.configure(config, 1)).await;
    let email = async |hub: &Hub| observed(hub, &root, "channels/email").await;
    // It has looked for what is due, and looks again after half a minute or when it is told to.
    until(async || email(&b).await["leased"] == 0, "b has started").await;
    let stopping = tokio::spawn(a.stop());
    until(async || leased_by(&shared, "a").await == 1, "the one that has not begun").await;
    office.answer(true);
    stopping.await.unwrap();
    until_sent(&b, &root, 2).await;
}
