//! Mailboxes behind e-mail addresses, for counting only. Providers decide which addresses reach the
//! same mailbox, and may change it, so accounts are never compared by mailbox.

/// Spellings of an address that a provider delivers to one mailbox.
struct Spellings {
    /// Characters that make no difference.
    ignored: &'static [char],
    /// Characters before a tag.
    separators: &'static [char],
}

/// Spellings at the other providers, most of which deliver `mina+tag@` to `mina@`.
const USUAL: Spellings = Spellings { ignored: &[], separators: &['+'] };

/// Domains with the same mailboxes, of which the first stands for all, and their spellings.
const PROVIDERS: [(&[&str], Spellings); 4] = [
    // Google, "Dots don't matter in Gmail addresses"; googlemail.com is Gmail's older domain.
    (&["gmail.com", "googlemail.com"], Spellings { ignored: &['.'], ..USUAL }),
    // Proton, "Addresses and aliases": an account has its name at each of these domains, and
    // dots, hyphens and underscores do not make another name.
    (
        &["proton.me", "protonmail.com", "pm.me", "protonmail.ch"],
        Spellings { ignored: &['.', '-', '_'], ..USUAL },
    ),
    // Apple, "iCloud.com, me.com and mac.com": an older account has its name at each of them.
    (&["icloud.com", "me.com", "mac.com"], USUAL),
    // Yandex, "Login": it is the same at each domain, and with a hyphen in place of a dot. (A
    // login without either is another one, which is counted with them.)
    (
        &["yandex.com", "yandex.ru", "ya.ru", "yandex.by", "yandex.kz", "yandex.ua"],
        Spellings { ignored: &['.', '-'], ..USUAL },
    ),
];

/// Yahoo, "Disposable addresses": they are `name-tag@`, and no other name has a hyphen. The
/// mailboxes of its domains differ.
const YAHOO: Spellings = Spellings { ignored: &[], separators: &['+', '-'] };
/// Domains of Yahoo beside `yahoo.com`, `yahoo.co.uk` and so on.
const OTHERS_OF_YAHOO: [&str; 3] = ["ymail.com", "rocketmail.com", "myyahoo.com"];

/// Returns one spelling for all the addresses that reach the mailbox of `local@domain`, which are
/// in lower case.
pub(super) fn mailbox(local: &str, domain: &str) -> String {
    let (domain, spellings) = spellings_at(domain);
    let is_separator = |c: char| spellings.separators.contains(&c);
    let name = match local.split_once(is_separator) {
        Some((name, _)) if !name.is_empty() => name,
        _ => local,
    };
    format!("{}@{domain}", name.replace(spellings.ignored, ""))
}

fn spellings_at(domain: &str) -> (&str, &'static Spellings) {
    for (domains, spellings) in &PROVIDERS {
        if domains.contains(&domain) {
            return (domains[0], spellings);
        }
    }
    let is_yahoo = domain.starts_with("yahoo.") || OTHERS_OF_YAHOO.contains(&domain);
    (domain, if is_yahoo { &YAHOO } else { &USUAL })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_mailbox_are_one() {
        for (of, addresses) in [
            ("mina@example.com", &["mina+shop@example.com", "mina+shop+2@example.com"][..]),
            ("mina@gmail.com", &["m.i.na@gmail.com", "mi.na+x@googlemail.com"]),
            ("mina@proton.me", &["mi-na@pm.me", "m_i.na+x@protonmail.com", "mina@protonmail.ch"]),
            ("mina@icloud.com", &["mina@me.com", "mina+x@mac.com"]),
            ("minakim@yandex.com", &["mina.kim@ya.ru", "mina-kim+x@yandex.ru"]),
            ("mina@yahoo.co.uk", &["mina-shop@yahoo.co.uk", "mina-2-3@yahoo.co.uk"]),
            ("mina@ymail.com", &["mina-shop@ymail.com"]),
        ] {
            for address in addresses {
                let (local, domain) = address.rsplit_once('@').unwrap();
                assert_eq!(mailbox(local, domain), of, "{address}");
            }
        }
    }

    #[test]
    fn other_mailboxes_stay_apart() {
        for (local, domain) in [
            ("mi.na", "example.com"),
            ("mina-shop", "example.com"),
            ("mi.na", "icloud.com"),
            ("mi.na", "yahoo.com"),
            ("mina", "yahoo.fr"),
            ("mina", "ymail.com"),
            ("mina", "yahoo.com.example"),
            ("+a", "example.com"),
            ("-a", "yahoo.com"),
        ] {
            assert_eq!(mailbox(local, domain), format!("{local}@{domain}"));
        }
    }
}
