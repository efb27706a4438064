CREATE INDEX one_time_tokens_of_user ON one_time_tokens (user_id, id);
CREATE INDEX registrations_to_erase ON registrations (expires_at) WHERE email <> '';
