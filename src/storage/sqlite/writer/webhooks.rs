//! Webhooks are switched off by what their deliveries come to.

use std::collections::BTreeMap;

use bellpull_domain::ids::WebhookId;
use bellpull_domain::webhook::Health;
use jiff::Timestamp;
use rusqlite::Connection;

use super::super::statement::execute;

/// Saves the states of webhooks after their deliveries: one that does not exist any more, or that
/// has failed for too long, is disabled. Its other deliveries are suppressed when they are due.
pub(super) fn save_health(
    connection: &Connection,
    hooks: BTreeMap<WebhookId, Health>,
) -> rusqlite::Result<()> {
    for (hook, Health { failures, failing_since, off_reason }) in hooks {
        let sql = "UPDATE webhooks SET failures = ?2, off_reason = ?3, is_active = ?3 IS NULL, \
                   failing_since = ?4 WHERE id = ?1 AND (failures <> ?2 OR ?3 IS NOT NULL)";
        let since = failing_since.map(Timestamp::as_millisecond);
        execute(connection, sql, (hook.0, failures, off_reason, since))?;
    }
    Ok(())
}
