-- Times are milliseconds since 1970-01-01T00:00:00Z. Booleans are 0 and 1.

-- The hub's own settings: its epoch, its generated secret, its address.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The last id that was given out of each kind. Ids are never used twice, even after a deletion.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    username        TEXT NOT NULL UNIQUE,
    email           TEXT NOT NULL COLLATE NOCASE,
    full_name       TEXT NOT NULL,
    role            TEXT NOT NULL,
    whatsapp_number TEXT NOT NULL,
    phone           TEXT NOT NULL,
    password_hash   TEXT,
    is_active       INTEGER NOT NULL DEFAULT 1,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_email ON users (email) WHERE email <> '';
CREATE INDEX users_role ON users (role);

-- One row a login. `generation` is the highest refresh token of it that was used.
CREATE TABLE logins (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    generation INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX logins_user ON logins (user_id);

CREATE TABLE projects (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    is_open     INTEGER NOT NULL,
    last_number INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL
) STRICT;
INSERT INTO projects (id, key, name, is_open, created_at) VALUES (1, 'TKT', 'Default', 1, 0);

CREATE TABLE project_members (
    project_id INTEGER NOT NULL REFERENCES projects (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (project_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX project_members_user ON project_members (user_id);

CREATE TABLE tickets (
    id          INTEGER PRIMARY KEY,
    project_id  INTEGER NOT NULL REFERENCES projects (id),
    number      INTEGER NOT NULL,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    priority    TEXT NOT NULL,
    category    TEXT NOT NULL,
    status      TEXT NOT NULL,
    created_by  INTEGER NOT NULL REFERENCES users (id),
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER,
    UNIQUE (project_id, number)
) STRICT;
CREATE INDEX tickets_creator ON tickets (created_by);

CREATE TABLE ticket_assignees (
    ticket_id INTEGER NOT NULL REFERENCES tickets (id),
    user_id   INTEGER NOT NULL REFERENCES users (id),
    position  INTEGER NOT NULL,
    PRIMARY KEY (ticket_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_assignees_user ON ticket_assignees (user_id);

CREATE TABLE ticket_history (
    ticket_id   INTEGER NOT NULL REFERENCES tickets (id),
    version     INTEGER NOT NULL,
    action      TEXT NOT NULL,
    from_status TEXT,
    to_status   TEXT NOT NULL,
    actor_id    INTEGER NOT NULL REFERENCES users (id),
    actor_name  TEXT NOT NULL,
    note        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (ticket_id, version)
) STRICT, WITHOUT ROWID;

-- One sequence a user. A user without a row has an empty inbox.
CREATE TABLE inboxes (
    user_id       INTEGER PRIMARY KEY REFERENCES users (id),
    last_seq      INTEGER NOT NULL,
    unread_count  INTEGER NOT NULL,
    delivered_seq INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The text of an announcement, once for all its recipients.
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY,
    event      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    title      TEXT NOT NULL,
    body       TEXT NOT NULL,
    action_url TEXT NOT NULL,
    metadata   TEXT NOT NULL,          -- a JSON object
    ticket_id  INTEGER,
    ticket     TEXT,                   -- the ticket as it was then, JSON
    sender_id  INTEGER,
    priority   TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_ticket ON messages (ticket_id) WHERE ticket_id IS NOT NULL;

-- One thin row a recipient, clustered by inbox: a backlog is read from neighbouring pages.
-- `seq` is the row's birth, `changed_seq` its last change (equal to `seq` until there is one).
CREATE TABLE notifications (
    recipient_id INTEGER NOT NULL REFERENCES users (id),
    seq          INTEGER NOT NULL,
    id           INTEGER NOT NULL,
    changed_seq  INTEGER NOT NULL,
    message_id   INTEGER NOT NULL REFERENCES messages (id),
    read_at      INTEGER,
    deleted_at   INTEGER,
    PRIMARY KEY (recipient_id, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX notifications_id ON notifications (id);
-- Only rows that changed after their birth: births, the most frequent writes by far, skip it.
-- Changes after N are births after N in the table, and this index after N.
CREATE UNIQUE INDEX notifications_changed ON notifications (recipient_id, changed_seq)
    WHERE changed_seq <> seq;

CREATE TABLE deliveries (
    id              INTEGER PRIMARY KEY,
    notification_id INTEGER NOT NULL,
    channel         TEXT NOT NULL,
    status          TEXT NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    due_at          INTEGER NOT NULL,
    leased_until    INTEGER,
    provider_id     TEXT,
    error           TEXT,
    sent_at         INTEGER,
    UNIQUE (notification_id, channel)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (channel, due_at) WHERE status = 'QUEUED';
