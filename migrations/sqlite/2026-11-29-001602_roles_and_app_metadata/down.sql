ALTER TABLE users DROP COLUMN app_metadata;
ALTER TABLE users DROP COLUMN roles;
