DROP INDEX refresh_tokens_of_session;
