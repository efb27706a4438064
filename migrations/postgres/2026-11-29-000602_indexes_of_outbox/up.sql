-- New mails are leased before those that had to wait, each by the time when they are due.
CREATE INDEX IF NOT EXISTS outbox_fresh ON outbox (next_attempt_at, id)
    WHERE status = 'queued' AND next_attempt_at <= created_at;
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (next_attempt_at, id)
    WHERE status = 'queued' AND next_attempt_at > created_at;
