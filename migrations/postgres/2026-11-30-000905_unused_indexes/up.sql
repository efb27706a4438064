-- Only the version before uses these tables, and none of its statements these indexes.
DROP INDEX IF EXISTS registrations_to_erase;
DROP INDEX IF EXISTS one_time_tokens_of_user;
