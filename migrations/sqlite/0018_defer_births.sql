-- Births that were written for many people at once: a row a transaction, for all of them. A birth is
-- still to be written as a row of `notifications` if its number is above the `last_seq` of its
-- inbox; a row of which none is left goes.
CREATE TABLE deferred_births (
    id     INTEGER PRIMARY KEY,
    births BLOB NOT NULL           -- whose, which number, which notification, which message
) STRICT;
