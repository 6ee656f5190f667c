-- Deactivation ends logins and tokens for good, whatever deactivates an account: the logins are
-- revoked, and tokens without a login count from this time on.
ALTER TABLE users ADD COLUMN tokens_from BIGINT NOT NULL DEFAULT 0;

CREATE FUNCTION end_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.tokens_from := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    UPDATE logins SET revoked_at = new.tokens_from WHERE user_id = new.id AND revoked_at IS NULL;
    RETURN new;
END $$;
CREATE TRIGGER users_end_tokens BEFORE UPDATE OF is_active ON users FOR EACH ROW
WHEN (old.is_active AND NOT new.is_active)
EXECUTE FUNCTION end_tokens();
-- An account that is deactivated already: its old tokens do not come back with it.
UPDATE users SET tokens_from = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
WHERE NOT is_active;
UPDATE logins SET revoked_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
WHERE revoked_at IS NULL AND user_id IN (SELECT id FROM users WHERE NOT is_active);
