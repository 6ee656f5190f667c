-- Who was last removed from which project, and when, by the database's clock: each node reads the
-- recent ones and ends the user's streams of that project (`port::AccountStore::rights_withdrawn`).
-- By a trigger, so that nodes of the previous version and statements by hand are noted too.
CREATE TABLE ended_memberships (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    user_id    BIGINT NOT NULL REFERENCES users (id),
    ended_at   BIGINT NOT NULL,
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX ended_memberships_time ON ended_memberships (ended_at);

CREATE FUNCTION note_ended_membership() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ended_memberships (project_id, user_id, ended_at)
    VALUES (old.project_id, old.user_id, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
    ON CONFLICT (project_id, user_id) DO UPDATE SET ended_at = excluded.ended_at;
    RETURN NULL;
END $$;
CREATE TRIGGER project_members_ended AFTER DELETE ON project_members FOR EACH ROW
EXECUTE FUNCTION note_ended_membership();
