-- The generation of an account's rights: the time of their last change, strictly increasing. Access tokens of an
-- earlier generation are refused.
ALTER TABLE users ADD COLUMN rights_changed_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX users_by_rights_change ON users (rights_changed_at) WHERE rights_changed_at > 0;
