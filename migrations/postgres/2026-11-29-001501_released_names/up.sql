-- E-mail addresses that accounts gave up a short time ago, also as user names: access tokens may still
-- contain them. Only a hash is stored.
CREATE TABLE released_names (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name_hash BYTEA NOT NULL,
    released_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, name_hash)
);
CREATE INDEX released_names_by_name ON released_names (name_hash);
CREATE INDEX released_names_by_age ON released_names (released_at);
