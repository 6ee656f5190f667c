-- Words of tickets are cut and folded by other rules, so that searches find text of scripts without
-- spaces, and letters that fold. `revision` is 0 for words of the rules before, and is raised with
-- each write of the new ones; the hub writes those with 0 anew beside its work. A node of the version
-- before leaves `revision` as it is when it writes words, by which the trigger knows it.
ALTER TABLE ticket_words ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
CREATE INDEX ticket_words_old ON ticket_words (ticket_id) WHERE revision = 0;

CREATE FUNCTION ticket_words_of_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := 0;
    RETURN NEW;
END
$$;
CREATE TRIGGER ticket_words_of_before BEFORE UPDATE OF words ON ticket_words FOR EACH ROW
    WHEN (NEW.revision = OLD.revision) EXECUTE FUNCTION ticket_words_of_before();
