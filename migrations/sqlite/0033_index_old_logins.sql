-- Retention removes logins of which no token is valid any more, the oldest first. (Texts compare by
-- bytes here: PostgreSQL's file has an index of the audit log that did not.)
CREATE INDEX logins_expired ON logins (expires_at, id);
