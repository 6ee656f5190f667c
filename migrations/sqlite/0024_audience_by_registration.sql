-- The audience of a send are the accounts that had registered when it was taken in. The time of
-- registration is in the index, so that recipients by role are still read from the index alone.
DROP INDEX users_active_role;
CREATE INDEX users_active_role ON users (role, id, created_at) WHERE is_active = 1;
