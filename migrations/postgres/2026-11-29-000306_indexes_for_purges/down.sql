DROP INDEX limits_of_few_failures;
DROP INDEX outbox_finished;
DROP INDEX registrations_to_erase;
