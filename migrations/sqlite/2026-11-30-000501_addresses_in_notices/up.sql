-- Notices whose text may contain the e-mail address of another user.
CREATE INDEX challenges_telling_an_address ON challenges (lower(detail))
    WHERE kind = 'disavow' AND detail <> '';
