-- Deliveries have an address each (`target_id`: a browser's or a webhook's, 0 where the account has
-- one address only), name their recipient, and keep every attempt. SQLite cannot alter a
-- constraint, so the table is built anew.
CREATE TABLE new_deliveries (
    id              INTEGER PRIMARY KEY,
    notification_id INTEGER NOT NULL REFERENCES notifications (id),
    recipient_id    INTEGER NOT NULL REFERENCES users (id),
    channel         TEXT NOT NULL,
    target_id       INTEGER NOT NULL DEFAULT 0,
    status          TEXT NOT NULL,
    rule            TEXT,                        -- what held it back, or delays it
    leases          INTEGER NOT NULL DEFAULT 0,  -- attempts that were begun: the last one's number
    failures        INTEGER NOT NULL DEFAULT 0,  -- attempts that came to nothing since it was queued
    due_at          INTEGER NOT NULL,
    leased_until    INTEGER,
    provider_id     TEXT,
    provider_status TEXT,                        -- sent, delivered, read or failed, as it says itself
    provider_at     INTEGER,                     -- when it said so
    error           TEXT,                        -- the last failure; none once it was sent
    sent_at         INTEGER,
    UNIQUE (notification_id, channel, target_id)
) STRICT;
INSERT INTO new_deliveries (id, notification_id, recipient_id, channel, status, leases, failures,
    due_at, provider_id, error, sent_at)
SELECT d.id, d.notification_id, n.recipient_id, d.channel, d.status, d.attempts,
    iif(d.status = 'SENT', max(d.attempts - 1, 0), d.attempts), d.due_at, d.provider_id, d.error,
    d.sent_at
FROM deliveries d JOIN notifications n ON n.id = d.notification_id;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;

-- What may be leased, and what is: a leased row is out of the way of the next lease.
CREATE INDEX deliveries_due ON deliveries (channel, due_at)
    WHERE status = 'QUEUED' AND leased_until IS NULL;
CREATE INDEX deliveries_leased ON deliveries (channel, leased_until)
    WHERE leased_until IS NOT NULL;
-- What operators look for. Each entry ends with the row's id, the order of their lists.
CREATE INDEX deliveries_status ON deliveries (status, channel);
-- What a provider reports on.
CREATE INDEX deliveries_provider ON deliveries (channel, provider_id)
    WHERE provider_id IS NOT NULL;

-- Every attempt, with what the provider answered.
CREATE TABLE delivery_attempts (
    delivery_id INTEGER NOT NULL REFERENCES deliveries (id),
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    took_ms     INTEGER NOT NULL,
    outcome     TEXT NOT NULL,  -- sent, later, refused or gone
    detail      TEXT,           -- its own name for the message, or what it said
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- What somebody wants to be told of, and how: JSON. Without a row, everything.
CREATE TABLE preferences (
    user_id    INTEGER PRIMARY KEY REFERENCES users (id),
    body       TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
