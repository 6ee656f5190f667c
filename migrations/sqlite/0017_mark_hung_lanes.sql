-- Lanes whose last attempt came to nothing and took long over it: one at a time goes there until
-- one does not.
CREATE TABLE hung_lanes (
    channel TEXT NOT NULL,
    lane    TEXT NOT NULL,
    at      INTEGER NOT NULL,  -- when the last one ended
    PRIMARY KEY (channel, lane)
) STRICT, WITHOUT ROWID;
