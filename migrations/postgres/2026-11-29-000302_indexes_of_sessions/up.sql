-- The open sessions of a user, however many ended ones there are, and the devices of all of them.
CREATE INDEX IF NOT EXISTS sessions_open ON sessions (user_id, last_seen_at) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS sessions_by_device ON sessions (user_id, device, network);
