DROP TABLE one_time_tokens;
ALTER TABLE registrations DROP COLUMN changes_email;
ALTER TABLE sessions DROP COLUMN end_reason;
ALTER TABLE sessions DROP COLUMN network;
ALTER TABLE sessions DROP COLUMN device;
ALTER TABLE users DROP COLUMN disabled_reason;
ALTER TABLE users DROP COLUMN metadata;
