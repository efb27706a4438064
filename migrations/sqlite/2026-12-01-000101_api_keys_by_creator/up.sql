-- The newest key of an account is found at once, however many keys there are.
CREATE INDEX IF NOT EXISTS api_keys_by_creator ON api_keys (created_by, created_at);
