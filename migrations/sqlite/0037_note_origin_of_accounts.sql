-- Who gave an account its number. NULL: the hub. Else an issuer of tokens, and when it issued the
-- token whose claims the account has; 0 if none were applied.
ALTER TABLE users ADD COLUMN claims_at INTEGER;
-- The hub makes no account without a password: these came with a token.
UPDATE users SET claims_at = 0 WHERE password_hash IS NULL;
