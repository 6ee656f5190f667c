-- How many have a notification of a send.
ALTER TABLE sends ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE sends SET told = recipients WHERE status = 'DONE';
