-- How many tokens of its session came before. Of the replaced ones each 64th is kept: see
-- docs/adr/0002-refresh-tokens.md. The version before writes 0, which is kept.
ALTER TABLE refresh_tokens ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS refresh_tokens_replaced ON refresh_tokens (expires_at)
    WHERE used_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS refresh_tokens_between ON refresh_tokens (used_at)
    WHERE used_at IS NOT NULL AND generation % 64 <> 0;
