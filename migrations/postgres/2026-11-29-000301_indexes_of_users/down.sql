DROP INDEX users_email_sort_key;
DROP INDEX users_username_sort_key;
DROP INDEX users_superusers;
DROP INDEX users_by_rights;
