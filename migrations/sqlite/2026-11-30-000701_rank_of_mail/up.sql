-- The number of a mail's request among those of its network on that day. The version before writes 1.
ALTER TABLE outbox ADD COLUMN rank BIGINT NOT NULL DEFAULT 1;
