-- User names that may be another spelling of an e-mail address: an ASCII name has one spelling.
CREATE INDEX users_named_beyond_ascii ON users (username_norm)
    WHERE length(CAST(username_norm AS BLOB)) <> length(username_norm) AND instr(username_norm, '@') > 0;
