-- A key belongs to whatever its request has created, not to a send alone: `made` says what that is,
-- and `made_id` which one. Of a send it is `send_id`, for its row is kept as long as its key.
-- SQLite cannot make a column nullable, so the table is built anew.
CREATE TABLE new_idempotency_keys (
    owner_id   INTEGER NOT NULL,         -- a user; 0: the service tokens, which are nobody's
    key        TEXT NOT NULL,
    body_hash  BLOB NOT NULL,
    made       TEXT NOT NULL DEFAULT 'send',
    send_id    INTEGER REFERENCES sends (id),
    made_id    INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, key)
) STRICT, WITHOUT ROWID;
INSERT INTO new_idempotency_keys (owner_id, key, body_hash, send_id, created_at)
SELECT owner_id, key, body_hash, send_id, created_at FROM idempotency_keys;
DROP TABLE idempotency_keys;
ALTER TABLE new_idempotency_keys RENAME TO idempotency_keys;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_send ON idempotency_keys (send_id);
