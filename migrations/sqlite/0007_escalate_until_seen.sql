-- Each event's policy, where it has one: how long each channel waits whether its recipient sees it
-- elsewhere first. `steps` is JSON: [{"channel":…,"after_s":…},…].
CREATE TABLE escalations (
    event      TEXT PRIMARY KEY,
    steps      TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A policy's steps are called off when their notification is seen, or its ticket moves on. The
-- column names that ticket (0: it is of none), and is empty where no policy was at work.
ALTER TABLE deliveries ADD COLUMN until_seen INTEGER;
-- What can still be called off: nothing else is in these indexes, so a mark or a step of a ticket
-- without any costs one look.
CREATE INDEX deliveries_until_seen ON deliveries (recipient_id, notification_id)
    WHERE until_seen IS NOT NULL AND status = 'QUEUED' AND leased_until IS NULL;
CREATE INDEX deliveries_until_moved ON deliveries (until_seen, id)
    WHERE until_seen IS NOT NULL AND status = 'QUEUED' AND leased_until IS NULL;
