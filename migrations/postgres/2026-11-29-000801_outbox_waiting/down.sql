DROP INDEX IF EXISTS outbox_waiting;
