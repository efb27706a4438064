CREATE INDEX one_time_tokens_of_user ON one_time_tokens (user_id, id);
CREATE INDEX registrations_to_erase ON registrations (expires_at) WHERE email <> '';
CREATE INDEX challenges_by_email ON challenges (email_norm, created_at);
CREATE UNIQUE INDEX challenges_by_link ON challenges (link_hash);
CREATE UNIQUE INDEX challenges_by_holder ON challenges (holder_hash);
CREATE INDEX sessions_by_end ON sessions (ended_at);
