//! Concurrent requests of staff and others.

use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp, Tokens, World, at_once, on_both};

const ROUNDS: usize = 12;
const SEED: &str = "seed@example.com";

/// A superuser without the formalities, with the password of the seed.
fn superuser(world: &World, app: &TestApp, name: &str) -> Tokens {
    world.execute(&format!(
        "INSERT INTO users (username, username_norm, email, email_norm, email_verified, \
         password_hash, is_active, is_staff, is_superuser, locale, created_at, updated_at) \
         SELECT '{name}', '{name}', '{name}@example.com', '{name}@example.com', TRUE, \
         password_hash, TRUE, TRUE, TRUE, 'en', 0, 0 FROM users WHERE email = '{SEED}'"
    ));
    app.log_in(name, PASSWORD).is(200).tokens()
}

fn path(tokens: &Tokens) -> String {
    format!("/v1/users/{}", tokens.user_id())
}

/// A request of a user, concurrent with one of another; the arguments are both.
type Attempt = fn(&TestApp, &Tokens, &Tokens) -> Answer;

fn delete_other(app: &TestApp, own: &Tokens, other: &Tokens) -> Answer {
    app.delete_as(&own.access, &path(other))
}

fn switch_off_other(app: &TestApp, own: &Tokens, other: &Tokens) -> Answer {
    app.ask_as(&own.access, "PATCH", &path(other), &json!({"is_active": false}))
}

fn demote_other(app: &TestApp, own: &Tokens, other: &Tokens) -> Answer {
    app.ask_as(&own.access, "PATCH", &path(other), &json!({"is_staff": false}))
}

fn delete_own(app: &TestApp, own: &Tokens, _other: &Tokens) -> Answer {
    app.ask_as(&own.access, "DELETE", "/v1/me", &json!({"password": PASSWORD}))
}

fn switch_off_own(app: &TestApp, own: &Tokens, _other: &Tokens) -> Answer {
    app.ask_as(&own.access, "PATCH", &path(own), &json!({"is_active": false}))
}

/// Two superusers try that at once, again and again: exactly one of them succeeds, and one who can
/// manage the others stays.
fn one_always_stays(world: &World, attempts: [Attempt; 2]) {
    let apps = [world.app(), world.app()];
    apps[0].person(world, SEED);
    for round in 0..ROUNDS {
        let both = ["a", "b"].map(|it| superuser(world, &apps[0], &format!("{it}{round}")));
        let answers =
            at_once(2, |number| attempts[number](&apps[number], &both[number], &both[1 - number]));
        let shown: Vec<String> = answers.iter().map(Answer::shown).collect();
        let stay = world.count("users WHERE is_superuser AND is_active AND is_staff");
        assert_eq!(stay, 1, "{shown:?}");
        let done = answers.iter().filter(|it| it.status < 300).count();
        assert_eq!(done, 1, "{shown:?}");
        for answer in answers {
            let code = answer.code();
            let refusal = ["", "last_superuser", "token_revoked", "permission_denied", "not_found"];
            assert!(refusal.contains(&code.as_str()), "{shown:?}");
        }
        world.execute("DELETE FROM users WHERE is_superuser");
    }
}

/// No issued token is valid, with any outcome.
fn no_session_is_left(app: &TestApp, answers: Vec<Answer>, refusals: &[&str]) {
    for answer in answers {
        match answer.status {
            200 if answer.json().get("access_token").is_some() => {
                let tokens = answer.tokens();
                app.token_verify(&tokens.access).refused(401, "token_revoked");
                app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
            }
            200 | 204 => {}
            _ => assert!(refusals.contains(&answer.code().as_str()), "{}", answer.shown()),
        }
    }
}

on_both! {
    fn of_two_invitations_of_an_address_at_once_one_is_sent_again(world) {
        let apps = [world.app(), world.app()];
        let staff = apps[0].superuser(&world, SEED);
        for round in 0..ROUNDS {
            let new = json!({"email": format!("new{round}@example.com")});
            let answers = at_once(2, |number| {
                apps[number].ask_as(&staff.access, "POST", "/v1/users", &new)
            });
            let mut statuses: Vec<u16> = answers.iter().map(|it| it.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 201], "{} {}", answers[0].shown(), answers[1].shown());
        }
    }

    fn a_verification_at_the_moment_staff_invite_its_owner_counts(world) {
        let apps = [world.app(), world.app()];
        let staff = apps[0].superuser(&world, SEED);
        for round in 0..ROUNDS {
            let email = format!("new{round}@example.com");
            let registration = apps[0].register(&email);
            let code = world.proof(&email, 1).code;
            let answers = at_once(2, |number| match number {
                0 => apps[0].verify_code(&registration, &code),
                _ => apps[1].ask_as(&staff.access, "POST", "/v1/users", &json!({"email": email})),
            });
            let [verified, invited] = <[_; 2]>::try_from(answers).ok().unwrap();
            assert_eq!(verified.status, 200, "{} {}", verified.shown(), invited.shown());
            apps[0].log_in(&email, PASSWORD).is(200);
        }
    }

    fn two_superusers_who_delete_each_other_leave_one(world) {
        one_always_stays(&world, [delete_other, delete_other]);
    }

    fn two_superusers_who_switch_each_other_off_leave_one(world) {
        one_always_stays(&world, [switch_off_other, switch_off_other]);
    }

    fn two_superusers_who_take_the_staff_flag_from_each_other_leave_one(world) {
        one_always_stays(&world, [demote_other, demote_other]);
    }

    fn two_superusers_who_delete_themselves_leave_one(world) {
        one_always_stays(&world, [delete_own, delete_own]);
    }

    fn two_superusers_who_take_their_leave_differently_leave_one(world) {
        one_always_stays(&world, [delete_own, switch_off_own]);
    }

    fn a_log_in_while_the_account_is_disabled_leaves_no_session(world) {
        let app = world.app();
        let admin = app.staff(&world, "admin@example.com");
        let mina = app.person(&world, "mina@example.com");
        let switch = |on: bool| {
            app.ask_as(&admin.access, "PATCH", &path(&mina), &json!({"is_active": on})).is(200)
        };
        for _ in 0..ROUNDS {
            let answers = at_once(8, |number| match number {
                0 => switch(false),
                _ => app.log_in("mina@example.com", PASSWORD),
            });
            no_session_is_left(&app, answers, &["account_disabled"]);
            assert_eq!(world.count("sessions WHERE ended_at IS NULL AND user_id = 2"), 0);
            switch(true);
        }
    }

    fn a_refresh_or_log_in_while_staff_delete_the_account_leaves_no_session(world) {
        let app = world.app();
        let admin = app.staff(&world, "admin@example.com");
        for round in 0..ROUNDS {
            let email = format!("p{round}@example.com");
            let tokens = app.person(&world, &email);
            let answers = at_once(8, |number| match number {
                0 => app.delete_as(&admin.access, &path(&tokens)).is(204),
                1..5 => app.refresh(&tokens.refresh),
                _ => app.log_in(&email, PASSWORD),
            });
            no_session_is_left(&app, answers, &["refresh_token_revoked", "invalid_credentials"]);
            app.token_verify(&tokens.access).refused(401, "token_revoked");
            let rest = format!("sessions WHERE ended_at IS NULL AND user_id = {}", tokens.user_id());
            assert_eq!(world.count(&rest), 0);
        }
        assert_eq!(world.count("sessions WHERE device || network <> '' AND user_id > 1"), 0);
    }

    fn a_repeated_verification_while_the_account_is_disabled_or_deleted_leaves_no_session(world) {
        let app = world.app();
        let admin = app.staff(&world, "admin@example.com");
        for round in 0..ROUNDS {
            let email = format!("p{round}@example.com");
            let registration = app.register(&email);
            let proof = world.proof(&email, 1);
            let tokens = app.verify_code(&registration, &proof.code).is(200).tokens();
            let answers = at_once(8, |number| match number {
                0 if round % 2 == 0 => app.delete_as(&admin.access, &path(&tokens)).is(204),
                0 => {
                    let off = json!({"is_active": false});
                    app.ask_as(&admin.access, "PATCH", &path(&tokens), &off).is(200)
                }
                1..4 => app.verify_code(&registration, &proof.code),
                4 | 5 => app.verify_link(&proof.link_token, &registration),
                _ => app.verify_password(&proof.link_token, PASSWORD),
            });
            let refusals = ["one_time_token_invalid", "code_invalid", "account_disabled"];
            no_session_is_left(&app, answers, &refusals);
            let rest = format!("sessions WHERE ended_at IS NULL AND user_id = {}", tokens.user_id());
            assert_eq!(world.count(&rest), 0);
            app.verify_code(&registration, &proof.code).refused(401, "code_invalid");
        }
        assert_eq!(world.count("sessions WHERE ended_at IS NULL"), 2);
    }

    fn of_concurrent_deletions_of_one_account_one_succeeds(world) {
        let app = world.app();
        let admin = app.staff(&world, "admin@example.com");
        for round in 0..ROUNDS {
            let tokens = app.person(&world, &format!("p{round}@example.com"));
            let answers = at_once(6, |_| app.delete_as(&admin.access, &path(&tokens)));
            let codes: Vec<String> = answers.iter().map(Answer::code).collect();
            assert_eq!(answers.iter().filter(|it| it.status == 204).count(), 1, "{codes:?}");
            assert_eq!(codes.iter().filter(|it| *it == "not_found").count(), 5, "{codes:?}");
        }
    }

    fn of_many_who_invite_one_address_one_makes_the_account(world) {
        let app = world.app();
        let admin = app.staff(&world, "admin@example.com");
        for round in 0..ROUNDS {
            let body: Value = json!({"email": format!("p{round}@example.com")});
            let answers = at_once(6, |_| app.ask_as(&admin.access, "POST", "/v1/users", &body));
            let codes: Vec<String> = answers.iter().map(Answer::code).collect();
            assert_eq!(answers.iter().filter(|it| it.status == 201).count(), 1, "{codes:?}");
            // The others send the invitation again, or came too early to see the account.
            let again = |it: &&Answer| it.status == 200 || it.code() == "email_taken";
            assert_eq!(answers.iter().filter(again).count(), 5, "{codes:?}");
        }
    }
}
