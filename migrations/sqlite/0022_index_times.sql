-- Reports find messages by the time at which they were made, and retention finds deliveries by the
-- time at which they were due: ids say nothing about either.
CREATE INDEX messages_created ON messages (created_at);
CREATE INDEX deliveries_age ON deliveries (due_at);
