-- What admins and operators changed: a row for each request, without its content. The user's names
-- are those of that time, and a deleted account keeps its rows.
CREATE TABLE audit_log (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    user_id  INTEGER NOT NULL,
    username TEXT NOT NULL,
    role     TEXT NOT NULL,
    action   TEXT NOT NULL, -- a method and a path with placeholders
    path     TEXT NOT NULL,
    address  TEXT NOT NULL,
    status   INTEGER,          -- none: the client left before the answer
    node     TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_user ON audit_log (user_id, at, id);
CREATE INDEX audit_log_action ON audit_log (action, at, id);
