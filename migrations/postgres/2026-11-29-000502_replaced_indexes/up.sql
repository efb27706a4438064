-- The indexes of the migration before begin with the columns of these. A migration of its own: on Postgres
-- it locks out readers as well, if only for a moment.
DROP INDEX IF EXISTS registrations_by_user;
DROP INDEX IF EXISTS outbox_by_user;
DROP INDEX IF EXISTS outbox_by_recipient;
