-- Which accounts last lost or changed their rights, and when: the server reads the recent ones and
-- closes the account's sessions (`port::AccountStore::rights_withdrawn`). By a trigger, so that
-- statements of other processes are noted too.
CREATE TABLE withdrawn_rights (
    user_id      INTEGER PRIMARY KEY REFERENCES users (id),
    withdrawn_at INTEGER NOT NULL
) STRICT;
CREATE INDEX withdrawn_rights_time ON withdrawn_rights (withdrawn_at);

CREATE TRIGGER users_withdrawn_rights AFTER UPDATE OF role, is_active ON users
WHEN old.role <> new.role OR (old.is_active AND NOT new.is_active)
BEGIN
    INSERT INTO withdrawn_rights (user_id, withdrawn_at)
    VALUES (new.id, CAST(unixepoch('subsec') * 1000 AS INTEGER))
    ON CONFLICT (user_id) DO UPDATE
    SET withdrawn_at = max(excluded.withdrawn_at, withdrawn_at + 1);
END;
