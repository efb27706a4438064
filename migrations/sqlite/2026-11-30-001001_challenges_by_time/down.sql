DROP INDEX challenges_of_kind;
