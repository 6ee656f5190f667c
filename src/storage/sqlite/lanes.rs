//! Lanes and leases in SQL. A lane is a part of a channel that may be slow by itself; `?1` is the
//! channel, `?2` the time.

use rusqlite::Connection;

/// The lanes with a queued delivery that is not leased, each found by one step of the index; the
/// last is NULL.
macro_rules! lanes {
    () => {
        "lanes (lane) AS (SELECT min(lane) FROM deliveries WHERE status = 'QUEUED' \
         AND leased_until IS NULL AND channel = ?1 UNION ALL SELECT (SELECT min(lane) \
         FROM deliveries WHERE status = 'QUEUED' AND leased_until IS NULL AND channel = ?1 \
         AND lane > l.lane) FROM lanes l WHERE l.lane IS NOT NULL)"
    };
}

/// How many deliveries of each lane this owner has leased.
macro_rules! held {
    ($owner:literal) => {
        concat!(
            "held (lane, count) AS MATERIALIZED (SELECT lane, count(*) FROM deliveries \
             WHERE leased_until IS NOT NULL AND channel = ?1 AND leased_until > ?2 \
             AND lease_owner = ",
            $owner,
            " GROUP BY lane)"
        )
    };
}

/// How many deliveries of a lane may be leased, at most `$max`: one while it hangs.
macro_rules! lane_room {
    ($lane:literal, $max:literal) => {
        concat!(
            "iif(EXISTS (SELECT 1 FROM hung_lanes u WHERE u.channel = ?1 AND u.lane = ",
            $lane,
            "), 1, ",
            $max,
            ")"
        )
    };
}

pub(super) use {held, lane_room, lanes};

/// Ends all leases, for a process that has the file for itself: their owners have ended, and
/// nothing else would free them before they expire. A full disk does not keep the hub from
/// starting: then they expire.
pub(super) fn end_leases(connection: &Connection) {
    let sql = "UPDATE deliveries SET leased_until = NULL, lease_owner = NULL \
               WHERE leased_until IS NOT NULL";
    if let Err(error) = connection.execute(sql, ()) {
        tracing::warn!(%error, "leases of earlier processes end by their time");
    }
}
