//! Extensions of the server (RFC 5321 section 4.1.1.1).

use super::reply::Reply;

/// Extensions that the server offers. Keywords are case-insensitive.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub starttls: bool,
    pub auth_plain: bool,
    pub auth_login: bool,
}

impl Extensions {
    /// Returns the extensions of a reply to EHLO.
    pub(super) fn of(reply: &Reply) -> Self {
        let mut found = Self::default();
        // The first line is the name of the server.
        for line in reply.lines.iter().skip(1) {
            // Servers from before RFC 2554 write "AUTH=PLAIN".
            let line = line.to_ascii_uppercase().replace('=', " ");
            let mut words = line.split_whitespace();
            match words.next() {
                Some("STARTTLS") => found.starttls = true,
                Some("AUTH") => {
                    for mechanism in words {
                        found.auth_plain |= mechanism == "PLAIN";
                        found.auth_login |= mechanism == "LOGIN";
                    }
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_have_no_case() {
        let lines = ["relay at 1", "Starttls", "size 1000", "auth=Login", "Auth plain XOAUTH2"];
        let reply = Reply { code: 250, lines: lines.map(str::to_owned).to_vec() };
        let found = Extensions::of(&reply);
        assert!(found.starttls && found.auth_plain && found.auth_login, "{found:?}");
        let reply = Reply { code: 250, lines: vec!["STARTTLS".to_owned()] };
        assert!(!Extensions::of(&reply).starttls, "the first line is a name");
    }
}
