DROP INDEX users_superusers;
DROP INDEX users_by_rights;
