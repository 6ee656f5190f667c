-- When a login was ended, by the server's clock and not that of the node that ended it: others ask
-- for those that were ended lately (`port::AccountStore::logins_revoked`). By a trigger, so that
-- nodes of the release before count too.
CREATE FUNCTION date_ended_login() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.revoked_at := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    RETURN new;
END $$;
CREATE TRIGGER logins_dated BEFORE UPDATE OF revoked_at ON logins FOR EACH ROW
WHEN (old.revoked_at IS NULL AND new.revoked_at IS NOT NULL)
EXECUTE FUNCTION date_ended_login();
