-- How often the mail server may have accepted a mail without saying so. The version before writes 0.
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS unconfirmed INTEGER NOT NULL DEFAULT 0;
