-- How often something was tried within a window of time, by whom or on whom.
CREATE TABLE limits (
    name TEXT PRIMARY KEY,
    uses BIGINT NOT NULL,
    resets_at BIGINT NOT NULL,
    waits_until BIGINT NOT NULL
);
CREATE INDEX limits_by_reset ON limits (resets_at);

-- Devices that a person has logged in on: failures elsewhere do not keep them out.
CREATE TABLE known_devices (
    token_hash BLOB PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL
);
CREATE INDEX known_devices_by_user ON known_devices (user_id, last_seen_at);
