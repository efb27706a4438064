-- Whether a session has an unused refresh token, by the index alone: the tokens of a session are far from
-- each other.
CREATE INDEX IF NOT EXISTS refresh_tokens_of_session ON refresh_tokens (session_id, used_at, expires_at);
