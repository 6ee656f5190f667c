-- Active people by role: whom a send to many is for is counted from this index alone, and its
-- recipients are walked in the order of their ids.
CREATE INDEX users_active_role ON users (role) WHERE is_active = 1;

CREATE TABLE comments (
    id          INTEGER PRIMARY KEY,
    ticket_id   INTEGER NOT NULL REFERENCES tickets (id),
    author_id   INTEGER NOT NULL REFERENCES users (id),
    author_name TEXT NOT NULL,
    body        TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX comments_ticket ON comments (ticket_id);

-- A message on its way to many. Recipients up to `cursor` have it; those above `last_user_id`
-- registered after it was taken in, and do not get it.
CREATE TABLE sends (
    id              INTEGER PRIMARY KEY,
    message_id      INTEGER NOT NULL REFERENCES messages (id),
    notification_id INTEGER,             -- of a send to one account that was not for later
    audience        TEXT NOT NULL,       -- JSON: {"users":[ids]}, {"role":…}, {"project":…}, "all"
    channels        TEXT NOT NULL,       -- a JSON array of their names
    is_critical     INTEGER NOT NULL,
    recipients      INTEGER NOT NULL,
    last_user_id    INTEGER NOT NULL,
    cursor          INTEGER NOT NULL,
    status          TEXT NOT NULL,       -- ACTIVE, DONE or CANCELLED
    is_scheduled    INTEGER NOT NULL,
    due_at          INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX sends_due ON sends (due_at) WHERE status = 'ACTIVE';

-- What a sender's retry is recognised by: the same key, and the hash of the same body.
CREATE TABLE idempotency_keys (
    owner_id   INTEGER NOT NULL,         -- a user; 0: the service tokens, which are nobody's
    key        TEXT NOT NULL,
    body_hash  BLOB NOT NULL,
    send_id    INTEGER NOT NULL REFERENCES sends (id),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
