-- Somebody's own servers that are called: a user's, told of what comes into the inbox; or a
-- project's, told of what happens to its tickets. Ids are never used again, for deliveries name
-- them.
CREATE TABLE webhooks (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id          INTEGER REFERENCES users (id),
    project_id       INTEGER REFERENCES projects (id),
    url              TEXT NOT NULL,
    lane             TEXT NOT NULL,              -- the URL's host and port
    events           TEXT NOT NULL,              -- a JSON array of names; empty for all
    description      TEXT NOT NULL,
    secret           TEXT NOT NULL,
    old_secret       TEXT,                       -- signs beside the other until …
    old_secret_until INTEGER,
    is_active        INTEGER NOT NULL DEFAULT 1,
    failures         INTEGER NOT NULL DEFAULT 0, -- deliveries in a row that were given up
    off_reason       TEXT,                       -- why the hub switched it off
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    CHECK ((user_id IS NULL) <> (project_id IS NULL))
) STRICT;
CREATE INDEX webhooks_user ON webhooks (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX webhooks_project ON webhooks (project_id) WHERE project_id IS NOT NULL;

-- Whoever is slow holds up its own lane: of a host that users have named no more is in hand at
-- once than a part of what a channel may have. It is the host and port; empty for a channel with
-- one provider.
ALTER TABLE push_subscriptions ADD COLUMN lane TEXT NOT NULL DEFAULT '';
UPDATE push_subscriptions SET lane = substr(endpoint, 9,
    ifnull(nullif(instr(substr(endpoint, 9), '/'), 0) - 1, length(endpoint)))
WHERE endpoint LIKE 'https://%';

-- What a project's webhook is told is nobody's notification: such a delivery names its message
-- itself, and has no recipient. SQLite cannot alter a constraint, so the table is built anew, and
-- the one that refers to it with it.
CREATE TABLE kept_attempts AS SELECT * FROM delivery_attempts;
DROP TABLE delivery_attempts;
CREATE TABLE new_deliveries (
    id              INTEGER PRIMARY KEY,
    notification_id INTEGER REFERENCES notifications (id),
    recipient_id    INTEGER REFERENCES users (id),
    message_id      INTEGER REFERENCES messages (id), -- where there is no notification
    channel         TEXT NOT NULL,
    target_id       INTEGER NOT NULL DEFAULT 0,
    lane            TEXT NOT NULL DEFAULT '',
    status          TEXT NOT NULL,
    rule            TEXT,                        -- what held it back, or delays it
    leases          INTEGER NOT NULL DEFAULT 0,  -- attempts that were begun: the last one's number
    failures        INTEGER NOT NULL DEFAULT 0,  -- attempts that came to nothing since queued
    due_at          INTEGER NOT NULL,
    leased_until    INTEGER,
    provider_id     TEXT,
    provider_status TEXT,                        -- sent, delivered, read or failed, it says
    provider_at     INTEGER,                     -- when it said so
    error           TEXT,                        -- the last failure; none once it was sent
    sent_at         INTEGER,
    digest_id       INTEGER,
    UNIQUE (notification_id, channel, target_id),
    CHECK ((notification_id IS NULL) = (recipient_id IS NULL)),
    CHECK ((notification_id IS NULL) <> (message_id IS NULL))
) STRICT;
INSERT INTO new_deliveries (id, notification_id, recipient_id, channel, target_id, lane, status,
    rule, leases, failures, due_at, leased_until, provider_id, provider_status, provider_at, error,
    sent_at, digest_id)
SELECT d.id, d.notification_id, d.recipient_id, d.channel, d.target_id, ifnull((SELECT s.lane
    FROM push_subscriptions s WHERE d.channel = 'PUSH' AND s.id = d.target_id), ''), d.status,
    d.rule, d.leases, d.failures, d.due_at, d.leased_until, d.provider_id, d.provider_status,
    d.provider_at, d.error, d.sent_at, d.digest_id
FROM deliveries d;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;

-- What may be leased, by lane, and what is: a leased row is out of the way of the next lease.
CREATE INDEX deliveries_due ON deliveries (channel, lane, due_at)
    WHERE status = 'QUEUED' AND leased_until IS NULL;
CREATE INDEX deliveries_leased ON deliveries (channel, leased_until)
    WHERE leased_until IS NOT NULL;
-- What operators look for. Each entry ends with the row's id, the order of their lists.
CREATE INDEX deliveries_status ON deliveries (status, channel);
-- What a provider reports on.
CREATE INDEX deliveries_provider ON deliveries (channel, provider_id)
    WHERE provider_id IS NOT NULL;
-- What waits for somebody's digest.
CREATE INDEX deliveries_digest ON deliveries (recipient_id, due_at)
    WHERE status = 'QUEUED' AND rule = 'digest' AND leased_until IS NULL;
-- What was told to a project's webhooks, each message once to each.
CREATE UNIQUE INDEX deliveries_message ON deliveries (message_id, target_id)
    WHERE message_id IS NOT NULL;

CREATE TABLE delivery_attempts (
    delivery_id INTEGER NOT NULL REFERENCES deliveries (id),
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    took_ms     INTEGER NOT NULL,
    outcome     TEXT NOT NULL,  -- sent, later, refused or gone
    detail      TEXT,           -- its own name for the message, or what it said
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO delivery_attempts SELECT * FROM kept_attempts;
DROP TABLE kept_attempts;
