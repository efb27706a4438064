-- One table for everything that a mail, an authenticator or a redirect answers:
-- docs/adr/0020-challenges.md. A migration of its own: it locks the users, if only for a moment.
CREATE TABLE challenges (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    user_id BIGINT REFERENCES users (id) ON DELETE CASCADE,
    email TEXT,
    -- Only where the challenge verifies the address.
    email_norm TEXT,
    detail TEXT NOT NULL,
    -- What the client holds that asked for it.
    holder_hash BYTEA,
    link_hash BYTEA,
    code_hash BYTEA,
    code_tries INTEGER NOT NULL,
    wrong_codes INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

-- What the account of a registration gets. It goes when the registration expires.
CREATE TABLE registration_details (
    challenge_id TEXT PRIMARY KEY NOT NULL REFERENCES challenges (id) ON DELETE CASCADE,
    username TEXT,
    password_hash TEXT NOT NULL,
    locale TEXT NOT NULL
);
