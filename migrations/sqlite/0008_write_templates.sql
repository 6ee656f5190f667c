-- What admins have written over the default templates. How often it was changed stands in
-- `counters` under the name `templates`.
CREATE TABLE templates (
    event      TEXT NOT NULL,
    channel    TEXT NOT NULL,
    locale     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    text       TEXT NOT NULL,
    html       TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by INTEGER REFERENCES users (id),
    PRIMARY KEY (event, channel, locale)
) STRICT;
