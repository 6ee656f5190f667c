-- no-transaction
-- The hub itself cuts and folds the words of tickets, so that searches find text of scripts without
-- spaces, and letters that fold, as on PostgreSQL. The index takes them as they are given: its
-- tokenizer is another one. What the index holds stays as it is, and the hub indexes the tickets
-- anew beside its work, from the newest one down to the first. FTS5 has no statement for another
-- tokenizer, so the table's definition is changed where SQLite keeps it; creating a table afterwards
-- tells other connections that the schema has changed. Done twice it does the same again.
BEGIN IMMEDIATE;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'unicode61 remove_diacritics 2', 'ascii')
WHERE name = 'ticket_words';
PRAGMA writable_schema = RESET;
CREATE TABLE IF NOT EXISTS folded_words (is_new INTEGER) STRICT;
DROP TABLE folded_words;
INSERT OR REPLACE INTO settings (name, value)
SELECT 'old_words_before', max(id) + 1 FROM tickets HAVING count(*) > 0;
COMMIT;
