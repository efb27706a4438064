DROP INDEX outbox_waiting;
DROP INDEX outbox_fresh;
