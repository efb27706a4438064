-- How the refresh tokens of a session travel: 'body' or 'cookie'. NULL: opened by an earlier version; set
-- at the next refresh.
ALTER TABLE sessions ADD COLUMN transport TEXT;
