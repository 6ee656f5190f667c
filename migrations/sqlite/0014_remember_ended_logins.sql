-- When the last access token of a login ends. Until then a login that was ended must be known as such,
-- also to a process that has just begun. Of what was begun before this it is the login's own end.
ALTER TABLE logins ADD COLUMN access_until INTEGER NOT NULL DEFAULT 0;
UPDATE logins SET access_until = expires_at;
CREATE INDEX logins_ended ON logins (access_until) WHERE revoked_at IS NOT NULL;
