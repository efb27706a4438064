//! Concurrent requests of an owner and of an attacker with a stolen session.

use crate::support::account::{CHANGE_REQUESTED, CONFIRM, NEW_DEVICE, RESET, statuses};
use crate::support::{PASSWORD, at_once, on_both, proof_in};

/// Time for a concurrent request between the check of the session and the change.
const SLOW: (&str, &str) = ("HALLPASS_BCRYPT_COST", "8");
const ROUNDS: usize = 8;
const NEW: &str = "pear tree at dawn";
const ATTACKERS: &str = "what the attacker chose";

on_both! {
    fn a_change_of_the_password_that_is_under_way_does_not_outlast_a_reset(world) {
        let app = world.app_with(&[SLOW]);
        for round in 0..ROUNDS * 2 {
            let email = format!("race{round}@example.com");
            // A user with a recent log-in needs no password.
            let stolen = app.person(&world, &email);
            app.ask_reset(&email).is(202);
            let link = world.link_about(&email, RESET, 1);
            let answers = at_once(3, |number| match number {
                0 => app.reset_by_link(&link, NEW),
                _ => app.change_password(&stolen.access, None, ATTACKERS),
            });
            if answers[0].status == 204 {
                for answer in &answers[1..] {
                    assert_ne!(answer.status, 204, "{:?}", statuses(&answers));
                }
                app.log_in(&email, NEW).is(200);
                app.log_in(&email, ATTACKERS).refused(401, "invalid_credentials");
                app.assert_revoked(&stolen);
            } else {
                // The attacker's change came first and stands; the notice lets the owner revert it.
                assert_eq!(answers[0].code(), "one_time_token_invalid");
                app.log_in(&email, ATTACKERS).is(200);
            }
        }
    }

    fn concurrent_requests_of_an_attacker_do_not_outlast_not_me(world) {
        let app = world.app_with(&[SLOW]);
        for round in 0..ROUNDS * 2 {
            let (owner, attacker) =
                (format!("owner{round}@example.com"), format!("attacker{round}@example.com"));
            app.person(&world, &owner);
            let stolen = app.log_in_on("curl/8.5.0", &owner).is(200).tokens();
            let link = world.link_about(&owner, NEW_DEVICE, 1);
            let answers = at_once(3, |number| match number {
                0 => app.not_me(&link).is(204),
                _ => app.change_email(&stolen.access, &attacker),
            });
            app.assert_revoked(&stolen);
            world.settle_mail();
            for answer in answers[1..].iter().filter(|it| it.status == 202) {
                for mail in world.mails_about(&attacker, CONFIRM) {
                    let (waiting, proof) =
                        (answer.text("registration_token"), proof_in(&mail).unwrap());
                    app.verify_code(&waiting, &proof.code).refused(401, "code_invalid");
                    app.verify_password(&proof.link_token, PASSWORD)
                        .refused(401, "one_time_token_invalid");
                }
            }
            assert_eq!(world.count("challenges WHERE kind = 'change_email'"), 0);
            app.log_in(&owner, PASSWORD).is(200);
        }
    }

    fn an_account_is_not_deleted_by_a_session_that_was_ended(world) {
        let app = world.app_with(&[SLOW]);
        for round in 0..ROUNDS * 2 {
            let owner = format!("owner{round}@example.com");
            app.person(&world, &owner);
            let stolen = app.log_in_on("curl/8.5.0", &owner).is(200).tokens();
            let link = world.link_about(&owner, NEW_DEVICE, 1);
            let body = serde_json::json!({"password": PASSWORD});
            let answers = at_once(2, |number| match number {
                0 => app.not_me(&link),
                _ => app.as_holder("DELETE", "/v1/me", &stolen.access, &body),
            });
            match (answers[0].status, answers[1].status) {
                (204, 401) => app.log_in(&owner, PASSWORD).is(200),
                (401, 204) => app.log_in(&owner, PASSWORD).refused(401, "invalid_credentials"),
                _ => panic!("{:?}", statuses(&answers)),
            };
        }
    }

    fn two_who_say_not_me_at_once_are_answered_alike_and_one_mail_goes_out(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let tokens = app.person(&world, &email);
            app.log_in_on("curl/8.5.0", &email).is(200);
            app.log_in_on("wget/1.0", &email).is(200);
            let links = [1, 2].map(|number| world.link_about(&email, NEW_DEVICE, number));
            for answer in at_once(8, |_| app.not_me(&links[0])) {
                answer.is(204);
            }
            app.assert_revoked(&tokens);
            world.settle_mail();
            assert_eq!(world.mails_about(&email, RESET).len(), 1);
            // Two notices are two links; each may end what is open.
            for answer in at_once(4, |number| app.not_me(&links[number % 2])) {
                answer.is(204);
            }
            world.settle_mail();
            assert_eq!(world.mails_about(&email, RESET).len(), 2);
        }
    }

    fn not_me_during_the_proof_of_a_change_leaves_the_owner_in_possession(world) {
        let app = world.app();
        for round in 0..ROUNDS * 2 {
            let (owner, attacker) =
                (format!("owner{round}@example.com"), format!("attacker{round}@example.com"));
            let tokens = app.person(&world, &owner);
            let waiting =
                app.change_email(&tokens.access, &attacker).is(202).text("registration_token");
            let code = world.proof_about(&attacker, CONFIRM, 1).code;
            let link = world.link_about(&owner, CHANGE_REQUESTED, 1);
            let answers = at_once(4, |number| match number % 2 {
                0 => app.not_me(&link).is(204),
                _ => app.verify_code(&waiting, &code),
            });
            for proven in answers.iter().filter(|it| it.status == 200) {
                app.assert_revoked(&proven.tokens());
            }
            app.assert_revoked(&tokens);
            let back = app.log_in(&owner, PASSWORD).is(200).tokens();
            assert_eq!(app.me(&back.access).text("email"), owner);
            app.log_in(&attacker, PASSWORD).refused(401, "invalid_credentials");
            app.verify_code(&waiting, &code).refused(401, "code_invalid");
            world.mail_about(&owner, RESET, 1);
        }
    }

    fn a_reset_mail_that_is_written_while_the_address_changes_opens_nothing(world) {
        let app = world.app();
        for round in 0..ROUNDS * 3 {
            let (old, new) = (format!("old{round}@example.com"), format!("new{round}@example.com"));
            let tokens = app.person(&world, &old);
            let waiting = app.change_email(&tokens.access, &new).is(202).text("registration_token");
            let code = world.proof_about(&new, CONFIRM, 1).code;
            at_once(4, |number| match number {
                0 => app.verify_code(&waiting, &code).is(200),
                _ => app.ask_reset(&old).is(202),
            });
            world.settle_mail();
            for mail in world.mails_about(&old, RESET) {
                let proof = proof_in(&mail).expect("a code and a link");
                app.reset_by_link(&proof.link_token, NEW).refused(401, "one_time_token_invalid");
                app.reset_by_code(&old, &proof.code, NEW).refused(401, "code_invalid");
                app.reset_by_code(&new, &proof.code, NEW).refused(401, "code_invalid");
            }
            app.log_in(&new, PASSWORD).is(200);
        }
    }

    fn a_reset_during_the_proof_of_a_change_leaves_one_consistent_account(world) {
        let app = world.app();
        for round in 0..ROUNDS * 2 {
            let (old, new) = (format!("old{round}@example.com"), format!("new{round}@example.com"));
            let tokens = app.person(&world, &old);
            let waiting = app.change_email(&tokens.access, &new).is(202).text("registration_token");
            let code = world.proof_about(&new, CONFIRM, 1).code;
            app.ask_reset(&old).is(202);
            let link = world.link_about(&old, RESET, 1);
            let answers = at_once(2, |number| match number {
                0 => app.reset_by_link(&link, NEW),
                _ => app.verify_code(&waiting, &code),
            });
            // Whichever came first made the other void.
            match (answers[0].status, answers[1].status) {
                (204, 401) => app.log_in(&old, NEW).is(200),
                (401, 200) => app.log_in(&new, PASSWORD).is(200),
                _ => panic!("{:?}", statuses(&answers)),
            };
        }
    }
}
