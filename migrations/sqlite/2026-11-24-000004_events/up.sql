-- What happened to an account, and who did it. The rows outlive the account: no foreign key. A row of
-- nobody (user_id is null) is a wrong password for a name that no account has; it goes within minutes.
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    user_id BIGINT,
    actor_id BIGINT,
    kind TEXT NOT NULL,
    session_id TEXT,
    device TEXT NOT NULL,
    network TEXT NOT NULL,
    detail TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX events_by_user ON events (user_id, id);
CREATE INDEX events_by_time ON events (at);
