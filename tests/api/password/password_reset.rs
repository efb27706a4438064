//! Choice of a new password with the link or code of a mail.

use std::time::Duration;

use serde_json::json;

use crate::support::account::{CONFIRM, PASSWORD_CHANGED, RESET, VERIFY};
use crate::support::{
    Answer, PASSWORD, Proof, SECOND, TestApp, World, on_both, proof_in, shortly_before,
    with_another_code,
};

const MINA: &str = "mina@example.com";
const NEW: &str = "pear tree at dawn";
const HALF_AN_HOUR: Duration = Duration::from_mins(30);

/// Asks for the mail and reads it; it is the `number`th.
fn reset_mail(world: &World, app: &TestApp, email: &str, number: usize) -> Proof {
    app.ask_reset(email).is(202);
    world.proof_about(email, RESET, number)
}

fn wrong(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

fn header_names(answer: &Answer) -> Vec<String> {
    answer.headers.keys().map(ToString::to_string).collect()
}

fn fault(code: &str) -> Vec<(String, String)> {
    vec![("new_password".to_owned(), code.to_owned())]
}

on_both! {
    fn one_mail_carries_a_link_and_a_code_and_either_is_enough(world) {
        let app = world.app();
        app.person(&world, MINA);
        let proof = reset_mail(&world, &app, MINA, 1);
        app.reset_by_link(&proof.link_token, NEW).is(204);
        app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        app.log_in(MINA, NEW).is(200);
        let proof = reset_mail(&world, &app, MINA, 2);
        app.reset_by_code(
            "MINA@example.com",
            &format!(" {} {}", &proof.code[..3], &proof.code[3..]),
            PASSWORD,
        )
        .is(204);
        app.log_in(MINA, NEW).refused(401, "invalid_credentials");
        app.log_in(MINA, PASSWORD).is(200);
        world.mail_about(MINA, PASSWORD_CHANGED, 2);
    }

    fn asking_tells_nothing_about_an_address(world) {
        let app = world.app();
        app.person(&world, MINA);
        app.register("wait@example.com");
        world.mails_to("wait@example.com", 1);
        app.person(&world, "gone@example.com");
        world.execute("UPDATE users SET is_active = false WHERE email = 'gone@example.com'");
        let people = [MINA, "none@example.com", "wait@example.com", "gone@example.com"];
        let answers = people.map(|email| app.ask_reset(email).is(202));
        for answer in &answers {
            assert_eq!(answer.text("status"), "reset_sent");
            assert_eq!(answer.body, answers[0].body);
            assert_eq!(header_names(answer), header_names(&answers[0]));
            assert_eq!(answer.header("content-length"), answers[0].header("content-length"));
        }
        world.mail_about(MINA, RESET, 1);
        world.settle_mail();
        for other in &people[1..] {
            assert!(world.mails_about(other, RESET).is_empty(), "{other}");
        }
        // A code that was never sent gets the same refusal for every address.
        for email in people {
            app.reset_by_code(email, "000000", NEW).refused(401, "code_invalid");
        }
    }

    fn the_mail_goes_to_the_stored_address_however_the_request_spells_it(world) {
        let app = world.app();
        app.person(&world, "Mina.Kim@example.com");
        app.ask_reset("MINA.KIM@EXAMPLE.COM").is(202);
        let proof = world.proof_about("Mina.Kim@example.com", RESET, 1);
        app.reset_by_link(&proof.link_token, NEW).is(204);
        app.register("mina.kim@example.com");
        world.mail_about("Mina.Kim@example.com", "already have an account", 1);
        world.settle_mail();
        for other in ["MINA.KIM@EXAMPLE.COM", "MINA.KIM@example.com", "mina.kim@example.com"] {
            assert!(world.mails_so_far(other).is_empty(), "{other}");
        }
    }

    fn who_has_not_verified_the_address_yet_gets_the_verification_again(world) {
        let app = world.app();
        let token = app.register("Wait@example.com");
        world.proof("Wait@example.com", 1);
        world.advance(SECOND);
        let known = app.ask_reset("wait@EXAMPLE.com").is(202);
        let unknown = app.ask_reset("none@example.com").is(202);
        assert_eq!(known.body, unknown.body);
        let proof = world.proof_about("Wait@example.com", VERIFY, 2);
        world.settle_mail();
        assert_eq!(world.mails_so_far("Wait@example.com").len(), 2);
        assert!(world.mails_so_far("wait@example.com").is_empty());
        app.verify_code(&token, &proof.code).is(200);
        // From then on there is a password to reset.
        app.ask_reset("wait@example.com").is(202);
        world.mail_about("Wait@example.com", RESET, 1);
    }

    fn a_mail_counts_for_half_an_hour_to_the_second(world) {
        let app = world.app();
        let [early, late, later] =
            ["a@example.com", "b@example.com", "c@example.com"].map(|email| {
                app.person(&world, email);
                reset_mail(&world, &app, email, 1)
            });
        world.advance(shortly_before(HALF_AN_HOUR));
        app.reset_by_link(&early.link_token, NEW).is(204);
        app.reset_by_code("b@example.com", &late.code, NEW).is(204);
        for _ in 0..2 {
            world.advance(SECOND);
            app.reset_by_link(&later.link_token, NEW).refused(401, "one_time_token_expired");
            app.reset_by_code("c@example.com", &later.code, NEW).refused(401, "code_invalid");
        }
        app.log_in("c@example.com", PASSWORD).is(200);
        app.log_in("c@example.com", NEW).refused(401, "invalid_credentials");
    }

    fn a_mail_counts_once(world) {
        let app = world.app();
        app.person(&world, MINA);
        let proof = reset_mail(&world, &app, MINA, 1);
        app.reset_by_link(&proof.link_token, NEW).is(204);
        app.reset_by_link(&proof.link_token, "another password")
            .refused(401, "one_time_token_invalid");
        app.reset_by_code(MINA, &proof.code, "another password").refused(401, "code_invalid");
        let proof = reset_mail(&world, &app, MINA, 2);
        app.reset_by_code(MINA, &proof.code, PASSWORD).is(204);
        app.reset_by_link(&proof.link_token, NEW).refused(401, "one_time_token_invalid");
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn only_the_newest_mail_counts(world) {
        let app = world.app();
        app.person(&world, MINA);
        let first = reset_mail(&world, &app, MINA, 1);
        let second = with_another_code(&first, |number| {
            world.advance(SECOND);
            reset_mail(&world, &app, MINA, number)
        });
        app.reset_by_link(&first.link_token, NEW).refused(401, "one_time_token_invalid");
        app.reset_by_code(MINA, &first.code, NEW).refused(401, "code_invalid");
        app.reset_by_code(MINA, &second.code, NEW).is(204);
    }

    fn every_session_ends_with_a_reset(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let second = app.log_in(MINA, PASSWORD).is(200).tokens();
        let third = app.refresh(&second.refresh).is(200).tokens();
        let proof = reset_mail(&world, &app, MINA, 1);
        app.reset_by_link(&proof.link_token, NEW).is(204);
        for tokens in [&first, &second, &third] {
            app.me(&tokens.access).refused(401, "token_revoked");
            app.token_verify(&tokens.access).refused(401, "token_revoked");
            app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
        }
        assert_eq!(world.count("sessions WHERE ended_at IS NULL"), 0);
    }

    fn whatever_waited_for_a_click_is_void_after_a_reset(world) {
        let app = world.app();
        let registration_token = app.register(MINA);
        let registration = world.proof(MINA, 1);
        let tokens = app.verify_code(&registration_token, &registration.code).is(200).tokens();
        let stranger = app.register_with(&json!({"email": MINA, "password": "the stranger's"}));
        let change = app.change_email(&tokens.access, "new@example.com").is(202);
        let change =
            (change.text("registration_token"), world.proof_about("new@example.com", CONFIRM, 1));
        let proof = reset_mail(&world, &app, MINA, 1);
        app.reset_by_link(&proof.link_token, NEW).is(204);
        app.verify_code(&change.0, &change.1.code).refused(401, "code_invalid");
        app.verify_link(&change.1.link_token, &change.0).refused(401, "one_time_token_invalid");
        app.verify_password(&change.1.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        // The mail of the registration opened a session for a client that knew the old password.
        app.verify_password(&registration.link_token, PASSWORD)
            .refused(401, "one_time_token_invalid");
        app.verify_link(&registration.link_token, &registration_token)
            .refused(401, "one_time_token_invalid");
        app.verify_code(&registration_token, &registration.code).refused(401, "code_invalid");
        app.verify_code(&stranger, "000000").refused(401, "code_invalid");
        assert_eq!(world.count("registration_details"), 0);
        assert_eq!(app.me(&app.log_in(MINA, NEW).tokens().access).text("email"), MINA);
    }

    fn a_reset_proves_the_address_and_takes_it_from_the_old_password(world) {
        let app = world.app_with(&[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        // Another person registered with Mina's address; Mina finds the account by a reset.
        let stranger = app
            .post("/v1/register", &json!({"email": MINA, "password": PASSWORD}))
            .is(201)
            .tokens();
        assert_eq!(app.me(&stranger.access).json()["email_verified"], false);
        let verification = world.proof(MINA, 1);
        let proof = reset_mail(&world, &app, MINA, 1);
        app.reset_by_code(MINA, &proof.code, NEW).is(204);
        app.me(&stranger.access).refused(401, "token_revoked");
        app.verify_password(&verification.link_token, PASSWORD)
            .refused(401, "one_time_token_invalid");
        let tokens = app.log_in(MINA, NEW).is(200).tokens();
        assert_eq!(app.me(&tokens.access).json()["email_verified"], true);
    }

    fn a_password_that_the_policy_refuses_does_not_use_the_mail_up(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.as_holder("PATCH", "/v1/me", &tokens.access, &json!({"username": "Zorro99"})).is(200);
        let proof = reset_mail(&world, &app, MINA, 1);
        for (password, code) in [
            ("seven77", "too_short"),
            ("Password1", "too_common"),
            ("I am MINA, really", "too_similar"),
            ("the-zorro99-rides", "too_similar"),
            (&"x".repeat(257), "too_long"),
            ("", "required"),
        ] {
            assert_eq!(
                app.reset_by_link(&proof.link_token, password).faults(),
                fault(code),
                "{password}"
            );
            assert_eq!(
                app.reset_by_code(MINA, &proof.code, password).faults(),
                fault(code),
                "{password}"
            );
        }
        // A client that guesses learns nothing from the policy.
        app.reset_by_code(MINA, wrong(&proof.code), "the-zorro99-rides")
            .refused(401, "code_invalid");
        app.reset_by_link("nonsense", "the-zorro99-rides").refused(401, "one_time_token_invalid");
        app.reset_by_code(MINA, &proof.code, NEW).is(204);
    }

    fn a_disabled_account_gets_no_mail_and_its_earlier_mail_is_void(world) {
        let app = world.app();
        let staff = app.superuser(&world, "staff@example.com");
        let tokens = app.person(&world, MINA);
        let id = app.me(&tokens.access).json()["user_id"].clone();
        let proof = reset_mail(&world, &app, MINA, 1);
        let path = format!("/v1/users/{id}");
        app.as_holder("PATCH", &path, &staff.access, &json!({"is_active": false})).is(200);
        app.reset_by_link(&proof.link_token, NEW).refused(401, "one_time_token_invalid");
        app.reset_by_code(MINA, &proof.code, NEW).refused(401, "code_invalid");
        app.ask_reset(MINA).is(202);
        world.settle_mail();
        assert_eq!(world.mails_about(MINA, RESET).len(), 1);
        // Nor does it come back with the account.
        app.as_holder("PATCH", &path, &staff.access, &json!({"is_active": true})).is(200);
        app.reset_by_link(&proof.link_token, NEW).refused(401, "one_time_token_invalid");
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn the_mail_speaks_the_language_of_the_account(world) {
        let app = world.app();
        let body = json!({"email": MINA, "password": PASSWORD, "locale": "ko-KR"});
        let token = app.register_with(&body);
        app.verify_code(&token, &world.proof(MINA, 1).code).is(200);
        let english = [("accept-language", "en")];
        app.post_with("/v1/password-reset", &english, &json!({"email": MINA})).is(202);
        let mail = world.mails_to(MINA, 2).swap_remove(1);
        for part in [&mail.subject, &mail.text, &mail.html] {
            assert!(part.contains("비밀번호"), "{part}");
        }
        app.reset_by_link(&proof_in(&mail).expect("a proof").link_token, NEW).is(204);
    }

    fn a_mail_that_is_sent_again_carries_the_same_secrets(world) {
        let app = world.app();
        app.person(&world, MINA);
        let first = reset_mail(&world, &app, MINA, 1);
        app.reset_by_code(MINA, wrong(&first.code), NEW).refused(401, "code_invalid");
        world.settle_mail();
        // As if the instance had died before it noted that the mail was taken.
        world.execute(
            "UPDATE outbox SET status = 'queued', finished_at = NULL WHERE kind = 'password_reset'",
        );
        let again = world.proof_about(MINA, RESET, 2);
        assert_eq!((&first.code, &first.link_token), (&again.code, &again.link_token));
        // And the tries that were used up stay used up.
        for _ in 0..4 {
            app.reset_by_code(MINA, wrong(&first.code), NEW).refused(401, "code_invalid");
        }
        app.reset_by_code(MINA, &first.code, NEW).refused(401, "code_invalid");
        app.reset_by_link(&again.link_token, NEW).is(204);
    }
}
