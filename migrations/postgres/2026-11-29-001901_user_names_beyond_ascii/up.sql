-- User names that may be another spelling of an e-mail address: an ASCII name has one spelling.
CREATE INDEX users_named_beyond_ascii ON users (username_norm COLLATE "C")
    WHERE octet_length(username_norm) <> char_length(username_norm) AND strpos(username_norm, '@') > 0;
