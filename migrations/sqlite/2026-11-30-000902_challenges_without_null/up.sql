-- Most challenges have no link, no holder or verify no address.
CREATE UNIQUE INDEX IF NOT EXISTS challenges_of_holder ON challenges (holder_hash)
    WHERE holder_hash IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS challenges_of_link ON challenges (link_hash)
    WHERE link_hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS challenges_of_address ON challenges (email_norm, created_at)
    WHERE email_norm IS NOT NULL;
