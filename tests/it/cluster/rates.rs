//! What a provider notices is limited for all nodes together: each has its share, and the whole of
//! it when the others have left.

use serde_json::{Value, json};

use super::post_office::PostOffice;
use super::{Shared, observed, raise, until};
use crate::support::{Hub, Person};

const EMAIL: &str = "channels/email";

/// Waits until a node may have so many with the provider, and begin so many a second.
async fn until_share(hub: &Hub, root: &Person, places: u32, per_s: u32) {
    let wanted = (json!(places), json!(f64::from(per_s)));
    let is_so = async || {
        let seen = observed(hub, root, EMAIL).await;
        (seen["in_flight_max"].clone(), seen["per_s"].clone()) == wanted
    };
    until(is_so, "its share").await;
}

/// Waits until a node has as many with the provider as it may, and others wait for a place.
async fn until_full(hub: &Hub, root: &Person, places: usize) {
    let mut seen = Value::Null;
    let is_full = async || {
        seen = observed(hub, root, EMAIL).await;
        let leased = seen["leased"].as_u64().unwrap_or_default();
        assert!(seen["in_flight"].as_u64().unwrap_or_default() <= places as u64, "{seen}");
        seen["in_flight"] == places && leased > 0
    };
    until(is_full, "all places are taken").await;
}

#[tokio::test]
async fn places_and_rate_of_a_channel_are_divided_by_the_live_nodes() {
    let Some(shared) = Shared::new(None).await else { return };
    let office = PostOffice::start().await;
    let [root, carl] = shared.accounts([("root", "super_admin"), ("carl", "client")]).await;
    let limited = |config: &mut bellpull::config::Config| {
        office.configure(config, 4);
        config.delivery.smtp.as_mut().unwrap().per_s = 1_000;
    };
    let a = shared.hub("a", limited).await;
    until_share(&a, &root, 4, 1_000).await;
    let b = shared.hub("b", limited).await;
    for hub in [&a, &b] {
        until_share(hub, &root, 2, 500).await;
    }
    for hub in [&a, &b] {
        for nth in 0..4 {
            raise(hub.address(), &carl, &format!("Ticket {nth}")).await;
        }
        until_full(hub, &root, 2).await;
    }
    until(async || office.mails().len() == 4, "as many as one node may alone").await;
    office.answer(true);
    b.stop().await;
    office.answer(false);
    until_share(&a, &root, 4, 1_000).await;
    for nth in 0..8 {
        raise(a.address(), &carl, &format!("Another {nth}")).await;
    }
    until_full(&a, &root, 4).await;
    office.answer(true);
}
