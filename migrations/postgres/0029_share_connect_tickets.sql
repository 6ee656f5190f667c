-- Unused tickets for sockets (`port::SharedTickets`): one that a node issued is redeemed at any node,
-- once. Unlogged: a crash of the server empties it, and clients ask for new ones.
CREATE UNLOGGED TABLE connect_tickets (
    hash       BYTEA PRIMARY KEY,            -- SHA-256 of the ticket
    user_id    BIGINT NOT NULL,
    login_id   BIGINT,
    expires_at BIGINT NOT NULL,              -- of the token with which it was requested
    made_at    BIGINT NOT NULL               -- by the database's clock
);
CREATE INDEX connect_tickets_user ON connect_tickets (user_id, made_at);
CREATE INDEX connect_tickets_age ON connect_tickets (made_at);
