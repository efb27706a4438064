-- The indexes without null replace them.
DROP INDEX IF EXISTS challenges_by_holder;
DROP INDEX IF EXISTS challenges_by_link;
DROP INDEX IF EXISTS challenges_by_email;
