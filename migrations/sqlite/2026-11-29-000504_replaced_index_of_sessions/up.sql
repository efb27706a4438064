-- sessions_open_of_user serves what this one served. A migration of its own: on Postgres it locks out
-- readers as well, if only for a moment.
DROP INDEX IF EXISTS sessions_open;
