-- Most sessions are open. Without null, such a row has no entry, which would be in a page of its own.
CREATE INDEX IF NOT EXISTS sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL;
