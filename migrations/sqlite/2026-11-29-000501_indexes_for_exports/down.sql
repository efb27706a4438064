DROP INDEX outbox_to_recipient;
DROP INDEX outbox_of_user;
DROP INDEX one_time_tokens_of_user;
DROP INDEX registrations_of_user;
DROP INDEX sessions_ended;
