-- The nodes that run on this database, or did lately (`port::NodeStore`, `domain::node`). Here it is
-- one: the process that has the file open. The commands beside it find its address here.
CREATE TABLE nodes (
    name         TEXT PRIMARY KEY,
    url          TEXT NOT NULL,          -- for clients
    operator_url TEXT NOT NULL,          -- for operators and the other nodes
    version      TEXT NOT NULL,
    started_at   INTEGER NOT NULL,       -- with the name: which process it is
    last_seen_at INTEGER NOT NULL,       -- its last heartbeat
    state        TEXT NOT NULL,          -- as the node wrote it: up, draining or left
    sessions     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Their place is taken by the table.
DELETE FROM settings WHERE name IN ('hub_url', 'api_url');
