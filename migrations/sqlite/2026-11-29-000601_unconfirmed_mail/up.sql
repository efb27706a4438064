-- How often the mail server may have accepted a mail without saying so. The version before writes 0.
ALTER TABLE outbox ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0;
