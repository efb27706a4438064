DROP INDEX refresh_tokens_between;
DROP INDEX refresh_tokens_replaced;
ALTER TABLE refresh_tokens DROP COLUMN generation;
