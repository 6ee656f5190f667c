-- Whether an account's owner has shown that mails to its address arrive. Of accounts that are here
-- already an operator has decided what they get: they count as verified.
ALTER TABLE users ADD COLUMN email_verified INTEGER NOT NULL DEFAULT 1;

-- Links in mails that change an account: good once, for some time. What opens them is signed when
-- the mail is rendered, and stands nowhere here. Ids are never used again, for tokens name them,
-- and so do the mails' deliveries (`target_id`), which are nobody's notification.
CREATE TABLE account_links (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    purpose    TEXT NOT NULL,            -- password or email
    email      TEXT NOT NULL,            -- the address that the mail goes to
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER                   -- when it was used, or void
) STRICT;
CREATE INDEX account_links_open ON account_links (user_id, purpose) WHERE ended_at IS NULL;
CREATE INDEX account_links_age ON account_links (expires_at);

-- What another process has ended: a hub looks for it now and then.
CREATE INDEX logins_revoked ON logins (revoked_at) WHERE revoked_at IS NOT NULL;
