-- Nothing is lost: registrations and one_time_tokens hold the same.
DROP TRIGGER challenges_changed ON challenges;
DROP TRIGGER registration_details_changed ON registration_details;
DROP TRIGGER registrations_changed ON registrations;
DROP TRIGGER one_time_tokens_changed ON one_time_tokens;
DROP FUNCTION mirror_registration();
DROP FUNCTION mirror_one_time_token();
DROP FUNCTION mirror_registration_details();
DROP FUNCTION mirror_challenge();
DELETE FROM challenges;
DROP INDEX challenges_to_erase;
DROP INDEX challenges_by_expiry;
DROP INDEX challenges_of_user;
DROP INDEX challenges_by_user;
DROP INDEX challenges_by_email;
DROP INDEX challenges_by_link;
DROP INDEX challenges_by_holder;
