DROP INDEX sessions_open_of_user;
