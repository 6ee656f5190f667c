//! Push subscriptions of browsers are removed when their push service reports that they are gone.

use bellpull_domain::delivery::{Attempt, OutcomeKind};
use bellpull_domain::routing::Channel;
use rusqlite::Connection;

use super::super::multi_row::id_list;
use super::super::statement::execute;

/// Removes subscriptions that do not exist any more according to these attempts. Other deliveries
/// to them are held back when they are due.
pub(super) fn forget_gone(connection: &Connection, attempts: &[&Attempt]) -> rusqlite::Result<()> {
    let gone = attempts.iter().filter(|attempt| attempt.outcome.kind() == OutcomeKind::Gone);
    let gone: Vec<i64> = gone.map(|attempt| attempt.delivery.0).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM push_subscriptions WHERE id IN (SELECT target_id FROM deliveries \
               WHERE id IN (SELECT value FROM json_each(?1)) AND channel = ?2)";
    execute(connection, sql, (id_list(gone), Channel::Push.as_str())).map(drop)
}
