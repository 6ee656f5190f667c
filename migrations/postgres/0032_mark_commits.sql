-- By which it is known whether a commit whose answer was lost has happened: a transaction raises a
-- number in a row that no other one writes meanwhile (`storage/postgres/commit_marks.rs`). The
-- server's own transaction ids do not tell: after a crash it gives them out again.
--
-- The pages are mostly empty, so that a row is updated within its page and needs no new entry in
-- the index.
CREATE TABLE commit_marks (
    owner  BIGINT NOT NULL,                  -- a process, by a number drawn at random
    slot   BIGINT NOT NULL,                  -- one of its transactions in progress
    number BIGINT NOT NULL,                  -- only rises
    at     BIGINT NOT NULL,                  -- by the database's clock
    PRIMARY KEY (owner, slot)
) WITH (fillfactor = 10);
