//! Lanes and leases in SQL. A lane is a part of a channel that may be slow by itself; `$1` is the
//! channel, `$2` the time.

/// The lanes with a queued delivery that is not leased, each found by one step of the index; the
/// last is NULL.
macro_rules! lanes {
    () => {
        "lanes (lane) AS ((SELECT d.lane FROM deliveries d WHERE d.status = 'QUEUED' \
         AND d.leased_until IS NULL AND d.channel = $1 ORDER BY d.lane LIMIT 1) \
         UNION ALL SELECT (SELECT d.lane FROM deliveries d WHERE d.status = 'QUEUED' \
         AND d.leased_until IS NULL AND d.channel = $1 AND d.lane > l.lane \
         ORDER BY d.lane LIMIT 1) FROM lanes l WHERE l.lane IS NOT NULL)"
    };
}

/// The leased deliveries, and how many of each lane this owner holds by a lease that has not
/// expired. The time is
/// no condition on the table: PostgreSQL would expect a third of all rows to match, and plan for
/// that anew with each lease.
macro_rules! held {
    ($owner:literal) => {
        concat!(
            "leased AS MATERIALIZED (SELECT id, lane, due_at, leased_until, lease_owner \
             FROM deliveries WHERE leased_until IS NOT NULL AND channel = $1), \
             held (lane, count) AS MATERIALIZED (SELECT lane, count(*) FROM leased \
             WHERE leased_until > $2 AND lease_owner = ",
            $owner,
            " GROUP BY lane)"
        )
    };
}

/// How many deliveries of a lane may be leased, at most `$max`: one while it hangs.
macro_rules! lane_room {
    ($lane:literal, $max:literal) => {
        concat!(
            "CASE WHEN EXISTS (SELECT 1 FROM hung_lanes u WHERE u.channel = $1 AND u.lane = ",
            $lane,
            ") THEN 1 ELSE ",
            $max,
            " END"
        )
    };
}

pub(super) use {held, lane_room, lanes};
