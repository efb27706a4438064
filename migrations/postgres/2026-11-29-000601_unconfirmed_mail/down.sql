ALTER TABLE outbox DROP COLUMN unconfirmed;
