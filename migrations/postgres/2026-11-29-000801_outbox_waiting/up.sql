-- The age of the oldest mail that waits, for operators.
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (status, created_at);
