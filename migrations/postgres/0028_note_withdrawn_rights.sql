-- Which accounts last lost or changed their rights, and when, by the database's clock: each node
-- reads the recent ones and closes the account's sessions (`port::AccountStore::rights_withdrawn`).
-- By triggers, so that nodes of the previous version and statements by hand are noted too.
CREATE TABLE withdrawn_rights (
    user_id      BIGINT PRIMARY KEY REFERENCES users (id),
    withdrawn_at BIGINT NOT NULL
);
CREATE INDEX withdrawn_rights_time ON withdrawn_rights (withdrawn_at);

CREATE FUNCTION note_withdrawn_rights() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO withdrawn_rights (user_id, withdrawn_at)
    VALUES (new.id, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
    ON CONFLICT (user_id) DO UPDATE
    SET withdrawn_at = greatest(excluded.withdrawn_at, withdrawn_rights.withdrawn_at + 1);
    RETURN NULL;
END $$;
CREATE TRIGGER users_withdrawn_rights AFTER UPDATE OF role, is_active ON users FOR EACH ROW
WHEN (old.role <> new.role OR (old.is_active AND NOT new.is_active))
EXECUTE FUNCTION note_withdrawn_rights();
