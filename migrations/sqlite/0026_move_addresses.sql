-- The addresses of users, a row each, so that a channel needs no column of its own. An account has
-- one at most on each channel; one without an address has no row. Addresses are compared without
-- regard to case.
CREATE TABLE addresses (
    user_id INTEGER NOT NULL REFERENCES users (id),
    channel TEXT NOT NULL,               -- a channel's name, as in deliveries
    address TEXT NOT NULL COLLATE NOCASE CHECK (address <> ''),
    PRIMARY KEY (user_id, channel)
) STRICT, WITHOUT ROWID;
INSERT INTO addresses (user_id, channel, address)
SELECT id, 'EMAIL', email FROM users WHERE email <> ''
UNION ALL SELECT id, 'WHATSAPP', whatsapp_number FROM users WHERE whatsapp_number <> ''
UNION ALL SELECT id, 'SMS', phone FROM users WHERE phone <> '';

-- An e-mail address logs in, and names one account.
CREATE UNIQUE INDEX addresses_email ON addresses (address) WHERE channel = 'EMAIL';

-- Nothing reads the columns any more: a process of an older version refuses the database.
DROP INDEX users_email;
ALTER TABLE users DROP COLUMN email;
ALTER TABLE users DROP COLUMN whatsapp_number;
ALTER TABLE users DROP COLUMN phone;
