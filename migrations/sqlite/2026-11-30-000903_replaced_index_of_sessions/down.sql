CREATE INDEX sessions_by_end ON sessions (ended_at);
