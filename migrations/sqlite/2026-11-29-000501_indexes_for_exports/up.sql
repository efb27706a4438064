-- An export reads each list of a user in pages, in the order of the ids.
CREATE INDEX IF NOT EXISTS sessions_ended ON sessions (user_id, id) WHERE ended_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS registrations_of_user ON registrations (user_id, id);
CREATE INDEX IF NOT EXISTS one_time_tokens_of_user ON one_time_tokens (user_id, id);
CREATE INDEX IF NOT EXISTS outbox_of_user ON outbox (user_id, id);
CREATE INDEX IF NOT EXISTS outbox_to_recipient ON outbox (lower(recipient), id);
