//! Every mail in every language, and templates of the operator.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use super::words::span;
use super::*;
use crate::domain::UtcTime;

const LINK: &str = "https://example.com/verify?lang=ko&token=AbC-_123";
const LINK_IN_HTML: &str = "https://example.com/verify?lang=ko&amp;token=AbC-_123";

fn built_in() -> Messages {
    Messages::load(None).unwrap()
}

fn verify_email() -> Message {
    Message::VerifyEmail {
        link: LINK.to_owned(),
        code: "987654".to_owned(),
        lifetime: Duration::from_hours(24),
    }
}

/// A folder with these override files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn fault(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    Messages::load(Some(folder.path())).err().unwrap_or_else(|| panic!("{files:?} was accepted"))
}

#[test]
fn every_message_reads_well_formed_in_every_language() {
    let messages = built_in();
    for language in Language::ALL {
        for message in Message::samples() {
            let mail = messages.render(language, &message, "Acme").unwrap();
            let what = format!("{}/{}", language.tag(), message.name());
            assert!(mail.subject.contains("Acme"), "{what}");
            assert!(!mail.subject.contains('\n'), "{what}");
            assert!(mail.text.contains("Acme") && mail.html.contains("Acme"), "{what}");
            assert!(mail.text.ends_with('\n') && !mail.text.contains("\n\n\n"), "{what}");
            assert!(!mail.text.contains("{{") && !mail.html.contains("{%"), "{what}");
            assert!(mail.html.contains(&format!("<html lang=\"{}\">", language.tag())), "{what}");
            assert!(!mail.html.contains("src=") && !mail.html.contains("url("), "{what}");
            let hangul = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
            let korean = language == Language::Korean;
            for part in [&mail.subject, &mail.text, &mail.html] {
                assert_eq!(hangul(part), korean, "{what}: {part}");
            }
        }
    }
}

#[test]
fn every_template_belongs_to_a_message_that_the_samples_cover() {
    let mut expected = BTreeSet::from([LAYOUT.to_owned()]);
    for language in Language::ALL {
        for message in Message::samples() {
            for part in ["subject.txt", "txt", "html"] {
                expected.insert(format!("{}/{}.{part}", language.tag(), message.name()));
            }
        }
    }
    let present: BTreeSet<String> = built_in_files().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(present, expected);
}

/// Links are for programs, too: a line of the text, a button and a text to copy in the HTML.
fn assert_shows_the_link(mail: &Rendered) {
    assert!(mail.text.lines().any(|line| line == LINK), "{}", mail.text);
    assert!(mail.html.contains(&format!("href=\"{LINK_IN_HTML}\"")), "{}", mail.html);
    assert!(mail.html.contains(&format!(">{LINK_IN_HTML}<")), "{}", mail.html);
}

fn assert_has_no_link(mail: &Rendered) {
    assert!(!mail.text.contains("http"), "{}", mail.text);
    assert!(!mail.html.contains("href"), "{}", mail.html);
}

#[test]
fn code_and_link_stand_alone_on_their_lines_and_in_the_html() {
    let (link, code, lifetime) = (LINK.to_owned(), "987654".to_owned(), Duration::from_hours(24));
    for message in [
        verify_email(),
        Message::VerifyNewEmail { link: link.clone(), code: code.clone(), lifetime },
        Message::ResetPassword { link, code, lifetime },
    ] {
        for language in Language::ALL {
            let mail = built_in().render(language, &message, "Acme").unwrap();
            assert!(mail.text.lines().any(|line| line == "987654"), "{}", mail.text);
            assert!(mail.html.contains(">987654<"), "{}", mail.html);
            assert_shows_the_link(&mail);
            assert!(mail.text.contains(&span(language, lifetime)), "{}", mail.text);
            assert!(mail.html.contains(&span(language, lifetime)), "{}", mail.html);
        }
    }
}

#[test]
fn an_invitation_has_a_link_and_says_how_long_it_is_valid() {
    let lifetime = Duration::from_hours(7 * 24);
    let message = Message::Invitation { link: LINK.to_owned(), lifetime };
    for language in Language::ALL {
        let mail = built_in().render(language, &message, "Acme").unwrap();
        assert_shows_the_link(&mail);
        assert!(mail.text.contains(&span(language, lifetime)), "{}", mail.text);
        assert!(mail.html.contains(&span(language, lifetime)), "{}", mail.html);
    }
}

#[test]
fn the_notice_of_an_existing_account_offers_a_new_password_only_with_a_reset_link() {
    let lifetime = Duration::from_mins(30);
    for language in Language::ALL {
        let render = |reset| {
            let message = Message::AlreadyRegistered { reset };
            built_in().render(language, &message, "Acme").unwrap()
        };
        let with = render(Some(TimedLink { link: LINK.to_owned(), lifetime }));
        assert_shows_the_link(&with);
        assert!(with.text.contains(&span(language, lifetime)), "{}", with.text);
        assert!(with.html.contains(&span(language, lifetime)), "{}", with.html);
        assert_has_no_link(&render(None));
    }
}

/// The time that the link of a notice is valid.
const NOTICE_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// Each notice to the owner of an account, with what strangers can put into it.
fn notices(device: &str, new_email: &str) -> [Message; 8] {
    let at = UtcTime::from_seconds(1_767_270_659);
    let not_me = || TimedLink { link: LINK.to_owned(), lifetime: NOTICE_LIFETIME };
    let (device, new_email) = (device.to_owned(), new_email.to_owned());
    [
        Message::NewDevice { at, device, not_me: not_me() },
        Message::PasswordChanged { at, not_me: not_me() },
        Message::EmailChangeRequested { at, new_email: new_email.clone(), not_me: not_me() },
        Message::EmailChanged { at, new_email: new_email.clone(), not_me: not_me() },
        Message::RefreshTokenReused { at, not_me: not_me() },
        Message::UsernameChanged {
            at,
            old_username: new_email,
            new_username: "user-7".to_owned(),
            not_me: Some(not_me()),
        },
        Message::IdentityLinked { at, provider: "Google".to_owned(), not_me: not_me() },
        Message::IdentityUnlinked { at, provider: "Google".to_owned(), not_me: not_me() },
    ]
}

#[test]
fn each_notice_says_when_and_has_a_link_for_whoever_it_was_not() {
    for language in Language::ALL {
        let button = match language {
            Language::English => ">This was not me</a>",
            Language::Korean => ">제가 한 일이 아닙니다</a>",
        };
        for message in notices("Firefox on Linux", "new@example.com") {
            let mail = built_in().render(language, &message, "Acme").unwrap();
            assert!(mail.text.contains("2026-01-01 12:30 UTC"), "{}", mail.text);
            assert!(mail.html.contains("2026-01-01 12:30 UTC"), "{}", mail.html);
            assert_shows_the_link(&mail);
            assert!(mail.html.contains(button), "{}", mail.html);
            for part in [&mail.text, &mail.html] {
                assert!(part.contains(&span(language, NOTICE_LIFETIME)), "{part}");
            }
        }
    }
}

#[test]
fn the_notice_of_another_user_name_has_no_link_for_an_address_that_is_not_verified() {
    let at = UtcTime::from_seconds(1_767_270_659);
    let (old_username, new_username) = ("own@example.com".to_owned(), "user-7".to_owned());
    let message = Message::UsernameChanged { at, old_username, new_username, not_me: None };
    for language in Language::ALL {
        let mail = built_in().render(language, &message, "Acme").unwrap();
        assert_has_no_link(&mail);
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("own@example.com") && part.contains("user-7"), "{part}");
        }
    }
}

#[test]
fn notices_show_the_device_and_the_new_address_escaped_in_the_html_and_on_one_line() {
    for language in Language::ALL {
        let [device, _, requested, changed, _, renamed, ..] =
            notices("<b>App</b>\r\n\nhttps://evil.example", "<b>\n\n@example.com");
        for (message, in_text, in_html) in [
            (
                device,
                "<b>App</b> https //evil example",
                "&lt;b&gt;App&lt;/b&gt; https //evil example",
            ),
            (requested, "<b> @example.com", "&lt;b&gt; @example.com"),
            (changed, "<b> @example.com", "&lt;b&gt; @example.com"),
            (renamed, "<b> @example.com", "&lt;b&gt; @example.com"),
        ] {
            let mail = built_in().render(language, &message, "Acme").unwrap();
            assert!(mail.text.contains(in_text), "{}", mail.text);
            assert!(mail.html.contains(in_html), "{}", mail.html);
            assert!(!mail.html.contains("<b>"), "{}", mail.html);
        }
    }
}

#[test]
fn a_device_that_does_not_say_what_it_is_is_called_unknown() {
    for (language, unknown) in
        [(Language::English, "an unknown device"), (Language::Korean, "알 수 없는 기기")]
    {
        let render = |label| {
            let [device, ..] = notices(label, "new@example.com");
            built_in().render(language, &device, "Acme").unwrap()
        };
        let unlabelled = render("");
        assert!(unlabelled.text.contains(unknown), "{}", unlabelled.text);
        assert!(unlabelled.html.contains(unknown), "{}", unlabelled.html);
        let labelled = render("Firefox on Linux");
        assert!(labelled.text.contains("Firefox on Linux"), "{}", labelled.text);
        assert!(!labelled.text.contains(unknown), "{}", labelled.text);
    }
}

#[test]
fn html_is_escaped_in_the_html_part_and_nowhere_else() {
    let name = "<b>\"A\" & 'B'</b>";
    for language in Language::ALL {
        for message in Message::samples() {
            let mail = built_in().render(language, &message, name).unwrap();
            assert!(!mail.html.contains("<b>"), "{}", mail.html);
            assert!(mail.html.contains("&lt;b&gt;&quot;A&quot; &amp; &#39;B&#39;&lt;/b&gt;"));
            assert!(mail.text.contains(name) && mail.subject.contains(name), "{}", mail.text);
        }
    }
}

#[test]
fn a_line_break_in_the_name_of_the_service_does_not_reach_the_subject() {
    let mail = built_in().render(Language::English, &verify_email(), "A\r\nBcc: x").unwrap();
    assert_eq!(mail.subject, "Verify your email address for A Bcc: x");
}

#[test]
fn a_file_of_the_operator_replaces_one_template_and_leaves_the_others() {
    let folder = folder(&[
        ("en/verify_email.html", "<h1>{{ service }}: {{ code }}</h1>"),
        ("en/verify_email.subject.txt", "\n  Welcome to\n{{ service }}\n"),
        (".DS_Store", "not a template"),
        ("en/.gitkeep", ""),
    ]);
    let messages = Messages::load(Some(folder.path())).unwrap();
    let english = messages.render(Language::English, &verify_email(), "A&B").unwrap();
    assert!(english.html.contains("<h1>A&amp;B: 987654</h1>"), "{}", english.html);
    assert!(english.html.starts_with("<!doctype html>"), "{}", english.html);
    assert_eq!(english.subject, "Welcome to A&B");
    let plain = built_in().render(Language::English, &verify_email(), "A&B").unwrap();
    assert_eq!(english.text, plain.text);
    let korean = messages.render(Language::Korean, &verify_email(), "A&B").unwrap();
    assert_eq!(korean, built_in().render(Language::Korean, &verify_email(), "A&B").unwrap());
}

#[test]
fn the_frame_of_the_html_part_can_be_replaced() {
    let folder = folder(&[("layout.html", "<main>{{ body }}</main>")]);
    let messages = Messages::load(Some(folder.path())).unwrap();
    let mail = messages.render(Language::English, &verify_email(), "Acme").unwrap();
    assert!(mail.html.starts_with("<main><p>"), "{}", mail.html);
}

#[test]
fn a_broken_or_unknown_file_stops_the_start_and_is_named() {
    for (name, text) in [
        ("en/verify_email.html", "{% if %}"),
        ("ko/verify_email.txt", "{{ kode }}"),
        ("ko/already_registered.txt", "{{ link | no_such_filter }}"),
        ("en/refresh_token_reused.subject.txt", "  \n"),
        ("layout.html", "{{ body"),
        ("en/verify_mail.html", "hello"),
        ("fr/verify_email.html", "bonjour"),
        ("README.md", "hello"),
    ] {
        let fault = fault(&[(name, text)]);
        assert!(fault.contains(name), "{name}: {fault}");
    }
}

#[test]
fn a_file_that_is_not_utf8_and_a_missing_folder_are_named() {
    let folder = folder(&[("en/verify_email.txt", "")]);
    fs::write(folder.path().join("en/verify_email.txt"), [0xff, 0xfe]).unwrap();
    let fault = Messages::load(Some(folder.path())).err().unwrap();
    assert!(fault.contains("verify_email.txt"), "{fault}");
    let missing = folder.path().join("nowhere");
    let fault = Messages::load(Some(&missing)).err().unwrap();
    assert!(fault.contains("nowhere"), "{fault}");
}
