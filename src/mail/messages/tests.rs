use std::{collections::BTreeSet, fs};

use super::*;

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
    let present: BTreeSet<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(present, expected);
}

#[test]
fn code_and_link_stand_alone_on_their_lines_and_in_the_html() {
    for language in Language::ALL {
        let mail = built_in().render(language, &verify_email(), "Acme").unwrap();
        assert!(mail.text.lines().any(|line| line == "987654"), "{}", mail.text);
        assert!(mail.text.lines().any(|line| line == LINK), "{}", mail.text);
        assert!(mail.html.contains(">987654<"), "{}", mail.html);
        assert!(mail.html.contains(&format!("href=\"{LINK_IN_HTML}\"")), "{}", mail.html);
        assert!(mail.html.contains(&format!(">{LINK_IN_HTML}<")), "{}", mail.html);
    }
}

#[test]
fn the_notice_of_an_existing_account_has_a_link_only_where_there_is_a_page() {
    for language in Language::ALL {
        let render = |link: Option<&str>| {
            let message = Message::AlreadyRegistered { link: link.map(str::to_owned) };
            built_in().render(language, &message, "Acme").unwrap()
        };
        let with = render(Some(LINK));
        assert!(with.text.lines().any(|line| line == LINK), "{}", with.text);
        assert!(with.html.contains(&format!("href=\"{LINK_IN_HTML}\"")), "{}", with.html);
        let without = render(None);
        assert!(!without.text.contains("http") && !without.html.contains("href"));
    }
}

#[test]
fn the_security_notice_says_when() {
    let message = Message::RefreshTokenReused { at: UtcTime::from_seconds(1_767_270_659) };
    for language in Language::ALL {
        let mail = built_in().render(language, &message, "Acme").unwrap();
        assert!(mail.text.contains("2026-01-01 12:30 UTC"), "{}", mail.text);
        assert!(mail.html.contains("2026-01-01 12:30 UTC"), "{}", mail.html);
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
fn lifetimes_are_written_as_people_say_them() {
    for (seconds, english, korean) in [
        (0, "0 seconds", "0초"),
        (45, "45 seconds", "45초"),
        (60, "1 minute", "1분"),
        (119, "1 minute", "1분"),
        (30 * 60, "30 minutes", "30분"),
        (60 * 60, "1 hour", "1시간"),
        (90 * 60, "90 minutes", "90분"),
        (24 * 60 * 60, "24 hours", "24시간"),
        (25 * 60 * 60 + 59, "25 hours", "25시간"),
        (36 * 60 * 60, "36 hours", "36시간"),
        (48 * 60 * 60, "2 days", "2일"),
        (7 * 24 * 60 * 60, "7 days", "7일"),
    ] {
        let lifetime = Duration::from_secs(seconds);
        assert_eq!(span(Language::English, lifetime), english);
        assert_eq!(span(Language::Korean, lifetime), korean);
    }
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
