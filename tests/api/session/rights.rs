//! A change of an account's rights revokes the access tokens with the earlier rights, and ends no
//! session.

use std::thread;

use diesel::PgConnection;
use diesel::connection::{Connection as _, SimpleConnection as _};
use serde_json::{Value, json};

use crate::support::meanwhile::wait_until_waited_for;
use crate::support::{Answer, PASSWORD, SECOND, TestApp, Tokens, World, on_both, wait_for};

const MINA: &str = "mina@example.com";

fn patch(app: &TestApp, staff: &Tokens, id: i64, body: &Value) -> Answer {
    app.as_holder("PATCH", &format!("/v1/users/{id}"), &staff.access, body).is(200)
}

/// Asserts that every check of the access token refuses it, as that of an ended session.
fn is_revoked(app: &TestApp, token: &str) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    app.token_verify(token).refused(401, "token_revoked");
    app.send("GET", "/v1/forward-auth", &headers, "").refused(401, "token_revoked");
    app.send("GET", "/v1/me", &headers, "").refused(401, "token_revoked");
}

/// The token that a refresh within the same second gives.
fn refreshed(app: &TestApp, tokens: &Tokens, is_staff: bool) -> Tokens {
    let next = app.refresh(&tokens.refresh).is(200).tokens();
    assert_eq!(next.session, tokens.session);
    // The rule of services that check tokens themselves, by the list of this instance.
    let revoked_at = revoked_at(app, tokens.user_id());
    let issued_at = next.claims()["iat"].as_i64().unwrap();
    assert!(revoked_at.is_none_or(|it| issued_at > it), "{revoked_at:?} {issued_at}");
    let told = app.token_verify(&next.access).is(200).json();
    assert_eq!(told["is_staff"], is_staff);
    let bearer = format!("Bearer {}", next.access);
    app.send("GET", "/v1/forward-auth", &[("authorization", &bearer)], "").is(200);
    next
}

/// The time since which the tokens of an account count, by `/v1/revocations`.
fn revoked_at(app: &TestApp, id: i64) -> Option<i64> {
    let answer = app.get("/v1/revocations").is(200).json();
    let users = answer["users"].as_array().unwrap();
    users.iter().find(|it| it["user_id"] == id)?["revoked_at"].as_i64()
}

/// The accounts of `/v1/revocations`.
fn listed(app: &TestApp) -> Vec<i64> {
    let answer = app.get("/v1/revocations").is(200).json();
    answer["users"].as_array().unwrap().iter().map(|it| it["user_id"].as_i64().unwrap()).collect()
}

/// A way to get tokens where the clock is ahead: of both instances, for an address and its tokens.
type Way = fn(&TestApp, &TestApp, &str, &Tokens) -> Tokens;

/// A change of rights at `app` makes services refuse `tokens` that check them by the list.
fn revokes_by_its_list(app: &TestApp, staff: &Tokens, tokens: &Tokens) {
    patch(app, staff, tokens.user_id(), &json!({"roles": ["editor"]}));
    let (listed, issued_at) = (revoked_at(app, tokens.user_id()), &tokens.claims()["iat"]);
    assert!(listed >= issued_at.as_i64(), "{listed:?} {issued_at}");
}

#[test]
fn a_refresh_during_a_change_of_rights_gets_the_changed_ones() {
    let Some(world) = World::postgres() else { return };
    let app = world.app();
    let mina = app.person(&world, MINA);
    let mut change = PgConnection::establish(&world.database_url).unwrap();
    change.batch_execute("BEGIN; UPDATE users SET is_staff = TRUE").unwrap();
    let next = thread::scope(|scope| {
        let refresh = scope.spawn(|| app.refresh(&mina.refresh));
        wait_until_waited_for(&mut change);
        change.batch_execute("COMMIT").unwrap();
        refresh.join().unwrap()
    });
    assert_eq!(next.is(200).tokens().claims()["is_staff"], true);
}

#[test]
fn a_repeated_refresh_that_waited_for_the_end_of_its_session_gets_no_tokens() {
    let Some(world) = World::postgres() else { return };
    let app = world.app();
    let mina = app.person(&world, MINA);
    app.refresh(&mina.refresh).is(200);
    let mut end = PgConnection::establish(&world.database_url).unwrap();
    let ended = format!("ended_at = {}, end_reason = 'logged_out'", world.now() * 1_000_000);
    end.batch_execute(&format!(
        "BEGIN; SELECT 1 FROM users FOR NO KEY UPDATE; UPDATE sessions SET {ended}"
    ))
    .unwrap();
    let answer = thread::scope(|scope| {
        let repeated = scope.spawn(|| app.refresh(&mina.refresh));
        wait_until_waited_for(&mut end);
        end.batch_execute("COMMIT").unwrap();
        repeated.join().unwrap()
    });
    answer.refused(401, "refresh_token_revoked");
}

#[test]
fn a_change_of_rights_that_waited_for_the_account_has_the_time_after_the_wait() {
    let Some(world) = World::postgres() else { return };
    let app = world.app();
    let staff = app.superuser(&world, "root@example.com");
    let id = app.person(&world, MINA).user_id();
    let mut holder = PgConnection::establish(&world.database_url).unwrap();
    holder
        .batch_execute(&format!("BEGIN; UPDATE users SET locale = 'ko' WHERE id = {id}"))
        .unwrap();
    thread::scope(|scope| {
        let change = scope.spawn(|| patch(&app, &staff, id, &json!({"is_staff": true})));
        wait_until_waited_for(&mut holder);
        world.advance(SECOND * 10);
        holder.batch_execute("COMMIT").unwrap();
        change.join().unwrap();
    });
    assert_eq!(revoked_at(&app, id), Some(world.now()));
}

/// Asserts that both instances apply the change, this one at once.
fn each_change(world: &World, change: impl Fn(&TestApp, bool, i64)) {
    let (here, there) = (world.app(), world.app());
    let mut tokens = here.person(world, MINA);
    let other = here.person(world, "other@example.com");
    let id = tokens.user_id();
    for is_staff in [true, false, true, false] {
        let old = tokens.access.clone();
        assert_eq!(there.token_verify(&old).is(200).json()["is_staff"], !is_staff);
        change(&here, is_staff, id);
        is_revoked(&here, &old);
        wait_for("the other instance to learn of it", || {
            (there.token_verify(&old).status == 401).then_some(())
        });
        is_revoked(&there, &old);
        // The old token has the second of the change, or an earlier one.
        assert!(tokens.claims()["iat"].as_i64() <= revoked_at(&here, id));
        tokens = refreshed(&there, &tokens, is_staff);
        tokens = refreshed(&here, &tokens, is_staff);
        is_revoked(&here, &old);
        assert!(listed(&here).contains(&id) && listed(&there).contains(&id));
    }
    here.token_verify(&other.access).is(200);
    assert_eq!(here.log_in(MINA, PASSWORD).is(200).tokens().claims()["is_staff"], false);
}

on_both! {
    fn staff_rights_that_are_given_or_taken_end_the_tokens_of_before(world) {
        let staff = world.app().superuser(&world, "root@example.com");
        each_change(&world, |app, is_staff, id| {
            patch(app, &staff, id, &json!({"is_staff": is_staff}));
        });
    }

    #[cfg(feature = "drf-jwt")]
    fn the_django_adapter_does_the_same(world) {
        world.app().superuser(&world, "root@example.com");
        each_change(&world, |app, is_staff, id| {
            let log_in = json!({"username": "root@example.com", "password": PASSWORD}).to_string();
            let json = ("content-type", "application/json");
            let token = app.send_undocumented("POST", "/api-token-auth/", &[json], log_in).is(200).text("token");
            let headers = [json, ("authorization", &format!("JWT {token}"))];
            let body = json!({"is_staff": is_staff}).to_string();
            app.send_undocumented("PATCH", &format!("/users/{id}/"), &headers, body).is(200);
        });
    }

    fn many_changes_in_one_second_leave_tokens_that_services_accept(world) {
        let app = world.app();
        let staff = app.superuser(&world, "root@example.com");
        let tokens = app.person(&world, MINA);
        for number in 0..10 {
            patch(&app, &staff, tokens.user_id(), &json!({"roles": [format!("role{number}")]}));
        }
        is_revoked(&app, &tokens.access);
        refreshed(&app, &tokens, false);
    }

    fn a_released_user_name_ends_the_tokens_that_tell_it_at_once(world) {
        let app = world.app();
        let holder = app.person(&world, "old@example.com");
        world.execute(&format!("UPDATE users SET username = '{MINA}', username_norm = '{MINA}' WHERE id = {}", holder.user_id()));
        let holder = app.refresh(&holder.refresh).is(200).tokens();
        app.person(&world, MINA);
        is_revoked(&app, &holder.access);
        refreshed(&app, &holder, false);
    }

    fn clocks_of_instances_that_differ_change_nothing(world) {
        let (here, ahead) = (world.app(), world.app_ahead(SECOND * 2));
        let staff = here.superuser(&world, "root@example.com");
        let mut tokens = here.person(&world, MINA);
        let id = tokens.user_id();
        for (round, (changing, issuing)) in [(&here, &ahead), (&ahead, &here), (&here, &ahead)].into_iter().enumerate() {
            let is_staff = round % 2 == 0;
            tokens = refreshed(issuing, &tokens, !is_staff);
            patch(changing, &staff, id, &json!({"is_staff": is_staff}));
            for app in [&here, &ahead] {
                wait_for("each instance to learn of it", || {
                    (app.token_verify(&tokens.access).status == 401).then_some(())
                });
            }
            tokens = refreshed(issuing, &tokens, is_staff);
            tokens = refreshed(changing, &tokens, is_staff);
        }
    }

    fn a_token_that_an_instance_ahead_issued_is_revoked_by_the_list_of_any(world) {
        let (here, ahead) = (world.app(), world.app_ahead(SECOND * 2));
        let staff = here.superuser(&world, "root@example.com");
        let ways: [Way; 4] = [
            |_, ahead, email, _| ahead.log_in(email, PASSWORD).is(200).tokens(),
            |_, ahead, _, tokens| ahead.refresh(&tokens.refresh).is(200).tokens(),
            // The same pair again.
            |here, ahead, _, tokens| {
                here.refresh(&tokens.refresh).is(200);
                ahead.refresh(&tokens.refresh).is(200).tokens()
            },
            // One that is followed by another of the instance behind.
            |here, ahead, _, tokens| {
                let issued = ahead.refresh(&tokens.refresh).is(200).tokens();
                here.refresh(&issued.refresh).is(200);
                issued
            },
        ];
        for (number, way) in ways.into_iter().enumerate() {
            let email = format!("mina{number}@example.com");
            let tokens = here.person(&world, &email);
            revokes_by_its_list(&here, &staff, &way(&here, &ahead, &email, &tokens));
        }
        // A verification that is repeated.
        let token = here.register(MINA);
        let code = world.proof(MINA, 1).code;
        here.verify_code(&token, &code).is(200);
        revokes_by_its_list(&here, &staff, &ahead.verify_code(&token, &code).is(200).tokens());
    }

    fn a_use_far_ahead_does_not_delay_tokens(world) {
        let app = world.app();
        let staff = app.superuser(&world, "root@example.com");
        let tokens = app.person(&world, MINA);
        // Of an instance whose clock was wrong.
        world.execute(&format!("UPDATE sessions SET last_seen_at = last_seen_at + 3600000000 WHERE user_id = {}", tokens.user_id()));
        patch(&app, &staff, tokens.user_id(), &json!({"is_staff": true}));
        assert_eq!(revoked_at(&app, tokens.user_id()), Some(world.now() + 3));
        refreshed(&app, &tokens, true);
        assert_eq!(world.count("sessions WHERE last_seen_at > 1800000005000000"), 0);
    }

    fn what_is_no_right_ends_no_token(world) {
        let app = world.app();
        let staff = app.superuser(&world, "root@example.com");
        let tokens = app.person(&world, MINA);
        let id = tokens.user_id();
        for body in [json!({"locale": "ko"}), json!({"is_staff": false}), json!({"username": "mina"}), json!({"is_active": true})] {
            patch(&app, &staff, id, &body);
        }
        app.as_holder("PATCH", "/v1/me", &tokens.access, &json!({"metadata": {"a": 1}})).is(200);
        app.token_verify(&tokens.access).is(200);
        assert_eq!(listed(&app), [0; 0]);
    }

    fn a_list_since_a_time_has_what_is_new(world) {
        let app = world.app();
        let mina = app.person(&world, MINA);
        let since = |seconds: i64| {
            let list = app.get(&format!("/v1/revocations?since={seconds}")).is(200).json();
            list["sessions"].as_array().unwrap().iter().map(|it| it["session_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        app.revoke(&mina.refresh).is(204);
        let first = world.now();
        world.advance(SECOND * 10);
        let again = app.log_in(MINA, PASSWORD).is(200).tokens();
        app.revoke(&again.refresh).is(204);
        assert_eq!(since(0), [again.session.clone(), mina.session.clone()]);
        assert_eq!(since(first), [again.session.clone(), mina.session]);
        assert_eq!(since(first + 1), since(first + 10));
        assert_eq!(since(first + 10), [again.session]);
        assert!(since(first + 11).is_empty());
        for wrong in ["x", "-1", "1.5", "253402300800", ""] {
            app.get(&format!("/v1/revocations?since={wrong}")).refused(422, "validation_failed");
        }
        let known = app.get(&format!("/v1/revocations?since={first}"));
        let tag = known.header("etag").unwrap();
        app.send("GET", &format!("/v1/revocations?since={first}"), &[("if-none-match", tag)], "").is(304);
        assert_ne!(app.get("/v1/revocations?since=0").header("etag"), app.get(&format!("/v1/revocations?since={}", first + 5)).header("etag"));
    }
}
