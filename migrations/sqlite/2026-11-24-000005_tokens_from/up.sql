-- Tokens of the Django face from log-ins before this count no longer.
ALTER TABLE users ADD COLUMN tokens_from BIGINT NOT NULL DEFAULT 0;
