-- A webhook is switched off after a time of failures, and its owner is told once.
ALTER TABLE webhooks ADD COLUMN failing_since BIGINT;
ALTER TABLE webhooks ADD COLUMN is_told BOOLEAN NOT NULL DEFAULT false;
-- What was switched off before is known to its owner, or not missed.
UPDATE webhooks SET is_told = true WHERE off_reason IS NOT NULL;
