//! Lanes that hang: hosts of users that occupy a channel's slot for long without a result.
//!
//! A host that does not answer occupies a slot until its time limit. With its full share of the
//! channel it would do so again and again, and a few such hosts would take all slots. So it gets
//! one slot until an attempt there ends in another way. A slow host that accepts deliveries is not
//! one.

use bellpull_domain::delivery::Attempt;
use bellpull_domain::plan::attempt::{ended_at, has_hung};
use rusqlite::Connection;

use super::super::multi_row::id_list;
use super::super::statement::{execute, one};

/// A mark that nothing has renewed for this long is removed: its host may have no users any more.
const MARKED_FOR_MS: i64 = 3_600_000;

const MARK: &str = "INSERT INTO hung_lanes (channel, lane, at) \
    SELECT DISTINCT channel, lane, ?2 FROM deliveries \
    WHERE id IN (SELECT value FROM json_each(?1)) AND lane <> '' \
    ON CONFLICT (channel, lane) DO UPDATE SET at = excluded.at";
const CLEAR: &str = "DELETE FROM hung_lanes WHERE (channel, lane) IN \
    (SELECT channel, lane FROM deliveries WHERE id IN (SELECT value FROM json_each(?1)))";

/// These attempts were recorded: updates their lanes. If several of one lane ended together, one
/// that hung outweighs the others.
pub(super) fn mark(connection: &Connection, attempts: &[&Attempt]) -> rusqlite::Result<()> {
    let (hung, other): (Vec<&Attempt>, Vec<&Attempt>) =
        attempts.iter().partition(|attempt| has_hung(attempt));
    let list = |some: &[&Attempt]| id_list(some.iter().map(|attempt| attempt.delivery.0));
    let any = "SELECT EXISTS (SELECT 1 FROM hung_lanes)";
    if !other.is_empty() && one(connection, any, (), |row| row.get(0))? {
        execute(connection, CLEAR, (list(&other),))?;
    }
    let Some(last) = hung.iter().map(|attempt| ended_at(attempt)).max() else { return Ok(()) };
    let last_ms = last.as_millisecond();
    execute(connection, MARK, (list(&hung), last_ms))?;
    let forget = "DELETE FROM hung_lanes WHERE at < ?";
    execute(connection, forget, (last_ms.saturating_sub(MARKED_FOR_MS),)).map(drop)
}
