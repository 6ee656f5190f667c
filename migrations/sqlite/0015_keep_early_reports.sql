-- What a provider reports of a message before it is recorded here under which name it took it: kept
-- until that record, and for some minutes at most.
CREATE TABLE early_reports (
    id          INTEGER PRIMARY KEY,
    channel     TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    status      TEXT NOT NULL,
    error       TEXT,
    said_at     INTEGER NOT NULL,  -- by the provider's clock
    kept_at     INTEGER NOT NULL   -- by ours
) STRICT;
CREATE INDEX early_reports_name ON early_reports (provider_id);
