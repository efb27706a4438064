-- Lists of staff and of inactive users, in the order of their ids. A filter on one of the two reads both
-- values of the other.
CREATE INDEX IF NOT EXISTS users_by_rights ON users (is_staff, is_active, id);
CREATE INDEX IF NOT EXISTS users_superusers ON users (id)
    WHERE is_superuser AND is_staff AND is_active;
-- The search by the beginning compares bytes, whatever collation the database has. On SQLite the unique
-- indexes do.
CREATE INDEX IF NOT EXISTS users_username_sort_key ON users (username_norm COLLATE "C");
CREATE INDEX IF NOT EXISTS users_email_sort_key ON users (email_norm COLLATE "C");
