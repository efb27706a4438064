CREATE INDEX challenges_by_user ON challenges (user_id, kind);
