-- When a login was ended, by the clock of the machine and not that of the process that ended it:
-- others ask for those that were ended lately (`port::AccountStore::logins_revoked`). By a trigger,
-- so that processes of the release before count too.
CREATE TRIGGER logins_dated AFTER UPDATE OF revoked_at ON logins
WHEN old.revoked_at IS NULL AND new.revoked_at IS NOT NULL
BEGIN
    UPDATE logins SET revoked_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE id = new.id;
END;
