DROP TABLE signing_keys;
DROP TABLE outbox;
DROP TABLE registrations;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
DROP TABLE users;
