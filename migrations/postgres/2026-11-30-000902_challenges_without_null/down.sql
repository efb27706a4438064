DROP INDEX challenges_of_address;
DROP INDEX challenges_of_link;
DROP INDEX challenges_of_holder;
