-- refresh_tokens_of_session begins with the column of this one. A migration of its own: on Postgres it
-- locks out readers as well, if only for a moment.
DROP INDEX IF EXISTS refresh_tokens_by_session;
