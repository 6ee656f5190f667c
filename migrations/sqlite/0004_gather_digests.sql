-- Which e-mail gathers a delivery: named by its first delivery, from its first attempt on, so that
-- a retry says the same under the same name.
ALTER TABLE deliveries ADD COLUMN digest_id INTEGER;

-- What waits for somebody's digest.
CREATE INDEX deliveries_digest ON deliveries (recipient_id, due_at)
    WHERE status = 'QUEUED' AND rule = 'digest' AND leased_until IS NULL;
