-- Rows that a purge has to do something about, so that one that finds nothing reads nothing.
CREATE INDEX IF NOT EXISTS registrations_to_erase ON registrations (expires_at) WHERE email <> '';
CREATE INDEX IF NOT EXISTS outbox_finished ON outbox (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS limits_of_few_failures ON limits (resets_at)
    WHERE uses < 10 AND substr(name, 1, 15) = 'login_in_a_row:';
