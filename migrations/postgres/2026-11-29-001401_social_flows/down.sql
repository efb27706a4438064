DROP TABLE pending_identities;
DROP TABLE social_flows;
