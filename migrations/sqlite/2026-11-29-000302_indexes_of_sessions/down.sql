DROP INDEX sessions_by_device;
DROP INDEX sessions_open;
