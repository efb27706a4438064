ALTER TABLE users DROP COLUMN tokens_from;
