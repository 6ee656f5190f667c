-- The highest change among the tombstones that an inbox has forgotten: a client that has not come
-- as far may still hold a row that is gone, and is told to begin anew.
ALTER TABLE inboxes ADD COLUMN forgotten_seq INTEGER NOT NULL DEFAULT 0;
-- Tombstones, the oldest first.
CREATE INDEX notifications_deleted ON notifications (deleted_at) WHERE deleted_at IS NOT NULL;

-- How many rows of inboxes say it. What nobody has any more is in the index, and what waits for its
-- time.
ALTER TABLE messages ADD COLUMN copies INTEGER NOT NULL DEFAULT 0;
UPDATE messages SET copies = c.copies
FROM (SELECT message_id, count(*) AS copies FROM notifications GROUP BY message_id) c
WHERE c.message_id = messages.id;
CREATE INDEX messages_free ON messages (created_at) WHERE copies = 0;
-- What goes with a message, and what keeps it.
CREATE INDEX sends_message ON sends (message_id);
CREATE INDEX idempotency_keys_send ON idempotency_keys (send_id);
