-- The highest change among the tombstones that an inbox has forgotten: a client that has not come
-- as far may still hold a row that is gone, and is told to begin anew.
ALTER TABLE inboxes ADD COLUMN forgotten_seq INTEGER NOT NULL DEFAULT 0;
-- Tombstones, the oldest first.
CREATE INDEX notifications_deleted ON notifications (deleted_at) WHERE deleted_at IS NOT NULL;
