-- A key belongs to whatever its request has created, not to a send alone: `made` says what that is,
-- and `made_id` which one. Of a send it is `send_id`, for its row is kept as long as its key; nodes
-- of an earlier version go on writing those.
ALTER TABLE idempotency_keys
    ALTER COLUMN send_id DROP NOT NULL,
    ADD COLUMN made TEXT COLLATE "C" NOT NULL DEFAULT 'send',
    ADD COLUMN made_id BIGINT;
