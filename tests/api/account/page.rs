//! The built-in page that verifies an e-mail address.

use serde_json::json;

use crate::support::{Answer, DAY, PASSWORD, TestApp, World, on_both};

const MINA: &str = "mina@example.com";

fn post(app: &TestApp, token: &str, password: &str) -> Answer {
    let body: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("password", password)
        .finish();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    app.send("POST", "/verify-email", &form, body)
}

fn html(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(policy.contains("form-action 'self'") && !policy.contains("script"), "{policy}");
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    String::from_utf8(answer.body.clone()).unwrap()
}

on_both! {
    fn opening_the_link_changes_nothing_however_often(world) {
        let app = world.app();
        let token = app.register(MINA);
        let link = world.proof(MINA, 1).link_token;
        let path = format!("/verify-email?token={link}");
        for _ in 0..100 {
            let page = html(&app.get(&path).is(200));
            assert!(page.contains("<form method=\"post\"") && page.contains(&link));
            app.send("HEAD", &path, &[], "").is(200);
        }
        assert_eq!(world.count("users"), 0);
        assert_eq!(world.count("challenges WHERE used_at IS NULL AND code_tries = 0"), 1);
        app.verify_link(&link, &token).is(200);
    }

    fn the_button_verifies_with_the_right_password_only(world) {
        let app = world.app();
        app.register(MINA);
        let link = world.proof(MINA, 1).link_token;
        for wrong in ["not that one", "", &"x".repeat(2_000)] {
            let page = html(&post(&app, &link, wrong).is(401));
            assert!(page.contains("That is not the password"), "{page}");
            assert!(page.contains(&link), "the form is there for another try");
            assert!(!page.contains("not that one"));
        }
        assert_eq!(world.count("users"), 0);
        for _ in 0..2 {
            let page = html(&post(&app, &link, PASSWORD).is(200));
            assert!(page.contains("is verified") && !page.contains("<form"), "{page}");
        }
        // The page cannot keep tokens, so it opens no session.
        assert_eq!(world.count("sessions"), 0);
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn the_page_asks_for_no_password_where_the_link_is_enough(world) {
        let app = world.app_with(&[("HALLPASS_VERIFY_EMAIL_PROOF", "link")]);
        app.register(MINA);
        let link = world.proof(MINA, 1).link_token;
        let page = html(&app.get(&format!("/verify-email?token={link}")).is(200));
        assert!(!page.contains("password"), "{page}");
        assert_eq!(world.count("users"), 0);
        post(&app, &link, "").is(200);
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_link_that_is_over_or_unknown_says_so(world) {
        let app = world.app();
        app.register(MINA);
        let link = world.proof(MINA, 1).link_token;
        assert!(html(&post(&app, "nonsense", PASSWORD).is(401)).contains("not valid"));
        assert!(html(&app.get("/verify-email").is(401)).contains("not valid"));
        world.advance(DAY);
        assert!(html(&post(&app, &link, PASSWORD).is(401)).contains("expired"));
    }
}

#[test]
fn the_page_speaks_korean_to_those_who_do() {
    let world = World::sqlite();
    let app = world.app();
    let korean = [("accept-language", "ko-KR,ko;q=0.9")];
    let page = html(&app.send("GET", "/verify-email?token=t", &korean, "").is(200));
    assert!(page.contains("lang=\"ko\"") && page.contains("이메일 주소 확인"), "{page}");
    let page = html(&app.get("/verify-email?token=t").is(200));
    assert!(page.contains("lang=\"en\""));
}

#[test]
fn nothing_of_the_link_becomes_markup() {
    let world = World::sqlite();
    let app = world.app_with(&[("HALLPASS_SERVICE_NAME", "<b>Plum</b>")]);
    for attack in [
        "\"><script>alert(1)</script>",
        "' onfocus=alert(1) autofocus x='",
        "</form><img src=x onerror=alert(1)>",
        "{{ 7*7 }}{% for x in y %}",
    ] {
        let query: String = form_urlencoded::byte_serialize(attack.as_bytes()).collect();
        for page in [
            html(&app.get(&format!("/verify-email?token={query}"))),
            html(&post(&app, attack, "whatever")),
        ] {
            assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
            assert!(!page.contains("<b>Plum") && !page.contains("49"), "{page}");
            assert!(!page.contains("\"> <") && !page.contains("' onfocus"), "{page}");
        }
    }
}

#[test]
fn the_page_takes_no_more_than_a_form() {
    let world = World::sqlite();
    let app = world.app();
    app.send("PUT", "/verify-email", &[], "").refused(405, "method_not_allowed");
    app.send("POST", "/verify-email", &[], vec![b'x'; 100_000]).refused(413, "payload_too_large");
    post(&app, "nonsense", PASSWORD).is(401);
    app.post("/verify-email/", &json!({"token": "t"}));
}
