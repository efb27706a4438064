-- Since when a key signs; others know it before. Keys of older versions sign from the moment they are made.
ALTER TABLE signing_keys ADD COLUMN signs_from BIGINT NOT NULL DEFAULT 0;
