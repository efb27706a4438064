ALTER TABLE sessions RESET (fillfactor);
DROP INDEX sessions_open_of_user;
