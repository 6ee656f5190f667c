-- no-transaction
-- A message goes with its last row. That notifications refer to it cannot be a constraint then: for
-- each message that goes, SQLite would look for it through all of them, and an index would make
-- every birth dearer. SQLite cannot alter a constraint, so the table is built anew; what refers to
-- it stays as it is, which takes a connection that does not look for a moment. Done twice it does
-- the same again.
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS new_notifications;
CREATE TABLE new_notifications (
    recipient_id INTEGER NOT NULL REFERENCES users (id),
    seq          INTEGER NOT NULL,
    id           INTEGER NOT NULL,
    changed_seq  INTEGER NOT NULL,
    message_id   INTEGER NOT NULL,
    read_at      INTEGER,
    deleted_at   INTEGER,
    PRIMARY KEY (recipient_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO new_notifications
SELECT recipient_id, seq, id, changed_seq, message_id, read_at, deleted_at FROM notifications
ORDER BY recipient_id, seq;
DROP TABLE notifications;
ALTER TABLE new_notifications RENAME TO notifications;
CREATE UNIQUE INDEX notifications_id ON notifications (id);
CREATE UNIQUE INDEX notifications_changed ON notifications (recipient_id, changed_seq)
    WHERE changed_seq <> seq;
CREATE INDEX notifications_deleted ON notifications (deleted_at) WHERE deleted_at IS NOT NULL;
COMMIT;
PRAGMA foreign_keys = ON;
