-- Replaced tokens by the end of their own time, and those that go sooner by when they were replaced.
CREATE INDEX IF NOT EXISTS refresh_tokens_replaced ON refresh_tokens (expires_at)
    WHERE used_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS refresh_tokens_between ON refresh_tokens (used_at)
    WHERE used_at IS NOT NULL AND generation % 16 <> 0;
