//! Concurrent requests of the same kind.

use std::collections::HashSet;

use serde_json::json;

use crate::support::{PASSWORD, SECOND, TestApp, Tokens, World, at_once, on_both, proof_in};

const ROUNDS: usize = 4;

/// Returns the one token that all successful requests got.
fn only<T: std::hash::Hash + Eq + std::fmt::Debug>(values: impl IntoIterator<Item = T>) -> T {
    let set: HashSet<T> = values.into_iter().collect();
    assert_eq!(set.len(), 1, "{set:?}");
    set.into_iter().next().unwrap()
}

fn all_tokens(answers: Vec<crate::support::Answer>) -> Vec<Tokens> {
    answers.into_iter().map(|answer| answer.is(200).tokens()).collect()
}

/// The status and code of each answer, sorted.
fn outcomes(answers: &[crate::support::Answer]) -> Vec<(u16, String)> {
    let mut outcomes: Vec<_> = answers.iter().map(|it| (it.status, it.code())).collect();
    outcomes.sort();
    outcomes
}

on_both! {
    fn fifty_proofs_of_one_registration_open_one_session_of_one_account(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let token = app.register(&email);
            let proof = world.proof(&email, 1);
            let tokens = all_tokens(at_once(50, |number| match number % 2 {
                0 => app.verify_code(&token, &proof.code),
                _ => app.verify_link(&proof.link_token, &token),
            }));
            only(tokens.iter().map(|it| &it.session));
            only(tokens.iter().map(|it| &it.refresh));
            assert_eq!(world.count("users"), i64::try_from(round + 1).unwrap());
            assert_eq!(world.count("sessions"), i64::try_from(round + 1).unwrap());
        }
    }

    fn two_registrations_of_one_address_that_are_proven_at_once_make_one_account(world) {
        let app = world.app();
        for round in 0..ROUNDS * 2 {
            let email = format!("race{round}@example.com");
            let passwords = ["password of the first", "password of the second"];
            let tokens = passwords
                .map(|password| app.register_with(&json!({"email": email, "password": password})));
            let links: Vec<String> = world.mails_to(&email, 2).iter()
                .map(|mail| proof_in(mail).unwrap().link_token)
                .collect();
            // The mails are in any order: each client tries both codes.
            let answers = at_once(4, |number| {
                app.verify_link(&links[number / 2], &tokens[number % 2])
            });
            let won = answers.iter().filter(|it| it.status == 200).count();
            assert_eq!(won, 1, "{:?}", outcomes(&answers));
            let lost = answers.iter().filter(|it| it.status == 401 || it.status == 403).count();
            assert_eq!(lost, 3, "{:?}", outcomes(&answers));
            let doors = passwords.map(|it| app.log_in(&email, it).status);
            assert_eq!(doors.iter().filter(|it| **it == 200).count(), 1, "{doors:?}");
            assert_eq!(world.count("users"), i64::try_from(round + 1).unwrap());
        }
    }

    fn of_two_who_want_one_username_both_get_an_account_and_one_the_name(world) {
        let app = world.app();
        for round in 0..ROUNDS * 2 {
            let name = format!("wanted{round}");
            let people = ["a", "b"].map(|it| {
                let email = format!("{it}{round}@example.com");
                let body = json!({"email": email, "username": name, "password": PASSWORD});
                let token = app.register_with(&body);
                let code = world.proof(&email, 1).code;
                (token, code)
            });
            let tokens = all_tokens(at_once(2, |number| {
                app.verify_code(&people[number].0, &people[number].1)
            }));
            let named = tokens
                .iter()
                .filter(|it| app.me(&it.access).json()["username"] == name.as_str())
                .count();
            assert_eq!(named, 1);
        }
    }

    fn accounts_without_proof_are_made_once(world) {
        let app = world.app_with(&[("HALLPASS_EMAIL_VERIFICATION", "none")]);
        for round in 0..ROUNDS {
            let body = |number: usize| json!({
                "email": format!("race{round}@example.com"), "password": PASSWORD,
                "username": format!("r{round}n{}", number % 2),
            });
            let answers = at_once(10, |number| app.post("/v1/register", &body(number)));
            let made = answers.iter().filter(|it| it.status == 201).count();
            assert_eq!(made, 1, "{:?}", outcomes(&answers));
            assert!(answers.iter().all(|it| it.status == 201 || it.status == 409));
        }
        let body = |number: usize| json!({
            "email": format!("p{number}@example.com"), "username": "one", "password": PASSWORD,
        });
        let answers = at_once(10, |number| app.post("/v1/register", &body(number)));
        assert_eq!(answers.iter().filter(|it| it.status == 201).count(), 1);
        assert!(answers.iter().all(|it| it.status == 201 || it.code() == "username_taken"));
    }

    fn fifty_refreshes_of_one_token_get_the_same_successor(world) {
        let app = world.app();
        let mut tokens = app.person(&world, "race@example.com");
        for round in 1..=ROUNDS {
            let next = all_tokens(at_once(50, |_| app.refresh(&tokens.refresh)));
            only(next.iter().map(|it| &it.refresh));
            only(next.iter().map(|it| &it.session));
            only([next[0].session.clone(), tokens.session.clone()]);
            tokens = next[0].clone();
            assert_eq!(world.count("refresh_tokens"), i64::try_from(round + 1).unwrap());
        }
        app.me(&tokens.access).is(200);
    }

    fn a_refresh_during_a_log_out_ends_logged_out(world) {
        let app = world.app();
        app.person(&world, "race@example.com");
        for _ in 0..ROUNDS * 3 {
            let tokens = app.log_in("race@example.com", PASSWORD).is(200).tokens();
            let answers = at_once(8, |number| match number {
                0 => app.revoke(&tokens.refresh).is(204),
                _ => app.refresh(&tokens.refresh),
            });
            let mut newest = vec![tokens];
            for answer in answers {
                match answer.status {
                    200 => newest.push(answer.tokens()),
                    204 => {}
                    _ => drop(answer.refused(401, "refresh_token_revoked")),
                }
            }
            for tokens in newest {
                app.token_verify(&tokens.access).refused(401, "token_revoked");
                app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
            }
        }
    }

    fn a_stolen_token_that_is_replayed_by_many_is_one_theft(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let tokens = app.person(&world, &email);
            app.refresh(&tokens.refresh).is(200);
            world.advance(SECOND * 31);
            let answers = at_once(20, |_| app.refresh(&tokens.refresh));
            let thefts = answers.iter().filter(|it| it.code() == "refresh_token_reused").count();
            assert!(thefts >= 1, "{:?}", outcomes(&answers));
            assert!(answers.iter().all(|it| it.status == 401));
        }
        assert_eq!(world.count("outbox WHERE kind <> 'registration'"), 4);
    }

    fn a_hundred_wrong_codes_at_once_count_and_the_right_one_is_then_refused(world) {
        let app = world.app();
        let token = app.register("race@example.com");
        let code = world.proof("race@example.com", 1).code;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        for answer in at_once(100, |_| app.verify_code(&token, wrong)) {
            answer.refused(401, "code_invalid");
        }
        assert_eq!(world.count("challenges WHERE code_tries = 5"), 1);
        app.verify_code(&token, &code).refused(401, "code_invalid");
        assert_eq!(world.count("users"), 0);
    }

    fn among_many_guesses_at_once_at_most_five_are_looked_at(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let token = app.register(&email);
            let code: u32 = world.proof(&email, 1).code.parse().unwrap();
            // The right one stands behind nine wrong ones that were sent before it.
            let guess = |number: u32| format!("{:06}", (code + number) % 1_000_000);
            for number in 1..=5 {
                app.verify_code(&token, &guess(number)).refused(401, "code_invalid");
            }
            let answers = at_once(30, |number| {
                app.verify_code(&token, &guess(u32::try_from(number).unwrap()))
            });
            assert!(answers.iter().all(|it| it.status == 401), "{:?}", outcomes(&answers));
        }
    }

    fn many_log_ins_at_once_leave_twenty_sessions(world) {
        let app = world.app();
        app.person(&world, "race@example.com");
        for _ in 0..2 {
            let tokens = all_tokens(at_once(30, |_| app.log_in("race@example.com", PASSWORD)));
            assert_eq!(tokens.iter().map(|it| &it.session).collect::<HashSet<_>>().len(), 30);
        }
        let alive = world.count("sessions WHERE ended_at IS NULL");
        assert_eq!(alive, 20);
    }

    fn many_who_register_one_address_at_once_get_a_mail_each(world) {
        let app = world.app();
        let answers = at_once(20, |number| {
            let password = format!("plum tree number {number}");
            app.post("/v1/register", &json!({"email": "race@example.com", "password": password}))
        });
        assert!(answers.iter().all(|it| it.status == 202));
        let mails = world.mails_to("race@example.com", 20);
        let links: HashSet<String> =
            mails.iter().map(|mail| proof_in(mail).unwrap().link_token).collect();
        assert_eq!(links.len(), 20);
        proven_by_one_of(&world, &app, &answers);
    }
}

/// Asserts that every link works with exactly one registration token.
fn proven_by_one_of(world: &World, app: &TestApp, answers: &[crate::support::Answer]) {
    let link = world.proof("race@example.com", 7).link_token;
    let opened = answers
        .iter()
        .map(|it| app.verify_link(&link, &it.text("registration_token")).status)
        .filter(|status| *status == 200)
        .count();
    assert_eq!(opened, 1);
}
