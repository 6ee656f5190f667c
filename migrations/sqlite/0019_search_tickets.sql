-- no-transaction
-- Lists of tickets are read from narrow indexes, and searches from an index of words. The columns
-- that lists filter by move in front of the text: behind a long description, SQLite reads all pages
-- of the description on its way to the status. SQLite cannot reorder columns, so the table is built
-- anew; the tables that refer to it stay as they are, which takes a connection that does not check
-- them for a moment. Done twice it does the same again.
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS new_tickets;
CREATE TABLE new_tickets (
    id          INTEGER PRIMARY KEY,
    project_id  INTEGER NOT NULL REFERENCES projects (id),
    number      INTEGER NOT NULL,
    status      TEXT NOT NULL,
    priority    TEXT NOT NULL,
    category    TEXT NOT NULL,
    created_by  INTEGER NOT NULL REFERENCES users (id),
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    UNIQUE (project_id, number)
) STRICT;
INSERT INTO new_tickets (id, project_id, number, status, priority, category, created_by, version,
    created_at, updated_at, deleted_at, title, description)
SELECT id, project_id, number, status, priority, category, created_by, version, created_at,
    updated_at, deleted_at, title, description FROM tickets ORDER BY id;
DROP TABLE tickets;
ALTER TABLE new_tickets RENAME TO tickets;

-- What is listed and counted. Neither index has a column that a step of the workflow changes, so a
-- step writes to neither. `deleted_at` is there for SQLite to see that it need not look at the rows.
CREATE INDEX tickets_live ON tickets (id, project_id, created_by, deleted_at)
    WHERE deleted_at IS NULL;
CREATE INDEX tickets_creator ON tickets (created_by, deleted_at) WHERE deleted_at IS NULL;

-- The words of each ticket that is not deleted: of its key, its title and its description. The text
-- itself is not kept a second time. The writer keeps the index, in the ticket's transaction.
DROP TABLE IF EXISTS ticket_words;
CREATE VIRTUAL TABLE ticket_words USING fts5 (
    text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO ticket_words (rowid, text)
SELECT t.id, p.key || '-' || t.number || char(10) || t.title || char(10) || t.description
FROM tickets t JOIN projects p ON p.id = t.project_id WHERE t.deleted_at IS NULL ORDER BY t.id;
COMMIT;
PRAGMA foreign_keys = ON;
