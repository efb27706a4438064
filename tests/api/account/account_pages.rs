//! The built-in pages behind the links of resets and notices.

use crate::support::account::{NEW_DEVICE, RESET};
use crate::support::{Answer, DAY, PASSWORD, TestApp, World, on_both};

const MINA: &str = "mina@example.com";
const NEW: &str = "pear tree at dawn";
const KOREAN: [(&str, &str); 1] = [("accept-language", "ko-KR,ko;q=0.9")];

fn html(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("script"), "{policy}");
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    String::from_utf8(answer.body.clone()).unwrap()
}

fn reset_link(world: &World, app: &TestApp, number: usize) -> String {
    app.ask_reset(MINA).is(202);
    world.link_about(MINA, RESET, number)
}

fn choose(app: &TestApp, token: &str, password: &str) -> Answer {
    app.post_form("/password-reset", &[], &[("token", token), ("password", password)])
}

/// Opens the page often, as mail scanners do, and holds the whole database against it.
fn only_looked_at(world: &World, app: &TestApp, path: &str, token: &str) {
    world.settle_mail();
    let before = world.rows_with("");
    for _ in 0..20 {
        let page = html(&app.get(&format!("{path}?token={token}")).is(200));
        assert!(page.contains("<form method=\"post\"") && page.contains(token), "{page}");
        app.send("HEAD", &format!("{path}?token={token}"), &[], "").is(200);
        app.send("HEAD", &format!("{path}/?token={token}"), &[], "").is(200);
    }
    assert_eq!(world.rows_with(""), before);
}

on_both! {
    fn opening_the_link_of_a_reset_changes_nothing_and_its_button_sets_the_password(world) {
        let app = world.app();
        app.person(&world, MINA);
        let link = reset_link(&world, &app, 1);
        assert!(
            world
                .mail_about(MINA, RESET, 1)
                .text
                .contains("http://auth.test/password-reset?token=")
        );
        only_looked_at(&world, &app, "/password-reset", &link);
        let page = html(&choose(&app, &link, NEW).is(200));
        assert!(page.contains("Your new password is set") && !page.contains("<form"), "{page}");
        app.log_in(MINA, NEW).is(200);
        app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        assert!(html(&choose(&app, &link, PASSWORD).is(401)).contains("not valid"));
    }

    fn a_password_that_is_refused_is_explained_and_may_be_tried_again(world) {
        let app = world.app();
        app.person(&world, MINA);
        let link = reset_link(&world, &app, 1);
        for (password, english, korean) in [
            ("seven77", "at least 8 characters", "8자 이상"),
            ("", "at least 8 characters", "8자 이상"),
            (&"x".repeat(257), "too long", "너무 깁니다"),
            (&"x".repeat(5_000), "too long", "너무 깁니다"),
            ("Password1", "attackers try first", "너무 흔한"),
            ("I am MINA, really", "your own address or name", "이메일 주소나 이름"),
        ] {
            let page = html(&choose(&app, &link, password).is(422));
            assert!(page.contains(english) && page.contains(&link), "{page}");
            assert!(page.contains("<form") && !page.contains("really"), "{page}");
            let form = [("token", link.as_str()), ("password", password)];
            let page = html(&app.post_form("/password-reset", &KOREAN, &form).is(422));
            assert!(page.contains(korean) && page.contains("lang=\"ko\""), "{page}");
        }
        choose(&app, &link, NEW).is(200);
    }

    fn a_reset_link_that_is_over_or_unknown_says_so(world) {
        let app = world.app();
        app.person(&world, MINA);
        let link = reset_link(&world, &app, 1);
        assert!(html(&app.get("/password-reset").is(401)).contains("not valid"));
        assert!(html(&choose(&app, "nonsense", NEW).is(401)).contains("not valid"));
        world.advance(DAY);
        assert!(html(&choose(&app, &link, NEW).is(401)).contains("expired"));
        let form = [("token", link.as_str()), ("password", NEW)];
        let page = html(&app.post_form("/password-reset", &KOREAN, &form).is(401));
        assert!(page.contains("만료"), "{page}");
    }

    fn the_link_of_a_reset_leads_where_the_operator_says(world) {
        let url = "https://app.test/#/reset/{token}";
        let app = world.app_with(&[("HALLPASS_PASSWORD_RESET_URL", url)]);
        app.person(&world, MINA);
        app.ask_reset(MINA).is(202);
        let mail = world.mail_about(MINA, RESET, 1);
        let (_, rest) = mail.text.split_once("https://app.test/#/reset/").expect("the link");
        assert!(!mail.text.contains("auth.test") && !mail.html.contains("auth.test"));
        app.reset_by_link(rest.split_whitespace().next().expect("a token"), NEW).is(204);
    }

    fn opening_the_link_of_a_notice_changes_nothing_and_its_button_ends_every_session(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.log_in_on("curl/8.5.0", MINA).is(200);
        let link = world.link_about(MINA, NEW_DEVICE, 1);
        only_looked_at(&world, &app, "/not-me", &link);
        app.me(&tokens.access).is(200);
        let press = || app.post_form("/not-me", &[], &[("token", link.as_str())]);
        let page = html(&press().is(200));
        assert!(page.contains("has been ended") && !page.contains("<form"), "{page}");
        app.me(&tokens.access).refused(401, "token_revoked");
        let next = world.link_about(MINA, RESET, 1);
        // The second press does nothing more.
        let back = app.log_in(MINA, PASSWORD).is(200).tokens();
        assert!(html(&press().is(200)).contains("has been ended"));
        let page = html(&app.post_form("/not-me", &KOREAN, &[("token", link.as_str())]).is(200));
        assert!(page.contains("종료되었습니다"), "{page}");
        app.me(&back.access).is(200);
        world.settle_mail();
        assert_eq!(world.mails_about(MINA, RESET).len(), 1);
        choose(&app, &next, NEW).is(200);
    }

    fn a_notice_link_that_is_over_or_unknown_says_so(world) {
        let app = world.app();
        app.person(&world, MINA);
        app.log_in_on("curl/8.5.0", MINA).is(200);
        let link = world.link_about(MINA, NEW_DEVICE, 1);
        let press = |token: &str| app.post_form("/not-me", &[], &[("token", token)]);
        assert!(html(&app.get("/not-me").is(401)).contains("not valid"));
        assert!(html(&press("nonsense").is(401)).contains("not valid"));
        assert!(html(&press("").is(401)).contains("not valid"));
        world.advance(DAY * 7);
        assert!(html(&press(&link).is(401)).contains("expired"));
    }
}

#[test]
fn nothing_of_a_link_becomes_markup() {
    let world = World::sqlite();
    let app = world.app();
    for attack in ["\"><script>alert(1)</script>", "' onfocus=alert(1) x='", "{{ 7*7 }}"] {
        let query: String = form_urlencoded::byte_serialize(attack.as_bytes()).collect();
        for path in ["/password-reset", "/not-me"] {
            for page in [
                html(&app.get(&format!("{path}?token={query}"))),
                html(&app.post_form(path, &[], &[("token", attack), ("password", "short")])),
            ] {
                assert!(!page.contains("<script") && !page.contains("49"), "{page}");
                assert!(!page.contains("' onfocus"), "{page}");
            }
        }
    }
}

#[test]
fn passwords_are_masked_and_password_managers_may_fill_them_in() {
    let world = World::sqlite();
    let app = world.app();
    app.register("waiting@example.com");
    let proof = world.proof("waiting@example.com", 1).link_token;
    app.person(&world, MINA);
    let reset = reset_link(&world, &app, 1);
    for (path, purpose) in [
        (format!("/verify-email?token={proof}"), "current-password"),
        (format!("/password-reset?token={reset}"), "new-password"),
    ] {
        let page = html(&app.get(&path).is(200));
        let inputs: Vec<&str> = page.split("<input ").skip(1).collect();
        let asked: Vec<&&str> =
            inputs.iter().filter(|it| it.contains("name=\"password\"")).collect();
        assert_eq!(asked.len(), 1, "{page}");
        assert!(asked[0].contains("type=\"password\""), "{page}");
        assert!(asked[0].contains(&format!("autocomplete=\"{purpose}\"")), "{page}");
        assert!(!asked[0].contains("maxlength"), "a long password is cut in the browser: {page}");
        // Without scripts nothing stands in the way of pasting.
        assert!(!page.contains("<script") && !page.contains(" on"), "{page}");
    }
}
