CREATE INDEX outbox_by_recipient ON outbox (lower(recipient));
CREATE INDEX outbox_by_user ON outbox (user_id);
CREATE INDEX registrations_by_user ON registrations (user_id);
