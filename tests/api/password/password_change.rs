//! Change of the password by its user.

use std::time::Duration;

use serde_json::json;

use crate::support::account::{CONFIRM, PASSWORD_CHANGED, RESET};
use crate::support::{PASSWORD, SECOND, on_both, shortly_before};

const MINA: &str = "mina@example.com";
const NEW: &str = "pear tree at dawn";

on_both! {
    fn the_new_password_counts_and_the_old_does_not(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.change_password(&tokens.access, Some("not that one"), NEW)
            .refused(401, "invalid_credentials");
        app.change_password(&tokens.access, Some(NEW), NEW).refused(401, "invalid_credentials");
        app.log_in(MINA, PASSWORD).is(200);
        app.change_password(&tokens.access, Some(PASSWORD), NEW).is(204);
        app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        app.log_in(MINA, NEW).is(200);
        let mail = world.mail_about(MINA, PASSWORD_CHANGED, 1);
        assert!(!mail.text.contains(NEW) && mail.text.contains("/not-me?token="), "{}", mail.text);
    }

    fn it_cannot_be_changed_without_a_token(world) {
        let app = world.app();
        app.person(&world, MINA);
        let body = json!({"current_password": PASSWORD, "new_password": NEW});
        app.post("/v1/password-change", &body).refused(401, "authentication_required");
        app.change_password("nonsense", Some(PASSWORD), NEW).refused(401, "token_invalid");
    }

    fn the_other_sessions_end_and_the_own_goes_on(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let own = app.log_in(MINA, PASSWORD).is(200).tokens();
        let third = app.log_in(MINA, PASSWORD).is(200).tokens();
        app.change_password(&own.access, Some(PASSWORD), NEW).is(204);
        for other in [&first, &third] {
            app.me(&other.access).refused(401, "token_revoked");
            app.refresh(&other.refresh).refused(401, "refresh_token_revoked");
        }
        app.me(&own.access).is(200);
        app.refresh(&own.refresh).is(200);
    }

    fn whatever_waited_for_a_click_is_void_after_a_change(world) {
        let app = world.app();
        let registration_token = app.register(MINA);
        let registration = world.proof(MINA, 1);
        let tokens = app.verify_code(&registration_token, &registration.code).is(200).tokens();
        app.ask_reset(MINA).is(202);
        let reset = world.proof_about(MINA, RESET, 1);
        let change =
            app.change_email(&tokens.access, "new@example.com").is(202).text("registration_token");
        let proof = world.proof_about("new@example.com", CONFIRM, 1);
        app.change_password(&tokens.access, Some(PASSWORD), NEW).is(204);
        app.reset_by_link(&reset.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        app.reset_by_code(MINA, &reset.code, PASSWORD).refused(401, "code_invalid");
        app.verify_code(&change, &proof.code).refused(401, "code_invalid");
        app.verify_password(&proof.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        app.verify_password(&registration.link_token, PASSWORD)
            .refused(401, "one_time_token_invalid");
        app.verify_code(&registration_token, &registration.code).refused(401, "code_invalid");
        app.log_in(MINA, NEW).is(200);
    }

    fn a_recent_log_in_stands_in_for_the_password_to_the_second(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.advance(SECOND * 290);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        world.advance(SECOND * 9);
        app.change_password(&tokens.access, None, NEW).is(204);
        // Neither the change nor a refresh is a log-in.
        world.advance(SECOND);
        app.change_password(&tokens.access, None, PASSWORD).refused(403, "reauth_required");
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        app.change_password(&tokens.access, None, PASSWORD).refused(403, "reauth_required");
        app.change_password(&tokens.access, Some(NEW), PASSWORD).is(204);
        let again = app.log_in(MINA, PASSWORD).is(200).tokens();
        app.change_password(&again.access, None, NEW).is(204);
    }

    fn the_window_is_the_operators_choice(world) {
        let app = world.app_with(&[("HALLPASS_REAUTH_WINDOW", "1m")]);
        let tokens = app.person(&world, MINA);
        world.advance(shortly_before(Duration::from_mins(1)));
        app.change_password(&tokens.access, None, NEW).is(204);
        world.advance(SECOND);
        app.change_password(&tokens.access, None, PASSWORD).refused(403, "reauth_required");
    }

    fn without_a_window_the_password_is_always_asked_for(world) {
        let app = world.app_with(&[("HALLPASS_REAUTH_WINDOW", "0s")]);
        let tokens = app.person(&world, MINA);
        app.change_password(&tokens.access, None, NEW).refused(403, "reauth_required");
        app.change_password(&tokens.access, Some(PASSWORD), NEW).is(204);
    }

    fn the_policy_holds_for_the_new_password(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.as_holder("PATCH", "/v1/me", &tokens.access, &json!({"username": "Zorro99"})).is(200);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        for (password, code) in [
            ("seven77", "too_short"),
            ("Password1", "too_common"),
            ("I am MINA, really", "too_similar"),
            ("the-zorro99-rides", "too_similar"),
            (&"x".repeat(257), "too_long"),
        ] {
            let faults = app.change_password(&tokens.access, Some(PASSWORD), password).faults();
            assert_eq!(faults, [("new_password".to_owned(), code.to_owned())], "{password}");
        }
        let body = json!({"password": PASSWORD, "newPassword": NEW});
        let faults = app.as_holder("POST", "/v1/password-change", &tokens.access, &body).faults();
        let expected = [
            ("newPassword", "unknown_field"),
            ("new_password", "required"),
            ("password", "unknown_field"),
        ];
        assert_eq!(faults, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_user_without_a_password_sets_one_right_after_the_log_in(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.execute("UPDATE users SET password_hash = '!none'");
        app.log_in(MINA, "!none").refused(401, "invalid_credentials");
        app.change_password(&tokens.access, Some("!none"), NEW).refused(401, "invalid_credentials");
        app.change_password(&tokens.access, None, NEW).is(204);
        app.log_in(MINA, NEW).is(200);
        world.execute("UPDATE users SET password_hash = '!none'");
        world.advance(SECOND * 290);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        world.advance(SECOND * 10);
        app.change_password(&tokens.access, None, PASSWORD).refused(403, "reauth_required");
        app.change_password(&tokens.access, Some(NEW), PASSWORD)
            .refused(401, "invalid_credentials");
    }

    #[cfg(feature = "drf-jwt")]
    fn an_account_that_staff_made_at_the_django_adapter_gets_its_password_by_a_reset(world) {
        let app = world.app();
        app.superuser(&world, "staff@example.com");
        let json_type = ("content-type", "application/json");
        let post = |path: &str, headers: &[(&str, &str)], body: &serde_json::Value| {
            let headers = [headers, &[json_type]].concat();
            app.send_undocumented("POST", path, &headers, body.to_string())
        };
        let body = json!({"username": "staff@example.com", "password": PASSWORD});
        let token = post("/api-token-auth/", &[], &body).is(200).text("token");
        let account = json!({"username": "mina", "email": MINA});
        post("/users/", &[("authorization", &format!("JWT {token}"))], &account).is(201);
        app.log_in("mina", PASSWORD).refused(401, "invalid_credentials");
        app.ask_reset(MINA).is(202);
        let proof = world.proof_about(MINA, RESET, 1);
        app.reset_by_code(MINA, &proof.code, NEW).is(204);
        let tokens = app.log_in("mina", NEW).is(200).tokens();
        let me = app.me(&tokens.access).json();
        assert_eq!((&me["username"], &me["email_verified"]), (&json!("mina"), &json!(true)));
    }
}
