DROP TABLE registration_details;
DROP TABLE challenges;
