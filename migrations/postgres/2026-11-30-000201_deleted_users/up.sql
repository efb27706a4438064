-- A deleted account keeps its row, without its content, until the rows that refer to it are deleted.
ALTER TABLE users ADD COLUMN deleted_at BIGINT;
CREATE INDEX users_deleted ON users (id) WHERE deleted_at IS NOT NULL;
