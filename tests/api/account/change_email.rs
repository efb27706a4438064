//! Change of the e-mail address by its user, and its reversal by the old address.

use serde_json::json;

use crate::support::account::{CHANGE_REQUESTED, CONFIRM, EMAIL_CHANGED, RESET};
use crate::support::{HOUR, PASSWORD, Proof, SECOND, TestApp, World, on_both, shortly_before};

const MINA: &str = "mina@example.com";
const NEW: &str = "mina@new.example";

/// Asks for the address and reads the mail to it, the first of its kind there.
fn ask(world: &World, app: &TestApp, access: &str, new: &str) -> (String, Proof) {
    let token = app.change_email(access, new).is(202).text("registration_token");
    (token, world.proof_about(new, CONFIRM, 1))
}

fn email_of(app: &TestApp, access: &str) -> String {
    app.me(access).is(200).text("email")
}

on_both! {
    fn the_code_with_the_registration_token_proves_the_new_address(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let answer = app.change_email(&tokens.access, NEW).is(202);
        assert_eq!(answer.json()["status"], "verification_sent");
        assert_eq!(answer.json()["expires_in"], 3600);
        let proof = world.proof_about(NEW, CONFIRM, 1);
        assert_eq!(email_of(&app, &tokens.access), MINA, "nothing changes before the proof");
        let token = answer.text("registration_token");
        let proven = app.verify_code(&token, &proof.code).is(200);
        assert_eq!(proven.text("email"), NEW);
        let me = app.me(&proven.tokens().access).json();
        assert_eq!((&me["email"], &me["email_verified"]), (&json!(NEW), &json!(true)));
        assert_eq!(me["username"], NEW, "the address was the name");
        app.log_in(NEW, PASSWORD).is(200);
        app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        assert_eq!(world.count("users"), 1);
    }

    fn the_link_proves_it_with_the_registration_token_or_the_password(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let (token, proof) = ask(&world, &app, &tokens.access, NEW);
        app.verify_link(&proof.link_token, &token).is(200);
        let (_, proof) = ask(&world, &app, &tokens.access, "mina@newer.example");
        app.verify_password(&proof.link_token, "not that one").refused(401, "invalid_credentials");
        app.verify_password(&proof.link_token, PASSWORD).is(200);
        assert_eq!(email_of(&app, &tokens.access), "mina@newer.example");
    }

    fn the_link_alone_proves_nothing(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let other = app.register("other@example.com");
        let (_, proof) = ask(&world, &app, &tokens.access, NEW);
        app.post("/v1/verify-email", &json!({"token": proof.link_token}))
            .refused(403, "proof_required");
        app.verify_link(&proof.link_token, &other).refused(403, "proof_required");
        app.verify_code(&other, &proof.code).refused(401, "code_invalid");
        assert_eq!(email_of(&app, &tokens.access), MINA);
    }

    fn a_change_is_void_once_a_stolen_refresh_token_has_ended_a_session(world) {
        let app = world.app();
        app.person(&world, MINA);
        let stolen = app.log_in(MINA, PASSWORD).tokens();
        // A recent log-in needs no password.
        let body = json!({"new_email": NEW});
        let asked = app.as_holder("POST", "/v1/me/email", &stolen.access, &body).is(202);
        let proof = world.proof_about(NEW, CONFIRM, 1);
        app.refresh(&stolen.refresh).is(200);
        world.advance(SECOND * 31);
        app.refresh(&stolen.refresh).refused(401, "refresh_token_reused");
        let waiting = asked.text("registration_token");
        app.verify_code(&waiting, &proof.code).refused(401, "code_invalid");
        app.verify_link(&proof.link_token, &waiting).refused(401, "one_time_token_invalid");
        app.verify_password(&proof.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        assert_eq!(email_of(&app, &app.log_in(MINA, PASSWORD).tokens().access), MINA);
    }

    fn the_proof_counts_for_an_hour_to_the_second(world) {
        let app = world.app();
        let people = ["a", "b"].map(|name| {
            let tokens = app.person(&world, &format!("{name}@example.com"));
            ask(&world, &app, &tokens.access, &format!("{name}@new.example"))
        });
        world.advance(shortly_before(HOUR));
        app.verify_code(&people[0].0, &people[0].1.code).is(200);
        for _ in 0..2 {
            world.advance(SECOND);
            app.verify_code(&people[1].0, &people[1].1.code).refused(401, "one_time_token_expired");
            app.verify_link(&people[1].1.link_token, &people[1].0)
                .refused(401, "one_time_token_expired");
            app.verify_password(&people[1].1.link_token, PASSWORD)
                .refused(401, "one_time_token_expired");
        }
        app.log_in("b@example.com", PASSWORD).is(200);
    }

    fn asking_takes_the_password_or_a_recent_log_in(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let wish = |password: &str| json!({"new_email": NEW, "password": password});
        app.post("/v1/me/email", &wish(PASSWORD)).refused(401, "authentication_required");
        let ask = |access: &str, body| app.as_holder("POST", "/v1/me/email", access, &body);
        ask(&tokens.access, wish("not that one")).refused(401, "invalid_credentials");
        let faults = ask(&tokens.access, json!({"email": NEW})).faults();
        let expected = [("email", "unknown_field"), ("new_email", "required")];
        assert_eq!(faults, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
        assert_eq!(world.count("challenges WHERE kind = 'change_email'"), 0);
        world.advance(SECOND * 290);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        world.advance(SECOND * 9);
        ask(&tokens.access, json!({"new_email": NEW})).is(202);
        world.advance(SECOND);
        ask(&tokens.access, json!({"new_email": NEW})).refused(403, "reauth_required");
        ask(&tokens.access, wish(PASSWORD)).is(202);
    }

    fn the_old_address_gets_a_notice_at_once_and_at_the_end(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let (token, proof) = ask(&world, &app, &tokens.access, NEW);
        let mail = world.mail_about(MINA, CHANGE_REQUESTED, 1);
        assert!(mail.text.contains(NEW) && mail.text.contains("/not-me?token="), "{}", mail.text);
        assert!(world.mails_about(MINA, EMAIL_CHANGED).is_empty());
        app.verify_code(&token, &proof.code).is(200);
        let mail = world.mail_about(MINA, EMAIL_CHANGED, 1);
        assert!(mail.text.contains(NEW) && mail.text.contains("/not-me?token="), "{}", mail.text);
        // Proven again, it is told once.
        app.verify_code(&token, &proof.code).is(200);
        world.settle_mail();
        assert_eq!(world.mails_about(MINA, EMAIL_CHANGED).len(), 1);
        assert_eq!(world.mails_so_far(NEW).len(), 1);
    }

    fn a_change_to_another_users_address_has_the_same_response_and_its_owner_is_notified(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.person(&world, "ada@other.example");
        let free = app.change_email(&tokens.access, "bob@other.example").is(202);
        let taken = app.change_email(&tokens.access, "ada@other.example").is(202);
        assert_eq!(free.body.len(), taken.body.len());
        let names = |answer: &crate::support::Answer| -> Vec<_> {
            answer.headers.keys().cloned().collect()
        };
        assert_eq!(names(&free), names(&taken));
        let mail = world.mail_about("ada@other.example", "already have an account", 1);
        assert!(!mail.text.contains("verify-email") && crate::support::proof_in(&mail).is_none());
        app.verify_code(&taken.text("registration_token"), "000000").refused(401, "code_invalid");
        world.settle_mail();
        assert!(world.mails_about("ada@other.example", CONFIRM).is_empty());
        assert_eq!(email_of(&app, &tokens.access), MINA);
        app.log_in("ada@other.example", PASSWORD).is(200);
    }

    fn a_chosen_name_stays(world) {
        let app = world.app();
        let body = json!({"email": MINA, "password": PASSWORD, "username": "mina"});
        let token = app.register_with(&body);
        let tokens = app.verify_code(&token, &world.proof(MINA, 1).code).is(200).tokens();
        let moved = app.move_to(&world, &tokens.access, NEW);
        assert_eq!(app.me(&moved.access).text("username"), "mina");
        app.log_in("mina", PASSWORD).is(200);
        app.log_in(NEW, PASSWORD).is(200);
    }

    fn the_address_as_name_follows_in_whatever_case_it_was_typed(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.as_holder("PATCH", "/v1/me", &tokens.access, &json!({"username": "MINA@example.com"}))
            .is(200);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        let moved = app.move_to(&world, &tokens.access, NEW);
        assert_eq!(app.me(&moved.access).text("username"), NEW);
        // So another user can register the old address.
        app.person_again(&world, MINA, 2);
    }

    fn the_own_address_may_be_proven_again_and_change_its_case(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let (token, proof) = ask(&world, &app, &tokens.access, MINA);
        app.verify_code(&token, &proof.code).is(200);
        assert_eq!(email_of(&app, &tokens.access), MINA);
        let moved = app.move_to(&world, &tokens.access, "Mina@Example.com");
        let me = app.me(&moved.access).json();
        assert_eq!(
            (&me["email"], &me["username"]),
            (&json!("Mina@Example.com"), &json!("Mina@Example.com"))
        );
        world.settle_mail();
        assert!(world.mails_about(MINA, EMAIL_CHANGED).is_empty());
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_newer_wish_replaces_the_older(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let (old_token, old) = ask(&world, &app, &tokens.access, "a@new.example");
        world.advance(SECOND);
        let (token, proof) = ask(&world, &app, &tokens.access, "b@new.example");
        app.verify_code(&old_token, &old.code).refused(401, "code_invalid");
        app.verify_link(&old.link_token, &old_token).refused(401, "one_time_token_invalid");
        app.verify_password(&old.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        app.verify_code(&token, &proof.code).is(200);
        assert_eq!(email_of(&app, &tokens.access), "b@new.example");
    }

    fn a_refreshed_token_carries_the_new_address(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.move_to(&world, &tokens.access, NEW);
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        let claims = app.token_verify(&next.access).is(200).json();
        assert_eq!((&claims["email"], &claims["username"]), (&json!(NEW), &json!(NEW)));
        assert_eq!(claims["email_verified"], true);
    }

    fn mails_that_went_to_the_old_address_set_no_password_any_more(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.ask_reset(MINA).is(202);
        let reset = world.proof_about(MINA, RESET, 1);
        app.move_to(&world, &tokens.access, NEW);
        app.reset_by_link(&reset.link_token, "pear tree at dawn")
            .refused(401, "one_time_token_invalid");
        app.reset_by_code(NEW, &reset.code, "pear tree at dawn").refused(401, "code_invalid");
        app.ask_reset(MINA).is(202);
        world.settle_mail();
        assert_eq!(world.mails_about(MINA, RESET).len(), 1);
    }

    fn an_account_without_an_address_gets_one_and_keeps_its_name(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.execute(
            "UPDATE users SET email = NULL, email_norm = NULL, locale = 'ko', \
             username = 'mina', username_norm = 'mina'",
        );
        app.change_email(&tokens.access, NEW).is(202);
        let mail = world.mails_to(NEW, 1).swap_remove(0);
        assert!(mail.subject.contains("이메일") && mail.text.contains("이메일"), "{}", mail.text);
        let proof = crate::support::proof_in(&mail).expect("a code and a link");
        let proven = app.verify_password(&proof.link_token, PASSWORD).is(200).tokens();
        let me = app.me(&proven.access).json();
        assert_eq!((&me["email"], &me["username"]), (&json!(NEW), &json!("mina")));
        world.settle_mail();
        assert_eq!(world.count("outbox WHERE kind LIKE 'email_change%'"), 0);
    }

    fn after_five_wrong_codes_the_link_is_left(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let (token, proof) = ask(&world, &app, &tokens.access, NEW);
        let wrong = if proof.code == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            app.verify_code(&token, wrong).refused(401, "code_invalid");
        }
        app.verify_code(&token, &proof.code).refused(401, "code_invalid");
        app.verify_link(&proof.link_token, &token).is(200);
    }

    fn a_stranger_who_waits_for_the_new_address_gains_nothing(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let stranger = app.register_with(&json!({"email": NEW, "password": "the stranger's"}));
        let theirs = world.proof(NEW, 1);
        let (token, proof) = ask(&world, &app, &tokens.access, NEW);
        app.verify_code(&token, &proof.code).is(200);
        app.verify_link(&theirs.link_token, &stranger).refused(401, "one_time_token_invalid");
        app.verify_code(&stranger, &theirs.code).refused(401, "code_invalid");
        app.log_in(NEW, "the stranger's").refused(401, "invalid_credentials");
        assert_eq!(world.count("users"), 1);
    }

    fn the_operators_relaxation_for_links_holds_here_as_well(world) {
        let app = world.app_with(&[("HALLPASS_VERIFY_EMAIL_PROOF", "link")]);
        let tokens = app.person(&world, MINA);
        let (_, proof) = ask(&world, &app, &tokens.access, NEW);
        app.post("/v1/verify-email", &json!({"token": proof.link_token})).is(200);
        assert_eq!(email_of(&app, &tokens.access), NEW);
    }
}
