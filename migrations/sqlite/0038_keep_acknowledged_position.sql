-- Up to where clients that acknowledge have acknowledged the inbox; NULL before the first of them.
-- delivered_seq is what has arrived at any session, and other kinds of clients move it too.
ALTER TABLE inboxes ADD COLUMN acknowledged_seq INTEGER;
