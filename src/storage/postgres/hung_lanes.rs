//! Lanes that hang: hosts of users that occupy a channel's slot for long without a result.
//!
//! A host that does not answer occupies a slot until its time limit. With its full share of the
//! channel it would do so again and again, and a few such hosts would take all slots. So it gets
//! one slot until an attempt there ends in another way. A slow host that accepts deliveries is not
//! one.
//!
//! Marks are written in the order of the lanes, and before others are removed; a removal passes
//! over rows that another transaction has locked. So no two transactions wait for each other.

use bellpull_domain::delivery::Attempt;
use bellpull_domain::plan::attempt::{ended_at, has_hung};
use bellpull_port::StoreError;

use super::database::Connection;
use super::transaction::failed;

/// A mark that nothing has renewed for this long is removed: its host may have no users any more.
const MARKED_FOR_MS: i64 = 3_600_000;

const MARK: &str = "INSERT INTO hung_lanes (channel, lane, at) \
    SELECT DISTINCT channel, lane, $2::bigint FROM deliveries \
    WHERE id = ANY ($1) AND lane <> '' ORDER BY channel, lane \
    ON CONFLICT (channel, lane) DO UPDATE SET at = greatest(hung_lanes.at, excluded.at)";

/// Removes the marks of the lanes of `$1`, except those of `$2`, and marks of before `$3`.
const CLEAR: &str = "DELETE FROM hung_lanes WHERE (channel, lane) IN \
    (SELECT h.channel, h.lane FROM hung_lanes h WHERE h.at < $3 \
    OR ((h.channel, h.lane) IN (SELECT channel, lane FROM deliveries WHERE id = ANY ($1)) \
    AND (h.channel, h.lane) NOT IN (SELECT channel, lane FROM deliveries WHERE id = ANY ($2))) \
    FOR UPDATE OF h SKIP LOCKED)";

/// These attempts were recorded: updates their lanes. If several of one lane ended together, one
/// that hung outweighs the others. `has_any` says whether there are marks.
pub(super) async fn mark(
    connection: &mut Connection,
    attempts: &[&Attempt],
    has_any: bool,
) -> Result<(), StoreError> {
    let (hung, other): (Vec<&Attempt>, Vec<&Attempt>) =
        attempts.iter().partition(|attempt| has_hung(attempt));
    let ids = |some: &[&Attempt]| -> Vec<i64> { some.iter().map(|one| one.delivery.0).collect() };
    let last_ms = hung.iter().map(|attempt| ended_at(attempt).as_millisecond()).max();
    if let Some(last_ms) = last_ms {
        let query = sqlx::query(MARK).bind(ids(&hung)).bind(last_ms);
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    if !has_any {
        return Ok(());
    }
    let forgotten = last_ms.map_or(i64::MIN, |last_ms| last_ms.saturating_sub(MARKED_FOR_MS));
    let query = sqlx::query(CLEAR).bind(ids(&other)).bind(ids(&hung)).bind(forgotten);
    query.execute(connection).await.map(drop).map_err(failed)
}
