CREATE INDEX sessions_open ON sessions (user_id, last_seen_at) WHERE ended_at IS NULL;
