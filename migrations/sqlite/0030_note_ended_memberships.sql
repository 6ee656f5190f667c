-- Who was last removed from which project, and when: the server reads the recent ones and ends the
-- user's streams of that project (`port::AccountStore::rights_withdrawn`). By a trigger, so that
-- statements of other processes are noted too.
CREATE TABLE ended_memberships (
    project_id INTEGER NOT NULL REFERENCES projects (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    ended_at   INTEGER NOT NULL,
    PRIMARY KEY (project_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_memberships_time ON ended_memberships (ended_at);

CREATE TRIGGER project_members_ended AFTER DELETE ON project_members
BEGIN
    INSERT INTO ended_memberships (project_id, user_id, ended_at)
    VALUES (old.project_id, old.user_id, CAST(unixepoch('subsec') * 1000 AS INTEGER))
    ON CONFLICT (project_id, user_id) DO UPDATE SET ended_at = excluded.ended_at;
END;
