-- The login that subscribed the browser: the subscription ends with it. None for those of before, and
-- for those of tokens that belong to no login.
ALTER TABLE push_subscriptions ADD COLUMN login_id INTEGER;
CREATE INDEX push_subscriptions_login ON push_subscriptions (login_id) WHERE login_id IS NOT NULL;
