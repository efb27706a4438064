//! Concurrent requests for one account or one e-mail address.

use std::collections::HashSet;

use serde_json::json;

use crate::support::account::{CONFIRM, RESET, statuses};
use crate::support::{Answer, PASSWORD, Proof, TestApp, Tokens, World, at_once, on_both};

const ROUNDS: usize = 8;
const NEW: &str = "pear tree at dawn";

/// The pairs that a race handed out, and those it began with.
fn pairs(answers: &[Answer], first: &Tokens) -> Vec<Tokens> {
    let won = answers.iter().filter(|it| it.status == 200).map(Answer::tokens);
    won.chain([first.clone()]).collect()
}

fn reset_mail(world: &World, app: &TestApp, email: &str) -> Proof {
    app.ask_reset(email).is(202);
    world.proof_about(email, RESET, 1)
}

on_both! {
    fn of_two_concurrent_verifications_of_one_address_one_gets_it(world) {
        let apps = [world.app(), world.app()];
        let app = &apps[0];
        for round in 0..ROUNDS {
            let wanted = format!("wanted{round}@example.com");
            let people = ["a", "b"].map(|name| format!("{name}{round}@example.com"));
            let tokens = people.clone().map(|email| app.person(&world, &email));
            let waiting = [0, 1].map(|number| {
                let answer = app.change_email(&tokens[number].access, &wanted).is(202);
                let proof = world.proof_about(&wanted, CONFIRM, number + 1);
                (answer.text("registration_token"), proof)
            });
            let answers = at_once(50, |number| {
                let (token, proof) = &waiting[number % 2];
                let app = &apps[number / 2 % 2];
                if number % 3 == 0 {
                    app.verify_link(&proof.link_token, token)
                } else {
                    app.verify_code(token, &proof.code)
                }
            });
            let winner = usize::from(answers[0].status != 200);
            for (number, answer) in answers.into_iter().enumerate() {
                if number % 2 == winner {
                    assert_eq!(answer.is(200).text("email"), wanted);
                } else {
                    // Those who come late find their wish gone.
                    let code = answer.code();
                    assert!(
                        answer.status == 401
                            && ["one_time_token_invalid", "code_invalid"].contains(&code.as_str()),
                        "{}",
                        answer.shown()
                    );
                }
            }
            let emails = tokens.map(|it| app.me(&it.access).is(200).text("email"));
            assert_eq!(emails[winner], wanted);
            assert_eq!(emails[1 - winner], people[1 - winner]);
            app.log_in(&wanted, PASSWORD).is(200);
            app.log_in(&people[1 - winner], PASSWORD).is(200);
        }
    }

    fn of_fifty_resets_with_one_mail_exactly_one_sets_the_password(world) {
        // Two would not queue so many hashes on a machine of one core.
        let apps = [world.app(), world.app(), world.app(), world.app()];
        let app = &apps[0];
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            app.person(&world, &email);
            let proof = reset_mail(&world, app, &email);
            let passwords: Vec<String> = (0..50).map(|n| format!("plum tree number {n}")).collect();
            let answers = at_once(50, |number| match number % 3 {
                0 => apps[number % 4].reset_by_code(&email, &proof.code, &passwords[number]),
                _ => apps[number % 4].reset_by_link(&proof.link_token, &passwords[number]),
            });
            let won: Vec<usize> = (0..50).filter(|number| answers[*number].status == 204).collect();
            assert_eq!(won.len(), 1, "{:?}", statuses(&answers));
            for (number, answer) in
                answers.into_iter().enumerate().filter(|(number, _)| *number != won[0])
            {
                answer.refused(
                    401,
                    if number % 3 == 0 { "code_invalid" } else { "one_time_token_invalid" },
                );
            }
            app.log_in(&email, PASSWORD).refused(401, "invalid_credentials");
            for (number, password) in passwords.iter().enumerate() {
                let status = if number == won[0] { 200 } else { 401 };
                app.log_in(&email, password).is(status);
            }
        }
        let told = i64::try_from(ROUNDS).unwrap();
        assert_eq!(world.count("outbox WHERE kind = 'password_changed'"), told);
    }

    fn of_twenty_guesses_at_once_five_are_looked_at(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            app.person(&world, &email);
            let proof = reset_mail(&world, &app, &email);
            let right: u32 = proof.code.parse().unwrap();
            let answers = at_once(20, |number| {
                let guess = (right + 1 + u32::try_from(number).unwrap()) % 1_000_000;
                app.reset_by_code(&email, &format!("{guess:06}"), NEW)
            });
            for answer in answers {
                answer.refused(401, "code_invalid");
            }
            let spent = "kind = 'reset_password' AND code_tries = 5 AND wrong_codes = 5";
            assert_eq!(world.count(&format!("challenges WHERE {spent}")), 1);
            app.reset_by_code(&email, &proof.code, NEW).refused(401, "code_invalid");
            app.reset_by_link(&proof.link_token, NEW).is(204);
        }
    }

    fn a_refresh_while_the_account_is_deleted_leaves_no_session(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let tokens = app.person(&world, &email);
            let body = json!({"password": PASSWORD});
            let answers = at_once(8, |number| match number {
                0 => app.as_holder("DELETE", "/v1/me", &tokens.access, &body).is(204),
                _ => app.refresh(&tokens.refresh),
            });
            for answer in answers.iter().filter(|it| it.status >= 300) {
                assert_eq!((answer.status, answer.code().as_str()), (401, "refresh_token_revoked"));
            }
            for tokens in pairs(&answers, &tokens) {
                app.assert_revoked(&tokens);
            }
            assert_eq!(world.rows_with(&email), [""; 0]);
        }
    }

    fn a_log_in_while_the_account_is_deleted_leaves_no_session(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let tokens = app.person(&world, &email);
            let body = json!({"password": PASSWORD});
            let answers = at_once(5, |number| match number {
                0 => app.as_holder("DELETE", "/v1/me", &tokens.access, &body).is(204),
                number => app.log_in_on(&format!("client-{number}/1"), &email),
            });
            for tokens in pairs(&answers, &tokens) {
                app.assert_revoked(&tokens);
            }
            world.settle_mail();
            assert_eq!(world.rows_with(&email), [""; 0]);
            assert_eq!(world.rows_with("client-"), [""; 0]);
        }
    }

    fn a_log_in_while_staff_disable_the_account_leaves_no_session(world) {
        let app = world.app();
        let staff = app.superuser(&world, "staff@example.com");
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let tokens = app.person(&world, &email);
            let path = format!("/v1/users/{}", app.me(&tokens.access).json()["user_id"]);
            let answers = at_once(6, |number| match number {
                0 => {
                    let body = json!({"is_active": false});
                    app.as_holder("PATCH", &path, &staff.access, &body).is(200);
                    None
                }
                1 => Some(app.refresh(&tokens.refresh)),
                _ => Some(app.log_in(&email, PASSWORD)),
            });
            let answers: Vec<Answer> = answers.into_iter().flatten().collect();
            for answer in answers.iter().filter(|it| it.status != 200) {
                assert!(
                    ["account_disabled", "refresh_token_revoked"].contains(&answer.code().as_str()),
                    "{}",
                    answer.shown()
                );
            }
            for tokens in pairs(&answers, &tokens) {
                app.assert_revoked(&tokens);
            }
        }
    }

    fn a_log_in_with_the_old_password_while_it_changes_leaves_no_session(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let own = app.person(&world, &email);
            let other = app.log_in(&email, PASSWORD).is(200).tokens();
            let answers = at_once(7, |number| match number {
                0 => app.change_password(&own.access, Some(PASSWORD), NEW).is(204),
                1 | 2 => app.refresh(&other.refresh),
                _ => app.log_in(&email, PASSWORD),
            });
            for answer in answers.iter().filter(|it| it.status >= 300) {
                assert!(
                    ["invalid_credentials", "refresh_token_revoked"]
                        .contains(&answer.code().as_str()),
                    "{}",
                    answer.shown()
                );
            }
            for tokens in pairs(&answers, &other) {
                app.assert_revoked(&tokens);
            }
            app.me(&own.access).is(200);
            app.refresh(&own.refresh).is(200);
            app.log_in(&email, NEW).is(200);
        }
    }

    fn the_session_that_changes_the_password_may_be_refreshed_meanwhile(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let own = app.person(&world, &email);
            let answers = at_once(5, |number| match number {
                0 => app.change_password(&own.access, Some(PASSWORD), NEW).is(204),
                _ => app.refresh(&own.refresh).is(200),
            });
            let refreshed: HashSet<String> =
                answers[1..].iter().map(|it| it.tokens().refresh).collect();
            assert_eq!(refreshed.len(), 1);
            app.me(&own.access).is(200);
        }
    }

    fn of_many_changes_of_the_password_at_once_one_counts(world) {
        let app = world.app();
        for round in 0..ROUNDS {
            let email = format!("race{round}@example.com");
            let own = app.person(&world, &email);
            let passwords: Vec<String> = (0..4).map(|n| format!("plum tree number {n}")).collect();
            let answers = at_once(4, |number| {
                app.change_password(&own.access, Some(PASSWORD), &passwords[number])
            });
            let won: Vec<usize> = (0..4).filter(|number| answers[*number].status == 204).collect();
            assert_eq!(won.len(), 1, "{:?}", statuses(&answers));
            app.log_in(&email, &passwords[won[0]]).is(200);
        }
    }
}
