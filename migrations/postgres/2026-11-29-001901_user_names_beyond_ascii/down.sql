DROP INDEX users_named_beyond_ascii;
