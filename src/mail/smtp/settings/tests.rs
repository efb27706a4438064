//! Forms of the URL, and names for EHLO.

use super::*;

fn parsed(url: &str) -> SmtpSettings {
    SmtpSettings::parse(url).unwrap_or_else(|fault| panic!("{url}: {fault}"))
}

#[test]
fn each_form_gets_its_protection_and_port() {
    use Security::{ImplicitTls, Plain, StartTls};
    for (url, security, host, port) in [
        ("smtps://u:p@mail.example.com", ImplicitTls, "mail.example.com", 465),
        ("smtps://u:p@mail.example.com:2465/", ImplicitTls, "mail.example.com", 2465),
        ("smtps://localhost", ImplicitTls, "localhost", 465),
        ("smtp://u:p@mail.example.com", StartTls, "mail.example.com", 587),
        ("smtp://mail.example.com:25", StartTls, "mail.example.com", 25),
        ("smtp://u:p@mail.example.com?tls=required", StartTls, "mail.example.com", 587),
        ("smtp://localhost?tls=required", StartTls, "localhost", 25),
        ("smtp://localhost:1025", Plain, "localhost", 1025),
        ("smtp://LOCALHOST", Plain, "localhost", 25),
        ("smtp://127.0.0.1:1025", Plain, "127.0.0.1", 1025),
        ("smtp://127.1.2.3", Plain, "127.1.2.3", 25),
        ("smtp://[::1]:1025", Plain, "::1", 1025),
        ("smtp://mailpit:1025?tls=none", Plain, "mailpit", 1025),
        ("smtp://mail_server:25?tls=none", Plain, "mail_server", 25),
        ("smtp://10.0.0.1", StartTls, "10.0.0.1", 587),
        ("smtp://[2001:db8::1]", StartTls, "2001:db8::1", 587),
        ("smtp://localhost.example.com", StartTls, "localhost.example.com", 587),
        ("smtp://127.0.0.1.example.com", StartTls, "127.0.0.1.example.com", 587),
        ("smtps://메일.example.com", ImplicitTls, "xn--h32bq4v.example.com", 465),
    ] {
        let settings = parsed(url);
        assert_eq!(
            (settings.security(), settings.host(), settings.port()),
            (security, host, port),
            "{url}"
        );
    }
}

#[test]
fn user_and_password_are_percent_decoded() {
    let login = parsed("smtps://bob%40example.com:p%40%2F%3A%23%25x@host").login.unwrap();
    assert_eq!((login.user.as_str(), login.password.as_str()), ("bob@example.com", "p@/:#%x"));
    assert!(parsed("smtps://host").login.is_none());
}

#[test]
fn a_password_goes_in_plain_text_to_this_machine_only() {
    assert!(parsed("smtp://u:p@localhost:1025").login.is_some());
    assert!(SmtpSettings::parse("smtp://u:p@mail.example.com?tls=none").is_err());
    assert!(SmtpSettings::parse("smtp://u:p@10.0.0.1?tls=none").is_err());
}

#[test]
fn a_private_certificate_authority_can_be_named() {
    let settings = parsed("smtps://host?ca=/etc/hallpass/mail%20ca.pem");
    assert_eq!(settings.ca(), Some(Path::new("/etc/hallpass/mail ca.pem")));
    assert!(SmtpSettings::parse("smtp://localhost?ca=/x.pem").is_err());
}

#[test]
fn a_wrong_url_is_refused_without_repeating_the_password() {
    for url in [
        "",
        "hunter2",
        "http://u:hunter2@host",
        "smtps://",
        "smtps://u:hunter2@",
        "smtps://u:hunter2@host:0",
        "smtps://u:hunter2@host:99999",
        "smtps://u:hunter2@host/path",
        "smtps://u:#hunter2@host",
        "smtps://u:x#hunter2@host",
        "smtps://u:x/hunter2@host",
        "smtps://u:x?hunter2@host",
        "smtps://u:hunter2@host?tls=none",
        "smtp://u:hunter2@host?tls=opportunistic",
        "smtp://u:hunter2@host?timeout=1",
        "smtps://u:hunter2%00@host",
        "smtps://u:hunter2%0d%0aRSET@host",
        "smtps://u:hunter2%ff@host",
        "smtps://:hunter2@host",
        "smtps://hunter2@host",
        "smtps://u:hunter2@ho st",
        "smtps://u:hunter2@ho%20st",
        "smtps://u:hunter2@ho%0d%0ast",
        "smtps://u:hunter2@[::1",
    ] {
        let fault = SmtpSettings::parse(url).expect_err(url);
        assert!(!fault.contains("hunter2"), "{url}: {fault}");
        assert!(!fault.is_empty(), "{url}");
    }
}

#[test]
fn a_name_for_ehlo_is_a_domain_or_an_address_literal() {
    for (text, name) in [
        ("auth.example.com", "auth.example.com"),
        ("메일.example.com", "xn--h32bq4v.example.com"),
        ("localhost", "localhost"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("mail.example.com.", "mail.example.com"),
        ("auth_1.internal", "auth_1.internal"),
        ("a-b.example", "a-b.example"),
    ] {
        assert_eq!(ehlo_name(text).as_deref(), Some(name), "{text}");
    }
    let long = format!("{}.example.com", "a".repeat(64));
    for text in ["", "two words", "a\r\nMAIL", "<a>", "[192.0.2.1"].into_iter().chain([
        "-",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "-a.example",
        "a-.example",
        "_.-",
        &long,
    ]) {
        assert_eq!(ehlo_name(text), None, "{text}");
    }
}

#[test]
fn debug_output_keeps_the_password() {
    let text = format!("{:?}", parsed("smtps://someone:hunter2@host"));
    assert!(!text.contains("hunter2") && !text.contains("someone"), "{text}");
}
