-- When a disabled account may log in again; until then is_active is false.
ALTER TABLE users ADD COLUMN disabled_until BIGINT;
CREATE INDEX users_disabled_until ON users (disabled_until) WHERE disabled_until IS NOT NULL;
