-- What a username or an e-mail address looks like (see `domain::confusable`), so that of two that
-- look alike only the first is taken. SQL cannot compute it: whoever opens the database fills the
-- table for the accounts that are there. Of those that looked alike before, the oldest has the key,
-- and the others have none.
CREATE TABLE name_keys (
    kind    TEXT NOT NULL,         -- 'username' or 'email'
    key     TEXT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX name_keys_user ON name_keys (user_id);
