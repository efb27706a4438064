//! The language of mail.

use serde_json::json;

use crate::support::{DAY, PASSWORD, SECOND, World, on_both};

const MINA: &str = "mina@example.com";

fn is_korean(text: &str) -> bool {
    text.chars().any(|c| ('가'..='힣').contains(&c))
}

fn language(world: &World, number: usize) -> &'static str {
    let mail = world.mails_to(MINA, number).swap_remove(number - 1);
    let parts = [&mail.subject, &mail.text, &mail.html].map(|part| is_korean(part));
    assert!(parts == [parts[0]; 3], "one language in all parts: {}", mail.text);
    if parts[0] { "ko" } else { "en" }
}

on_both! {
    fn mail_speaks_the_language_that_was_asked_for(world) {
        let app = world.app();
        let body = json!({"email": MINA, "password": PASSWORD});
        let korean = json!({"email": MINA, "password": PASSWORD, "locale": "ko-KR"});
        let english = json!({"email": MINA, "password": PASSWORD, "locale": "en"});
        let accept = |header| [("accept-language", header)];
        for (number, (header, body, expected)) in [
            ("ko-KR,ko;q=0.9,en;q=0.5", &body, "ko"),
            ("en-US,en;q=0.9,ko;q=0.5", &body, "en"),
            ("fr", &body, "en"),
            ("en", &korean, "ko"),
            ("ko", &english, "en"),
        ].into_iter().enumerate() {
            app.post_with("/v1/register", &accept(header), body).is(202);
            assert_eq!(language(&world, number + 1), expected, "{header}");
        }
    }

    fn later_mail_speaks_the_language_of_the_account(world) {
        let app = world.app();
        let body = json!({"email": MINA, "password": PASSWORD, "locale": "ko-KR"});
        let token = app.register_with(&body);
        let tokens = app.verify_code(&token, &world.proof(MINA, 1).code).is(200).tokens();
        assert_eq!(app.me(&tokens.access).json()["locale"], "ko-KR");
        app.refresh(&tokens.refresh).is(200);
        world.advance(SECOND * 31);
        app.refresh(&tokens.refresh).refused(401, "refresh_token_reused");
        assert_eq!(language(&world, 2), "ko");
        world.advance(DAY);
        app.post_with("/v1/register", &[("accept-language", "ko")], &json!({
            "email": MINA, "password": PASSWORD,
        })).is(202);
        assert_eq!(language(&world, 3), "ko");
    }

    fn the_link_of_the_mail_leads_where_the_operator_says(world) {
        let app = world.app_with(&[
            ("HALLPASS_VERIFY_EMAIL_URL", "https://app.test/verify?token={token}&from=mail"),
        ]);
        let token = app.register(MINA);
        let mail = world.mails_to(MINA, 1).swap_remove(0);
        let (_, rest) = mail.text.split_once("https://app.test/verify?token=").expect("the link");
        let (link_token, _) = rest.split_once("&from=mail").expect("the link");
        app.verify_link(link_token, &token).is(200);
        assert!(!mail.text.contains("auth.test"));
    }

    fn the_host_of_a_request_never_shows_in_a_mail(world) {
        let app = world.app();
        let headers = [("host", "evil.test"), ("x-forwarded-host", "evil.test")];
        app.post_with("/v1/register", &headers, &json!({"email": MINA, "password": PASSWORD}))
            .is(202);
        let mail = world.mails_to(MINA, 1).swap_remove(0);
        assert!(mail.text.contains("http://auth.test/verify-email?token="), "{}", mail.text);
        assert!(!mail.text.contains("evil") && !mail.html.contains("evil"));
    }
}
