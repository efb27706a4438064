CREATE INDEX challenges_by_email ON challenges (email_norm, created_at);
CREATE UNIQUE INDEX challenges_by_link ON challenges (link_hash);
CREATE UNIQUE INDEX challenges_by_holder ON challenges (holder_hash);
