//! Gauges of what nothing counts as it happens.

use bellpull_actors::hub::Hub;
use bellpull_domain::routing::Channel;
use bellpull_port::{DeliveryLog, Store};

use bellpull_edge::listen::Connections;

/// Sets them to what is now.
pub(super) async fn set(hub: &Hub, store: &dyn Store, listening: &[Connections]) {
    let open: usize = listening.iter().map(Connections::open).sum();
    metrics::gauge!("bellpull_connections").set(number(u64::try_from(open).unwrap_or(u64::MAX)));
    for (kind, waiting) in [
        ("user", hub.users.waiting()),
        ("ticket", hub.tickets.waiting()),
        ("project", hub.projects.waiting()),
    ] {
        metrics::gauge!("bellpull_mailbox_messages", "kind" => kind).set(number(waiting));
    }
    // While the database is away, they keep their values.
    if let Ok(size) = store.size().await {
        metrics::gauge!("bellpull_database_bytes").set(number(size.database));
        metrics::gauge!("bellpull_database_log_bytes").set(number(size.log));
    }
    count_waiting(store).await;
}

/// Counts what is queued in the outbox. If the store does not answer, the gauges keep their values.
pub async fn count_waiting<L: DeliveryLog + ?Sized>(log: &L) {
    let Ok(waiting) = log.waiting().await else { return };
    for channel in Channel::ALL.into_iter().filter(|channel| *channel != Channel::System) {
        let queued = waiting.iter().find(|one| one.channel == channel).map_or(0, |one| one.queued);
        let queued = u64::try_from(queued).unwrap_or(0);
        metrics::gauge!("bellpull_deliveries_queued", "channel" => channel.as_str())
            .set(number(queued));
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn number(value: u64) -> f64 {
    value as f64
}
