-- Deleted users whose sessions and events still have to lose what tells about them.
CREATE TABLE erasures (
    user_id BIGINT NOT NULL PRIMARY KEY,
    requested_at BIGINT NOT NULL
);
