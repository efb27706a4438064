-- Most rows have null in these columns: most sessions are open, and most challenges have no link, no
-- holder or verify no address. Without null, such a row has no entry, which would be in a page of its own.
CREATE INDEX IF NOT EXISTS sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS challenges_of_holder ON challenges (holder_hash)
    WHERE holder_hash IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS challenges_of_link ON challenges (link_hash) WHERE link_hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS challenges_of_address ON challenges (email_norm, created_at)
    WHERE email_norm IS NOT NULL;
