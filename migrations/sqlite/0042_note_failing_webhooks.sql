-- A webhook is switched off after a time of failures, and its owner is told once.
ALTER TABLE webhooks ADD COLUMN failing_since INTEGER;
ALTER TABLE webhooks ADD COLUMN is_told INTEGER NOT NULL DEFAULT 0;
-- What was switched off before is known to its owner, or not missed.
UPDATE webhooks SET is_told = 1 WHERE off_reason IS NOT NULL;
