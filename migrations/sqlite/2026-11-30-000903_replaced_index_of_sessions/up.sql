-- `sessions_ended_at` replaces it. On Postgres this locks out readers as well, if only for a moment,
-- so each table has a migration of its own.
DROP INDEX IF EXISTS sessions_by_end;
