-- How many tokens of its session came before. Of the replaced ones each 16th is kept: see
-- docs/adr/0002-refresh-tokens.md. The version before writes 0, which is kept.
ALTER TABLE refresh_tokens ADD COLUMN IF NOT EXISTS generation BIGINT NOT NULL DEFAULT 0;
