-- What a person keeps with the account, and why staff switched it off.
ALTER TABLE users ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE users ADD COLUMN disabled_reason TEXT;

-- Where a session was opened, and why it was ended.
ALTER TABLE sessions ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN network TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN end_reason TEXT;

-- A registration of somebody who has an account: the proof makes the address that of the account.
ALTER TABLE registrations ADD COLUMN changes_email BOOLEAN NOT NULL DEFAULT 0;

-- Secrets that a mail carries besides those of a registration: reset, invitation, "this was not me".
CREATE TABLE one_time_tokens (
    id TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL,
    email TEXT,
    detail TEXT NOT NULL,
    link_hash BLOB UNIQUE,
    code_hash BLOB,
    code_tries INTEGER NOT NULL,
    wrong_codes INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX one_time_tokens_by_user ON one_time_tokens (user_id, purpose);
CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);

-- Whose account a mail is about, as far as the order knows: it goes with the account, whatever address
-- it went to.
ALTER TABLE outbox ADD COLUMN user_id BIGINT;
CREATE INDEX outbox_by_user ON outbox (user_id);
CREATE INDEX outbox_by_recipient ON outbox (lower(recipient));
