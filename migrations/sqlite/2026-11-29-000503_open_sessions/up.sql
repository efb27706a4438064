-- The open sessions of a user. Without the time of the last refresh, a refresh changes no index of sessions.
CREATE INDEX IF NOT EXISTS sessions_open_of_user ON sessions (user_id) WHERE ended_at IS NULL;
