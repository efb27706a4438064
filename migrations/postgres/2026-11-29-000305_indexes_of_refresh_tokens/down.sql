DROP INDEX refresh_tokens_between;
DROP INDEX refresh_tokens_replaced;
