-- The number of a mail's request among those of its network on that day. The version before writes 1.
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS rank BIGINT NOT NULL DEFAULT 1;
