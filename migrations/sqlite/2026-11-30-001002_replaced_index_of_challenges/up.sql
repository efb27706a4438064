-- The index by user, kind and time replaces it.
DROP INDEX IF EXISTS challenges_by_user;
