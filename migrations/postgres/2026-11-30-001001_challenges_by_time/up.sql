-- The latest notice of an account is found at once, however many it has.
CREATE INDEX IF NOT EXISTS challenges_of_kind ON challenges (user_id, kind, created_at);
