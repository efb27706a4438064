DROP INDEX users_by_rights_change;
ALTER TABLE users DROP COLUMN rights_changed_at;
