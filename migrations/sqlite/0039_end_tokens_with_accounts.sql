-- Deactivation ends logins and tokens for good, whatever deactivates an account: the logins are
-- revoked, and tokens without a login count from this time on.
ALTER TABLE users ADD COLUMN tokens_from INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER users_end_tokens AFTER UPDATE OF is_active ON users
WHEN old.is_active AND NOT new.is_active
BEGIN
    UPDATE logins SET revoked_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
    WHERE user_id = new.id AND revoked_at IS NULL;
    UPDATE users SET tokens_from = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE id = new.id;
END;
-- An account that is deactivated already: its old tokens do not come back with it.
UPDATE users SET tokens_from = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE NOT is_active;
UPDATE logins SET revoked_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
WHERE revoked_at IS NULL AND user_id IN (SELECT id FROM users WHERE NOT is_active);
