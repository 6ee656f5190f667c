-- Retention removes logins of which no token is valid any more, the oldest first.
CREATE INDEX logins_expired ON logins (expires_at, id);

-- Text that an index contains compares by bytes, as everywhere: the order of a locale changes with
-- the server's C library, and an index that goes by the old order finds nothing.
DROP INDEX audit_log_action;
CREATE INDEX audit_log_action ON audit_log (action COLLATE "C", at, id);
