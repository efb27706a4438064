-- What a log-in at a provider has beside its challenge, which goes with it: docs/adr/0022-social-log-in.md.
CREATE TABLE social_flows (
    challenge_id TEXT PRIMARY KEY NOT NULL REFERENCES challenges (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    return_to TEXT NOT NULL,
    outcome TEXT
);

-- The identity that the account of a registration gets when its e-mail address is verified.
CREATE TABLE pending_identities (
    challenge_id TEXT PRIMARY KEY NOT NULL REFERENCES challenges (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL
);
