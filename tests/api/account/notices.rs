//! Security notices, and their link to report unauthorized activity.

use std::time::Duration;

use serde_json::json;

use crate::api::limits::attempts::limited;
use crate::support::account::{
    CHANGE_REQUESTED, CONFIRM, EMAIL_CHANGED, NEW_DEVICE, PASSWORD_CHANGED, RESET, SESSION_ENDED,
};
use crate::support::{DAY, PASSWORD, SECOND, TestApp, World, on_both, shortly_before};

const MINA: &str = "mina@example.com";
const NEW: &str = "pear tree at dawn";
const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; rv:143.0) Gecko/20100101 Firefox/143.0";

/// Logs in on a new device, reads the `number`th notice about it and returns its link.
fn notice(world: &World, app: &TestApp, number: usize) -> String {
    let agent = format!("client-{number}/1.0");
    app.log_in_on(&agent, MINA).is(200);
    world.link_about(MINA, NEW_DEVICE, number)
}

/// Uses the link: every session ends, once, and a mail offers a new password, once.
fn disavowed(world: &World, app: &TestApp, link: &str) {
    let (one, other) = (app.log_in(MINA, PASSWORD).tokens(), app.log_in(MINA, PASSWORD).tokens());
    let resets = world.mails_about(MINA, RESET).len();
    app.not_me(link).is(204);
    for tokens in [&one, &other] {
        app.me(&tokens.access).refused(401, "token_revoked");
        app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
    }
    assert_eq!(world.count("sessions WHERE ended_at IS NULL"), 0);
    world.mail_about(MINA, RESET, resets + 1);
    // Opened again, it is answered as the first time and does nothing more.
    let back = app.log_in(MINA, PASSWORD).is(200).tokens();
    world.settle_mail();
    let ordered = world.count("outbox");
    app.not_me(link).is(204);
    app.me(&back.access).is(200);
    assert_eq!(world.count("outbox"), ordered);
}

on_both! {
    fn a_report_leaves_the_api_keys_of_before_whatever_the_clocks_of_the_instances_tell(world) {
        let (here, there) = (world.app(), world.app_ahead(SECOND * 3));
        let root = here.superuser(&world, MINA);
        let (older, _) = there.api_key(&root, &["introspect"]);
        let thief = here.log_in_on("curl/8.5.0", MINA).is(200).tokens();
        let (newer, _) = here.api_key(&thief, &["introspect"]);
        here.not_me(&world.link_about(MINA, NEW_DEVICE, 1)).is(204);
        let revoked = |id: &str| world.count(&format!("api_keys WHERE id = '{id}' AND revoked_at IS NOT NULL"));
        assert_eq!((revoked(&older), revoked(&newer)), (0, 1));
    }

    fn a_log_in_on_a_new_device_sends_a_notice(world) {
        let app = world.app();
        app.person(&world, MINA);
        app.log_in(MINA, PASSWORD).is(200);
        world.settle_mail();
        assert_eq!(world.mails_so_far(MINA).len(), 1, "a fresh account's own device is not new");
        app.log_in_on(FIREFOX, MINA).is(200);
        let mail = world.mail_about(MINA, NEW_DEVICE, 1);
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("Firefox on Windows"), "{part}");
        }
        assert!(mail.text.contains("http://auth.test/not-me?token="), "{}", mail.text);
        app.log_in_on(FIREFOX, MINA).is(200);
        app.log_in(MINA, PASSWORD).is(200);
        app.log_in_on("curl/8.5.0", "nobody@example.com").refused(401, "invalid_credentials");
        app.log_in_on("curl/8.5.0", MINA).is(200);
        world.mail_about(MINA, NEW_DEVICE, 2);
        world.settle_mail();
        assert_eq!(world.mails_about(MINA, NEW_DEVICE).len(), 2);
    }

    fn notices_that_a_client_can_cause_at_will_are_bounded_per_account_and_day(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        app.person(&world, "kim@example.com");
        for number in 0..14 {
            let tokens = app.log_in_on(&format!("client-{number}/1.0"), MINA).is(200).tokens();
            app.refresh(&tokens.refresh).is(200);
            world.advance(SECOND * 31);
            app.refresh(&tokens.refresh).refused(401, "refresh_token_reused");
        }
        let told = |email| {
            world.settle_mail();
            [NEW_DEVICE, SESSION_ENDED].map(|about| world.mails_about(email, about).len())
        };
        assert_eq!(told(MINA), [10, 10]);
        assert_eq!(world.count("challenges WHERE kind = 'disavow'"), 20);
        assert_eq!(world.count("events WHERE kind = 'refresh_token_reused'"), 14);
        // A change of the password is told all the same, and so are the devices of others.
        let tokens = app.log_in_on("client-0/1.0", MINA).is(200).tokens();
        app.change_password(&tokens.access, Some(PASSWORD), NEW).is(204);
        world.mail_about(MINA, PASSWORD_CHANGED, 1);
        app.log_in_on("client-0/1.0", "kim@example.com").is(200);
        assert_eq!(told("kim@example.com"), [1, 0]);
        // The first links undo what came later.
        app.not_me(&world.link_about(MINA, NEW_DEVICE, 10)).is(204);
        // A thief of the new password is told.
        let body = json!({"username": MINA, "password": NEW});
        app.post_with("/v1/token-auth", &[("user-agent", "client-98/1.0")], &body).is(200);
        assert_eq!(told(MINA), [11, 10]);
        world.advance(DAY);
        app.post_with("/v1/token-auth", &[("user-agent", "client-99/1.0")], &body).is(200);
        assert_eq!(told(MINA), [12, 10]);
    }

    fn a_wrong_password_on_a_new_device_is_not_told(world) {
        let app = world.app();
        app.person(&world, MINA);
        let body = json!({"username": MINA, "password": "not that one"});
        app.post_with("/v1/token-auth", &[("user-agent", FIREFOX)], &body)
            .refused(401, "invalid_credentials");
        assert_eq!(world.count("outbox WHERE kind = 'new_device'"), 0);
    }

    fn what_a_device_calls_itself_does_not_become_markup(world) {
        let app = world.app();
        app.person(&world, MINA);
        app.log_in_on("<img\u{9}src=x>", MINA).is(200);
        let mail = world.mail_about(MINA, NEW_DEVICE, 1);
        assert!(!mail.html.contains("<img"), "{}", mail.html);
    }

    fn the_link_of_each_notice_ends_every_session_once(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.log_in_on(FIREFOX, MINA).is(200);
        disavowed(&world, &app, &world.link_about(MINA, NEW_DEVICE, 1));

        let tokens = {
            drop(tokens);
            app.log_in(MINA, PASSWORD).tokens()
        };
        app.refresh(&tokens.refresh).is(200);
        world.advance(SECOND * 31);
        app.refresh(&tokens.refresh).refused(401, "refresh_token_reused");
        disavowed(&world, &app, &world.link_about(MINA, SESSION_ENDED, 1));

        let tokens = app.log_in(MINA, PASSWORD).tokens();
        app.change_password(&tokens.access, Some(PASSWORD), NEW).is(204);
        app.change_password(&tokens.access, Some(NEW), PASSWORD).is(204);
        disavowed(&world, &app, &world.link_about(MINA, PASSWORD_CHANGED, 2));

        let tokens = app.log_in(MINA, PASSWORD).tokens();
        app.change_email(&tokens.access, "new@example.com").is(202);
        disavowed(&world, &app, &world.link_about(MINA, CHANGE_REQUESTED, 1));

        let tokens = app.log_in(MINA, PASSWORD).tokens();
        let waiting = app.change_email(&tokens.access, "newer@example.com").is(202);
        let proof = world.proof_about("newer@example.com", CONFIRM, 1);
        app.verify_code(&waiting.text("registration_token"), &proof.code).is(200);
        let link = world.link_about(MINA, EMAIL_CHANGED, 1);
        app.not_me(&link).is(204);
        disavowed(&world, &app, &notice(&world, &app, 2));
    }

    fn a_reset_sends_the_notice_of_a_changed_password(world) {
        let app = world.app();
        app.person(&world, MINA);
        app.ask_reset(MINA).is(202);
        app.reset_by_link(&world.proof_about(MINA, RESET, 1).link_token, NEW).is(204);
        let link = world.link_about(MINA, PASSWORD_CHANGED, 1);
        let tokens = app.log_in(MINA, NEW).is(200).tokens();
        app.not_me(&link).is(204);
        app.me(&tokens.access).refused(401, "token_revoked");
    }

    fn whatever_waited_for_a_click_is_void_after_the_link(world) {
        let app = world.app();
        let registration_token = app.register(MINA);
        let registration = world.proof(MINA, 1);
        let tokens = app.verify_code(&registration_token, &registration.code).is(200).tokens();
        let link = notice(&world, &app, 1);
        let waiting = app
            .change_email(&tokens.access, "thief@example.com")
            .is(202)
            .text("registration_token");
        let change = world.proof_about("thief@example.com", CONFIRM, 1);
        app.ask_reset(MINA).is(202);
        let reset = world.proof_about(MINA, RESET, 1);
        app.not_me(&link).is(204);
        app.verify_code(&waiting, &change.code).refused(401, "code_invalid");
        app.verify_password(&change.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        app.verify_code(&registration_token, &registration.code).refused(401, "code_invalid");
        app.verify_password(&registration.link_token, PASSWORD)
            .refused(401, "one_time_token_invalid");
        app.reset_by_link(&reset.link_token, NEW).refused(401, "one_time_token_invalid");
        app.reset_by_link(&world.proof_about(MINA, RESET, 2).link_token, NEW).is(204);
        app.log_in(MINA, NEW).is(200);
    }

    fn the_link_counts_for_seven_days_to_the_second(world) {
        let app = world.app();
        app.person(&world, MINA);
        let (early, late) = (notice(&world, &app, 1), notice(&world, &app, 2));
        world.advance(shortly_before(DAY * 7));
        app.not_me(&early).is(204);
        let tokens = app.log_in(MINA, PASSWORD).is(200).tokens();
        for _ in 0..2 {
            world.advance(SECOND);
            app.not_me(&late).refused(401, "one_time_token_expired");
            app.not_me(&early).refused(401, "one_time_token_expired");
        }
        app.me(&tokens.access).is(200);
    }

    fn one_kind_of_link_is_not_taken_for_another(world) {
        let app = world.app();
        let registration_token = app.register(MINA);
        let registration = world.proof(MINA, 1);
        app.verify_code(&registration_token, &registration.code).is(200);
        let link = notice(&world, &app, 1);
        app.ask_reset(MINA).is(202);
        let reset = world.proof_about(MINA, RESET, 1);
        for other in
            [&reset.link_token, &registration.link_token, &registration_token, "nonsense", ""]
        {
            app.not_me(other).refused(401, "one_time_token_invalid");
        }
        app.reset_by_link(&link, NEW).refused(401, "one_time_token_invalid");
        app.verify_password(&link, PASSWORD).refused(401, "one_time_token_invalid");
        app.verify_link(&reset.link_token, &registration_token)
            .refused(401, "one_time_token_invalid");
        app.refresh(&link).refused(401, "refresh_token_unknown");
        app.get(&format!("/v1/not-me?token={link}")).refused(405, "method_not_allowed");
        app.not_me(&link).is(204);
    }

    fn notices_can_be_disabled(world) {
        let app = world.app_with(&[("HALLPASS_SECURITY_NOTICES", "off")]);
        app.person(&world, MINA);
        let tokens = app.log_in_on(FIREFOX, MINA).is(200).tokens();
        app.change_password(&tokens.access, Some(PASSWORD), NEW).is(204);
        app.change_password(&tokens.access, Some(NEW), PASSWORD).is(204);
        app.refresh(&tokens.refresh).is(200);
        world.advance(SECOND * 31);
        app.refresh(&tokens.refresh).refused(401, "refresh_token_reused");
        let tokens = app.log_in(MINA, PASSWORD).tokens();
        app.move_to(&world, &tokens.access, "new@example.com");
        world.settle_mail();
        assert_eq!(world.count("outbox WHERE kind <> 'registration'"), 0);
        assert_eq!(world.mails_so_far(MINA).len(), 1);
        // What was asked for is sent all the same.
        app.ask_reset("new@example.com").is(202);
        world.mail_about("new@example.com", RESET, 1);
    }

    fn the_link_leads_where_the_operator_says(world) {
        let app = world.app_with(&[("HALLPASS_NOT_ME_URL", "https://app.test/#/not-me/{token}")]);
        app.person(&world, MINA);
        app.log_in_on(FIREFOX, MINA).is(200);
        let mail = world.mail_about(MINA, NEW_DEVICE, 1);
        let (_, rest) = mail.text.split_once("https://app.test/#/not-me/").expect("the link");
        app.not_me(rest.split_whitespace().next().expect("a token")).is(204);
        assert!(!mail.text.contains("auth.test") && !mail.html.contains("auth.test"));
    }

    fn an_old_link_does_nothing_to_an_account_that_is_off_or_gone(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let link = notice(&world, &app, 1);
        world.execute("UPDATE users SET is_active = false");
        app.not_me(&link).refused(401, "one_time_token_invalid");
        world.execute("UPDATE users SET is_active = true");
        app.as_holder("DELETE", "/v1/me", &tokens.access, &json!({"password": PASSWORD})).is(204);
        app.not_me(&link).refused(401, "one_time_token_invalid");
    }

    fn notices_speak_the_language_of_the_account(world) {
        let app = world.app();
        let body = json!({"email": MINA, "password": PASSWORD, "locale": "ko"});
        let token = app.register_with(&body);
        app.verify_code(&token, &world.proof(MINA, 1).code).is(200);
        app.log_in_on(FIREFOX, MINA).is(200);
        let mail = world.mails_to(MINA, 2).swap_remove(1);
        for part in [&mail.subject, &mail.text, &mail.html] {
            assert!(part.contains("로그인"), "{part}");
        }
    }

    fn seven_days_are_not_cut_short_by_tidying_up(world) {
        let app = world.app();
        app.person(&world, MINA);
        let link = notice(&world, &app, 1);
        world.advance(DAY * 6 + Duration::from_hours(23));
        world.purge();
        disavowed(&world, &app, &link);
    }
}
