//! Registration up to the first log-in.

use serde_json::json;

use crate::support::{
    DAY, PASSWORD, SECOND, link_token, on_both, proof_in, shortly_before, with_another_code,
};

const MINA: &str = "mina@example.com";

on_both! {
    fn the_code_of_the_mail_proves_the_address_and_logs_in(world) {
        let app = world.app();
        let answer = app.post("/v1/register", &json!({"email": MINA, "password": PASSWORD}));
        let answer = answer.is(202);
        assert_eq!(answer.text("status"), "verification_sent");
        assert_eq!(answer.json()["expires_in"], 86_400);
        app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        let code = world.proof(MINA, 1).code;
        let verified = app.verify_code(&answer.text("registration_token"), &code).is(200);
        assert_eq!(verified.text("status"), "verified");
        assert_eq!(verified.text("email"), MINA);
        let me = app.me(&verified.tokens().access).is(200).json();
        assert_eq!((&me["email"], &me["username"]), (&json!(MINA), &json!(MINA)));
        assert_eq!((&me["email_verified"], &me["is_staff"]), (&json!(true), &json!(false)));
        app.log_in(MINA, PASSWORD).is(200);
        assert_eq!(world.mails_so_far(MINA).len(), 1);
    }

    fn a_code_may_be_typed_with_spaces(world) {
        let app = world.app();
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        app.verify_code(&token, &format!(" {} {} ", &code[..3], &code[3..])).is(200);
    }

    fn the_link_proves_the_address_in_the_browser_that_registered(world) {
        let app = world.app();
        let token = app.register(MINA);
        app.verify_link(&world.proof(MINA, 1).link_token, &token).is(200);
    }

    fn the_link_proves_the_address_on_another_device_with_the_password(world) {
        let app = world.app();
        app.register(MINA);
        let link = world.proof(MINA, 1).link_token;
        app.verify_password(&link, "not that one").refused(401, "invalid_credentials");
        app.verify_password(&link, PASSWORD).is(200);
    }

    fn the_link_alone_proves_nothing(world) {
        let app = world.app();
        app.register(MINA);
        let other = app.register("other@example.com");
        let link = world.proof(MINA, 1).link_token;
        app.post("/v1/verify-email", &json!({"token": link})).refused(403, "proof_required");
        app.verify_link(&link, &other).refused(403, "proof_required");
        app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        assert_eq!(world.count("users"), 0);
    }

    fn the_link_alone_is_enough_where_the_operator_says_so(world) {
        let app = world.app_with(&[("HALLPASS_VERIFY_EMAIL_PROOF", "link")]);
        app.register(MINA);
        let link = world.proof(MINA, 1).link_token;
        app.post("/v1/verify-email", &json!({"token": link})).is(200);
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_token_that_was_never_sent_is_invalid(world) {
        let app = world.app();
        let token = app.register(MINA);
        app.verify_link("nonsense", &token).refused(401, "one_time_token_invalid");
        app.verify_password("nonsense", PASSWORD).refused(401, "one_time_token_invalid");
        app.verify_code("hpg_nonsense", "123456").refused(401, "code_invalid");
        // One kind of token is not taken for another.
        app.verify_link(&token, &token).refused(401, "one_time_token_invalid");
        app.verify_code(&world.proof(MINA, 1).link_token, "123456").refused(401, "code_invalid");
        app.refresh(&token).refused(401, "refresh_token_unknown");
        app.token_verify(&token).refused(401, "token_invalid");
    }

    fn after_five_wrong_codes_the_right_one_is_refused_until_a_new_mail(world) {
        let app = world.app();
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            app.verify_code(&token, wrong).refused(401, "code_invalid");
        }
        app.verify_code(&token, &code).refused(401, "code_invalid");
        app.resend(&world, MINA);
        let next = world.proof(MINA, 2).code;
        app.verify_code(&token, &next).is(200);
    }

    fn ones_own_address_as_username_does_not_tell_whether_it_is_known(world) {
        let app = world.app();
        app.person(&world, MINA);
        for email in [MINA, "MINA@example.com", "nobody@example.com"] {
            let body = json!({"email": email, "username": email, "password": PASSWORD});
            let answer = app.post("/v1/register", &body).is(202).json();
            assert_eq!(answer["status"], "verification_sent", "{email}");
        }
        let token = app.register_with(&json!({
            "email": "ada@example.com", "username": "ADA@example.com", "password": PASSWORD
        }));
        let proven = app.verify_code(&token, &world.proof("ada@example.com", 1).code).is(200);
        assert_eq!(app.me(&proven.tokens().access).json()["username"], "ada@example.com");
        // In letters, in A-labels, and in letters of another width.
        for username in ["ida@b\u{fc}cher.example", "IDA@XN--BCHER-KVA.example", "\u{ff49}da@B\u{dc}CHER.example"] {
            let body = json!({"email": "ida@b\u{fc}cher.example", "username": username, "password": PASSWORD});
            app.post("/v1/register", &body).is(202);
        }
    }

    fn four_wrong_codes_are_forgiven(world) {
        let app = world.app();
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        for _ in 0..4 {
            app.verify_code(&token, wrong).refused(401, "code_invalid");
        }
        app.verify_code(&token, &code).is(200);
    }

    fn a_second_mail_replaces_the_code_and_the_link_of_the_first(world) {
        let app = world.app();
        let token = app.register(MINA);
        let first = world.proof(MINA, 1);
        let second = with_another_code(&first, |number| {
            app.resend(&world, "MINA@example.com");
            world.proof(MINA, number)
        });
        assert_ne!(first.link_token, second.link_token);
        app.verify_link(&first.link_token, &token).refused(401, "one_time_token_invalid");
        app.verify_code(&token, &first.code).refused(401, "code_invalid");
        app.verify_code(&token, &second.code).is(200);
    }

    fn requesting_the_mail_again_has_the_same_response_for_all_addresses(world) {
        let app = world.app();
        app.person(&world, "known@example.com");
        app.register("waiting@example.com");
        world.mails_to("waiting@example.com", 1);
        world.advance(SECOND);
        let answers = ["known@example.com", "waiting@example.com", "nobody@example.com"]
            .map(|email| app.post("/v1/verify-email/resend", &json!({"email": email})).is(202));
        for answer in &answers {
            assert_eq!(answer.body, answers[0].body);
            assert_eq!(names(answer), names(&answers[0]));
        }
        world.mails_to("waiting@example.com", 2);
        assert_eq!(world.mails_so_far("known@example.com").len(), 1);
        assert!(world.mails_so_far("nobody@example.com").is_empty());
    }

    fn a_known_address_is_answered_like_a_new_one_and_its_owner_gets_a_mail(world) {
        let app = world.app();
        app.person(&world, MINA);
        let body = |email: &str| json!({"email": email, "password": "another password"});
        let known = app.post("/v1/register", &body("Mina@Example.com")).is(202);
        let new = app.post("/v1/register", &body("newe@example.com")).is(202);
        assert_eq!(known.body.len(), new.body.len());
        assert_eq!(names(&known), names(&new));
        assert_eq!(known.header("content-length"), new.header("content-length"));
        let token = known.text("registration_token");
        assert_eq!(token.len(), new.text("registration_token").len());

        // It goes to the stored spelling of the address.
        let mail = world.mails_to(MINA, 2).swap_remove(1);
        assert!(mail.subject.contains("already"), "{}", mail.subject);
        assert!(proof_in(&mail).is_none());
        for part in [&mail.text, &mail.html] {
            let digits = part.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() == 6);
            assert!(!digits && !part.contains("/verify-email"), "{part}");
        }
        // Nothing opens the door with the new password.
        app.verify_code(&token, "000000").refused(401, "code_invalid");
        app.log_in(MINA, "another password").refused(401, "invalid_credentials");
        app.log_in(MINA, PASSWORD).is(200);
        // The owner who forgot the account is offered a new password.
        let link = link_token(&mail);
        let body = json!({"token": link, "new_password": "chosen by the owner"});
        app.post("/v1/password-reset/confirm", &body).is(204);
        app.log_in(MINA, "chosen by the owner").is(200);
    }

    // A guess that is counted takes longer than one that is not.
    fn a_mail_that_is_sent_again_gives_new_tries_whether_the_address_is_known_or_not(world) {
        let app = world.app();
        app.person(&world, MINA);
        let tokens = [MINA, "newe@example.com"].map(|email| app.register(email));
        world.settle_mail();
        let registrations = |state: &str| world.count(&format!("challenges WHERE {state}"));
        let guess = || {
            for token in &tokens {
                app.verify_code(token, "000000").refused(401, "code_invalid");
            }
        };
        (0..6).for_each(|_| guess());
        assert_eq!(registrations("code_tries = 5 AND wrong_codes = 5"), 2);
        app.resend(&world, MINA);
        app.resend(&world, "newe@example.com");
        world.settle_mail();
        guess();
        assert_eq!(registrations("code_tries = 1 AND wrong_codes = 6"), 2);
    }

    fn of_several_registrations_the_first_verified_one_wins(world) {
        let app = world.app();
        let passwords = ["first of three", "second of three", "third of three"];
        let tokens = passwords
            .map(|password| app.register_with(&json!({"email": MINA, "password": password})));
        let mails = world.mails_to(MINA, 3);
        let proofs: Vec<_> = mails.iter().map(|mail| proof_in(mail).unwrap()).collect();
        let second = proofs
            .iter()
            .find(|proof| app.verify_link(&proof.link_token, &tokens[1]).status == 200)
            .expect("one of the mails belongs to the second registration");
        for proof in &proofs {
            if proof.link_token != second.link_token {
                for token in [&tokens[0], &tokens[2]] {
                    app.verify_link(&proof.link_token, token).refused(401, "one_time_token_invalid");
                }
            }
        }
        app.log_in(MINA, passwords[1]).is(200);
        for password in [passwords[0], passwords[2]] {
            app.log_in(MINA, password).refused(401, "invalid_credentials");
        }
        assert_eq!(world.count("users"), 1);
    }

    fn the_owners_click_never_switches_on_a_strangers_password(world) {
        let app = world.app();
        let stranger = app.register_with(&json!({"email": MINA, "password": "the stranger's"}));
        let strangers_link = world.proof(MINA, 1).link_token;
        let owner = app.register(MINA);
        let owners_link = world.proof(MINA, 2).link_token;
        // The owner opens whatever comes, in the browser that registered.
        app.verify_link(&strangers_link, &owner).refused(403, "proof_required");
        app.verify_password(&strangers_link, PASSWORD).refused(401, "invalid_credentials");
        app.post("/v1/verify-email", &json!({"token": strangers_link}))
            .refused(403, "proof_required");
        app.verify_link(&owners_link, &owner).is(200);
        app.log_in(MINA, "the stranger's").refused(401, "invalid_credentials");
        app.verify_link(&strangers_link, &stranger).refused(401, "one_time_token_invalid");
        app.verify_code(&stranger, "000000").refused(401, "code_invalid");
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn the_same_proof_again_answers_with_the_same_session(world) {
        let app = world.app();
        let token = app.register(MINA);
        let proof = world.proof(MINA, 1);
        let first = app.verify_code(&token, &proof.code).is(200).tokens();
        world.advance(SECOND * 600);
        for again in [
            app.verify_code(&token, &proof.code),
            app.verify_link(&proof.link_token, &token),
            app.verify_password(&proof.link_token, PASSWORD),
        ] {
            let again = again.is(200).tokens();
            assert_eq!((&again.session, &again.refresh), (&first.session, &first.refresh));
            app.me(&again.access).is(200);
        }
        assert_eq!(world.count("users"), 1);
        assert_eq!(world.count("sessions"), 1);
    }

    fn a_proof_opens_no_door_after_the_log_out(world) {
        let app = world.app();
        let token = app.register(MINA);
        let proof = world.proof(MINA, 1);
        let tokens = app.verify_code(&token, &proof.code).is(200).tokens();
        app.revoke(&tokens.refresh).is(204);
        app.verify_code(&token, &proof.code).refused(401, "one_time_token_invalid");
        app.verify_link(&proof.link_token, &token).refused(401, "one_time_token_invalid");
        app.me(&tokens.access).refused(401, "token_revoked");
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_proof_that_is_repeated_after_a_refresh_opens_another_session(world) {
        let app = world.app();
        let token = app.register(MINA);
        let proof = world.proof(MINA, 1);
        let first = app.verify_code(&token, &proof.code).is(200).tokens();
        let next = app.refresh(&first.refresh).is(200).tokens();
        let second = app.verify_code(&token, &proof.code).is(200).tokens();
        assert_ne!(first.session, second.session);
        app.me(&next.access).is(200);
        app.me(&second.access).is(200);
        app.refresh(&second.refresh).is(200);
    }

    fn no_number_of_mails_makes_more_than_fifteen_guesses(world) {
        let app = world.app();
        let token = app.register(MINA);
        for mail in 1..=3 {
            let code = world.proof(MINA, mail).code;
            let wrong = if code == "000000" { "000001" } else { "000000" };
            for _ in 0..5 {
                app.verify_code(&token, wrong).refused(401, "code_invalid");
            }
            app.resend(&world, MINA);
        }
        let proof = world.proof(MINA, 4);
        app.verify_code(&token, &proof.code).refused(401, "code_invalid");
        // The link is no guess.
        app.verify_link(&proof.link_token, &token).is(200);
    }

    fn a_registration_lasts_to_the_second(world) {
        let app = world.app();
        let proofs = ["a@example.com", "b@example.com"].map(|email| {
            (app.register(email), world.proof(email, 1))
        });
        let (token, proof) = &proofs[0];
        world.advance(shortly_before(DAY));
        app.verify_link(&proof.link_token, token).is(200);
        let (token, proof) = &proofs[1];
        for _ in 0..2 {
            world.advance(SECOND);
            app.verify_code(token, &proof.code).refused(401, "one_time_token_expired");
            app.verify_link(&proof.link_token, token).refused(401, "one_time_token_expired");
            app.verify_password(&proof.link_token, PASSWORD).refused(401, "one_time_token_expired");
        }
        // The verification that was used in time has ended as well.
        let (token, proof) = &proofs[0];
        app.verify_link(&proof.link_token, token).refused(401, "one_time_token_expired");
        app.log_in("a@example.com", PASSWORD).is(200);
        app.log_in("b@example.com", PASSWORD).refused(401, "invalid_credentials");
    }

    fn no_data_is_left_of_an_address_that_was_never_verified(world) {
        let app = world.app();
        app.register(MINA);
        world.mails_to(MINA, 1);
        world.settle_mail();
        app.register("MINA@example.com");
        world.mails_to("MINA@example.com", 1);
        world.settle_mail();
        world.execute("UPDATE outbox SET status = 'dead' WHERE recipient = 'MINA@example.com'");
        world.advance(DAY);
        world.purge();
        assert_eq!(world.count("challenges"), 2);
        assert_eq!(world.count("challenges WHERE email IS NULL AND email_norm IS NULL"), 2);
        assert_eq!(world.count("registration_details"), 0);
        let outbox: Vec<String> = world.rows_with(MINA);
        assert_eq!(outbox.len(), 2, "{outbox:?}");
        assert!(outbox.iter().all(|row| row.starts_with("outbox: ")), "{outbox:?}");
        world.advance(DAY * 30);
        world.purge();
        assert_eq!(world.rows_with(MINA), Vec::<String>::new());
        assert_eq!(world.count("challenges"), 0);
    }

    fn a_mail_that_is_asked_for_after_the_end_is_not_sent(world) {
        let app = world.app();
        app.register(MINA);
        world.mails_to(MINA, 1);
        world.advance(DAY);
        app.resend(&world, MINA);
        app.register("other@example.com");
        world.mails_to("other@example.com", 1);
        assert_eq!(world.mails_so_far(MINA).len(), 1);
    }
}

/// The names of an answer's headers.
fn names(answer: &crate::support::Answer) -> Vec<String> {
    answer.headers.keys().map(ToString::to_string).collect()
}
