//! Rows of the log of deliveries as values of the domain.

use bellpull_domain::delivery::{OutcomeKind, ProviderStatus, Rule};
use bellpull_domain::ids::{DeliveryId, NotificationId, UserId};
use bellpull_domain::notification::DeliveryStatus;
use bellpull_domain::routing::Channel;
use bellpull_port::StoreError;
use bellpull_port::delivery_log::{AttemptRow, DeliveryFilter, DeliveryRow, Waiting};

use super::error::corrupt;
use super::rows::{Columns, get_name, get_time, int, optional_timestamp};

/// The parts of the index that a filter selects, each a status and a channel; `None` for a filter
/// that selects everything.
pub(super) fn parts(filter: DeliveryFilter) -> Option<Vec<(DeliveryStatus, Channel)>> {
    let DeliveryFilter { status, channel } = filter;
    if status.is_none() && channel.is_none() {
        return None;
    }
    let statuses = DeliveryStatus::ALL.into_iter().filter(|one| status.is_none_or(|s| s == *one));
    let channels = |status| {
        let channels = Channel::ALL.into_iter().filter(|one| channel.is_none_or(|c| c == *one));
        channels.map(move |channel| (status, channel))
    };
    Some(statuses.flat_map(channels).collect())
}

/// A delivery's row.
pub(super) fn delivery(row: &impl Columns) -> Result<DeliveryRow, StoreError> {
    let owned = |column: &str| row.text(column).map(|text| text.map(str::to_owned));
    Ok(DeliveryRow {
        id: DeliveryId(int(row, "id")?),
        notification: row.int("notification_id")?.map(NotificationId),
        recipient: row.int("recipient_id")?.map(UserId),
        recipient_name: owned("recipient_name")?,
        channel: get_name(row, "channel", Channel::from_name)?,
        target: int(row, "target_id")?,
        status: get_name(row, "status", DeliveryStatus::from_name)?,
        rule: optional_name(row, "rule", Rule::from_name)?,
        is_until_seen: row.flag("until_seen")?,
        attempts: count(row, "leases")?,
        due_at: get_time(row, "due_at")?,
        leased_until: optional_timestamp(row.int("leased_until")?)?,
        sent_at: optional_timestamp(row.int("sent_at")?)?,
        provider_id: owned("provider_id")?,
        provider_status: optional_name(row, "provider_status", ProviderStatus::from_name)?,
        error: owned("error")?,
    })
}

/// An attempt's row.
pub(super) fn attempt(row: &impl Columns) -> Result<AttemptRow, StoreError> {
    Ok(AttemptRow {
        delivery: DeliveryId(int(row, "delivery_id")?),
        number: count(row, "number")?,
        started_at: get_time(row, "started_at")?,
        took_ms: count(row, "took_ms")?,
        outcome: get_name(row, "outcome", OutcomeKind::from_name)?,
        detail: row.text("detail")?.map(str::to_owned),
    })
}

/// What waits on a channel.
pub(super) fn waiting(row: &impl Columns) -> Result<Waiting, StoreError> {
    Ok(Waiting {
        channel: get_name(row, "channel", Channel::from_name)?,
        queued: int(row, "queued")?,
        first_due_at: get_time(row, "first_due_at")?,
    })
}

/// A number that is never negative.
pub(super) fn count(row: &impl Columns, column: &str) -> Result<u32, StoreError> {
    u32::try_from(int(row, column)?).map_err(|_| corrupt(column))
}

/// The enum value that a nullable column names.
pub(super) fn optional_name<T>(
    row: &impl Columns,
    column: &str,
    from_name: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let name = row.text(column)?;
    name.map(|name| from_name(name).ok_or_else(|| corrupt(column))).transpose()
}
