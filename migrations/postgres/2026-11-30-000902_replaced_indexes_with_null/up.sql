-- The indexes of the migration before replace the first four; no statement uses the other two, of tables that
-- only the version before reads. A migration of its own: on Postgres it locks out readers as well, if only
-- for a moment.
DROP INDEX IF EXISTS sessions_by_end;
DROP INDEX IF EXISTS challenges_by_holder;
DROP INDEX IF EXISTS challenges_by_link;
DROP INDEX IF EXISTS challenges_by_email;
DROP INDEX IF EXISTS registrations_to_erase;
DROP INDEX IF EXISTS one_time_tokens_of_user;
