-- The nodes that run on this database, or did lately (`port::NodeStore`, `domain::node`). All times
-- are by the database's clock: the clocks of nodes differ.
CREATE TABLE nodes (
    name         TEXT COLLATE "C" PRIMARY KEY,
    url          TEXT NOT NULL,                   -- for clients
    operator_url TEXT NOT NULL,                   -- for operators and the other nodes
    version      TEXT NOT NULL,
    started_at   BIGINT NOT NULL,                 -- with the name: which process it is
    last_seen_at BIGINT NOT NULL,                 -- its last heartbeat
    state        TEXT COLLATE "C" NOT NULL,       -- as the node wrote it: up, draining or left
    sessions     BIGINT NOT NULL
);
