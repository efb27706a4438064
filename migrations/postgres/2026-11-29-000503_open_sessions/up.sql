-- The open sessions of a user. Without the time of the last refresh, a refresh changes no index of sessions:
-- Postgres then writes the new row beside the old one, where there is room (a HOT update).
CREATE INDEX IF NOT EXISTS sessions_open_of_user ON sessions (user_id) WHERE ended_at IS NULL;
ALTER TABLE sessions SET (fillfactor = 90);
