//! The audit trail: what happens to an account is noted with it, read by its owner and by staff,
//! and forgotten in time.

use std::sync::Arc;

use hallpass::app::build_flows;
use serde_json::{Value, json};

use crate::support::{
    Answer, DAY, PASSWORD, SECOND, TestApp, Tokens, World, at_once, link_token, on_both,
    shortly_before, wait_for,
};

pub const MINA: &str = "mina@example.com";
pub const OLA: &str = "ola@example.com";
const NEW_PASSWORD: &str = "pear tree at dawn";
pub const FIREFOX: (&str, &str) = (
    "user-agent",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
);
const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

pub fn as_holder(app: &TestApp, tokens: &Tokens, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", tokens.access);
    let headers = [("authorization", bearer.as_str()), FIREFOX];
    if body.is_null() {
        return app.send(method, path, &headers, "");
    }
    let headers = [&headers[..], &[("content-type", "application/json")]].concat();
    app.send(method, path, &headers, body.to_string())
}

fn page(app: &TestApp, tokens: &Tokens, path: &str) -> Value {
    as_holder(app, tokens, "GET", path, &Value::Null).is(200).json()
}

fn list(page: &Value) -> Vec<Value> {
    page["events"].as_array().unwrap().clone()
}

/// Returns the events of the caller, the newest first.
pub fn own(app: &TestApp, tokens: &Tokens) -> Vec<Value> {
    list(&page(app, tokens, "/v1/me/events?limit=200"))
}

/// The same, as staff see it.
pub fn of(app: &TestApp, staff: &Tokens, id: i64) -> Vec<Value> {
    list(&page(app, staff, &format!("/v1/users/{id}/events?limit=200")))
}

/// The newest event, which must be of that kind.
#[track_caller]
pub fn newest(events: &[Value], kind: &str) -> Value {
    assert_eq!(events[0]["kind"], kind, "{events:#?}");
    events[0].clone()
}

/// The kinds of the newest events with their details.
pub fn kinds(events: &[Value], count: usize) -> Vec<String> {
    let shown = |event: &Value| {
        let (kind, detail) = (event["kind"].as_str().unwrap(), event["detail"].as_str().unwrap());
        if detail.is_empty() { kind.to_owned() } else { format!("{kind}: {detail}") }
    };
    events.iter().take(count).map(shown).collect()
}

pub fn user_id(app: &TestApp, tokens: &Tokens) -> i64 {
    app.me(&tokens.access).is(200).json()["user_id"].as_i64().unwrap()
}

/// A person who manages others.
fn staff(app: &TestApp, world: &World) -> Tokens {
    app.person(world, OLA);
    world.execute("UPDATE users SET is_staff = TRUE WHERE email_norm = 'ola@example.com'");
    app.log_in(OLA, PASSWORD).is(200).tokens()
}

/// The link of the `number`th reset mail to that person.
fn reset_link(app: &TestApp, world: &World, email: &str, number: usize) -> String {
    app.post("/v1/password-reset", &json!({"email": email})).is(202);
    let mail = wait_for("a reset mail", || {
        let mails = world.mails_so_far(email).into_iter();
        mails.filter(|mail| mail.text.contains("/password-reset?token=")).nth(number - 1)
    });
    link_token(&mail)
}

fn reset(app: &TestApp, token: &str) -> Answer {
    app.post("/v1/password-reset/confirm", &json!({"token": token, "new_password": NEW_PASSWORD}))
}

on_both! {
    fn a_registration_and_each_log_in_are_noted_with_device_and_session(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let events = own(&app, &first);
        assert_eq!(kinds(&events, 9), ["logged_in: email", "email_verified", "registered"]);
        assert_eq!(events[0]["session_id"], first.session);
        world.advance(SECOND);
        let body = json!({"username": MINA, "password": PASSWORD});
        let second = app.post_with("/v1/token-auth", &[FIREFOX], &body).is(200).tokens();
        let mut event = newest(&own(&app, &second), "logged_in");
        assert!(uuid::Uuid::parse_str(event["id"].take().as_str().unwrap()).is_ok());
        assert_eq!(event, json!({
            "id": null, "kind": "logged_in", "at": "2027-01-15T08:00:01.000000Z",
            "session_id": second.session, "device": "Firefox on Windows",
            "network": "127.0.0.0/24", "by_staff": false, "detail": "pwd",
        }));
    }

    fn an_account_without_proof_is_noted_too(world) {
        let app = world.app_with(&[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let body = json!({"email": MINA, "password": PASSWORD});
        let registered = app.post("/v1/register", &body).is(201);
        let tokens = registered.tokens();
        assert_eq!(kinds(&own(&app, &tokens), 9), ["logged_in: pwd", "registered"]);
        let code = world.proof(MINA, 1).code;
        app.verify_code(&registered.text("registration_token"), &code).is(200);
        let expected = ["logged_in: email", "email_verified", "logged_in: pwd"];
        assert_eq!(kinds(&own(&app, &tokens), 3), expected);
    }

    fn a_wrong_password_is_recorded_and_one_for_an_unknown_user_is_soon_purged(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        for name in [MINA, "nobody@example.com"] {
            let body = json!({"username": name, "password": "wrong"});
            app.post_with("/v1/token-auth", &[FIREFOX], &body).refused(401, "invalid_credentials");
        }
        let event = newest(&own(&app, &tokens), "log_in_failed");
        assert_eq!((&event["device"], &event["network"], &event["session_id"]),
            (&json!("Firefox on Windows"), &json!("127.0.0.0/24"), &Value::Null));
        // The same was written for the unknown name, and it is gone at the next purge.
        assert_eq!(world.count("events WHERE kind = 'log_in_failed'"), 2);
        world.purge();
        assert_eq!(world.count("events WHERE kind = 'log_in_failed'"), 1);
        assert_eq!(world.count("events WHERE user_id IS NULL"), 0);
        newest(&own(&app, &tokens), "log_in_failed");
    }

    fn a_limit_that_is_reached_is_noted_once(world) {
        let app = world.app_with(&[("HALLPASS_LIMITS", "on")]);
        let tokens = app.person(&world, MINA);
        for _ in 0..5 {
            app.log_in(MINA, "wrong").refused(401, "invalid_credentials");
        }
        for _ in 0..3 {
            app.log_in(MINA, "wrong").refused(429, "rate_limited");
        }
        let events = own(&app, &tokens);
        assert_eq!(kinds(&events, 3), ["rate_limited: login_here", "log_in_failed", "log_in_failed"]);
        assert_eq!(events.iter().filter(|it| it["kind"] == "rate_limited").count(), 1);
        assert_eq!(events.iter().filter(|it| it["kind"] == "log_in_failed").count(), 5);
    }

    fn a_wrong_password_within_a_session_is_noted_with_the_session(world) {
        let app = world.app_with(&[("HALLPASS_LIMITS", "on")]);
        let tokens = app.person(&world, MINA);
        let body = json!({"current_password": "wrong", "new_password": NEW_PASSWORD});
        for _ in 0..5 {
            as_holder(&app, &tokens, "POST", "/v1/password-change", &body)
                .refused(401, "invalid_credentials");
        }
        let events = own(&app, &tokens);
        assert_eq!(kinds(&events, 2), ["rate_limited: login_here", "reauthentication_failed"]);
        assert_eq!(events[1]["session_id"], tokens.session);
        assert_eq!(events[1]["device"], "Firefox on Windows");
    }

    fn ends_of_sessions_are_noted_with_the_session_that_ended(world) {
        let app = world.app_with(&[("HALLPASS_SESSIONS_PER_USER", "3")]);
        let first = app.person(&world, MINA);
        let log_in = || {
            world.advance(SECOND);
            app.log_in(MINA, PASSWORD).is(200).tokens()
        };
        let (second, third) = (log_in(), log_in());
        let fourth = log_in();
        let events = own(&app, &fourth);
        assert_eq!(kinds(&events, 2), ["session_ended: too_many", "logged_in: pwd"]);
        assert_eq!((&events[0]["session_id"], &events[1]["session_id"]),
            (&json!(first.session), &json!(fourth.session)));
        for _ in 0..2 {
            app.revoke(&second.refresh).is(204);
        }
        let events = own(&app, &fourth);
        let event = newest(&events, "logged_out");
        assert_eq!(event["session_id"], second.session);
        // Out already: that is no event.
        assert_eq!(events[1]["kind"], "session_ended");
        let path = format!("/v1/me/sessions/{}", third.session);
        as_holder(&app, &fourth, "DELETE", &path, &Value::Null).is(204);
        as_holder(&app, &fourth, "DELETE", &path, &Value::Null).refused(404, "not_found");
        let event = newest(&own(&app, &fourth), "session_ended");
        assert_eq!((&event["session_id"], &event["detail"]), (&json!(third.session), &json!("")));
        let others = [log_in().session, log_in().session];
        as_holder(&app, &fourth, "DELETE", "/v1/me/sessions", &Value::Null).is(204);
        let events = own(&app, &fourth);
        assert_eq!(kinds(&events, 3), ["session_ended", "session_ended", "logged_in: pwd"]);
        for ended in &others {
            assert!(events[..2].iter().any(|it| it["session_id"] == *ended), "{events:#?}");
        }
    }

    fn a_refresh_token_that_comes_again_is_noted_with_where_it_came_from(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.refresh(&tokens.refresh).is(200);
        world.advance(MINUTE);
        let body = json!({"refresh_token": tokens.refresh});
        for code in ["refresh_token_reused", "refresh_token_revoked"] {
            app.post_with("/v1/token-refresh", &[FIREFOX], &body).refused(401, code);
        }
        let after = app.log_in(MINA, PASSWORD).is(200).tokens();
        app.token_verify(&after.access).is(200);
        let events = own(&app, &after);
        assert_eq!(kinds(&events, 3), ["logged_in: pwd", "refresh_token_reused", "logged_in: email"]);
        assert_eq!((&events[1]["session_id"], &events[1]["device"]),
            (&json!(tokens.session), &json!("Firefox on Windows")));
    }

    fn changes_of_the_password_are_noted(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let body = json!({"current_password": PASSWORD, "new_password": "quince tree at noon"});
        as_holder(&app, &tokens, "POST", "/v1/password-change", &body).is(204);
        let event = newest(&own(&app, &tokens), "password_changed");
        assert_eq!(event["session_id"], tokens.session);
        assert_eq!(event["network"], "127.0.0.0/24");
        let link = reset_link(&app, &world, MINA, 1);
        newest(&own(&app, &tokens), "password_reset_requested");
        reset(&app, &link).is(204);
        let tokens = app.log_in(MINA, NEW_PASSWORD).is(200).tokens();
        let expected = ["logged_in: pwd", "password_reset", "password_reset_requested"];
        assert_eq!(kinds(&own(&app, &tokens), 3), expected);
    }

    fn concurrent_resets_with_one_link_record_one_event(world) {
        let app = world.app();
        app.person(&world, MINA);
        for round in 1..=3 {
            world.advance(SECOND);
            let link = reset_link(&app, &world, MINA, round);
            let answers = at_once(4, |_| reset(&app, &link).status);
            assert_eq!(answers.iter().filter(|status| **status == 204).count(), 1, "{answers:?}");
            let noted = world.count("events WHERE kind = 'password_reset'");
            assert_eq!(noted, i64::try_from(round).unwrap());
        }
    }

    fn a_change_of_the_address_and_its_reversal_are_recorded(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let body = json!({"new_email": "mina@new.example", "password": PASSWORD});
        let asked = as_holder(&app, &tokens, "POST", "/v1/me/email", &body).is(202);
        newest(&own(&app, &tokens), "email_change_requested");
        let code = world.proof("mina@new.example", 1).code;
        let tokens = app.verify_code(&asked.text("registration_token"), &code).is(200).tokens();
        // The name that follows the address is no change of its own.
        assert_eq!(kinds(&own(&app, &tokens), 3), [
            "logged_in: email", "email_changed", "email_change_requested",
        ]);
        let notice = world.mails_to(MINA, 3).into_iter().find(|it| it.text.contains("/not-me?"));
        let link = link_token(&notice.unwrap());
        for _ in 0..2 {
            app.post_with("/v1/not-me", &[FIREFOX], &json!({"token": link})).is(204);
        }
        let staff = staff(&app, &world);
        let events = of(&app, &staff, 1);
        let noted: Vec<String> = kinds(&events, 9).into_iter()
            .filter(|kind| kind != "password_reset_requested").collect();
        assert_eq!(noted[..3], ["email_changed", "unauthorized_reported", "logged_in: email"]);
        let disavowed = events.iter().find(|it| it["kind"] == "unauthorized_reported").unwrap();
        assert_eq!(disavowed["device"], "Firefox on Windows");
        // No address is in the trail, neither the old nor the new.
        assert_eq!(world.count("events WHERE detail LIKE '%@%'"), 0);
    }

    fn the_profile_is_noted_by_field_and_once_in_a_quarter_of_an_hour(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let body = json!({"username": "minakim", "metadata": {"theme": "dark"}});
        as_holder(&app, &tokens, "PATCH", "/v1/me", &body).is(200);
        // The old access token tells the old name.
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        let patch = |body: Value| as_holder(&app, &tokens, "PATCH", "/v1/me", &body).is(200);
        let event = newest(&own(&app, &tokens), "profile_changed");
        assert_eq!(event["detail"], "username, metadata");
        assert_eq!(event["session_id"], tokens.session);
        // Nothing is other than before.
        patch(json!({"username": "minakim"}));
        for theme in 0..20 {
            patch(json!({"metadata": {"theme": theme}}));
        }
        patch(json!({"locale": "ko"}));
        assert_eq!(kinds(&own(&app, &tokens), 4), [
            "profile_changed: locale", "profile_changed: metadata",
            "profile_changed: username, metadata", "logged_in: email",
        ]);
        let mut refresh = tokens.refresh.clone();
        for (span, noted) in [(shortly_before(15 * MINUTE), 1), (SECOND, 2)] {
            world.advance(span);
            let tokens = app.refresh(&refresh).is(200).tokens();
            app.token_verify(&tokens.access).is(200);
            let body = json!({"metadata": {"at": noted}});
            as_holder(&app, &tokens, "PATCH", "/v1/me", &body).is(200);
            assert_eq!(world.count("events WHERE detail = 'metadata'"), noted);
            refresh = tokens.refresh;
        }
    }

    fn what_staff_do_is_noted_as_done_by_staff(world) {
        let app = world.app();
        let staff = staff(&app, &world);
        let by = user_id(&app, &staff);
        let body = json!({"email": MINA, "password": PASSWORD});
        let made = as_holder(&app, &staff, "POST", "/v1/users", &body).is(201);
        let id = made.json()["user_id"].as_i64().unwrap();
        let path = format!("/v1/users/{id}");
        let tokens = app.log_in(MINA, PASSWORD).is(200).tokens();
        for body in [
            json!({"username": "minakim", "locale": "ko"}),
            json!({"is_staff": true}),
            json!({"is_staff": true}),
            json!({"is_staff": false}),
            json!({"is_active": false, "disabled_reason": "owes a book"}),
            json!({"is_active": true}),
        ] {
            as_holder(&app, &staff, "PATCH", &path, &body).is(200);
        }
        as_holder(&app, &staff, "DELETE", &format!("{path}/sessions"), &Value::Null).is(204);
        let events = of(&app, &staff, id);
        assert_eq!(kinds(&events, 99), [
            "sessions_ended_by_staff", "account_enabled", "account_disabled", "staff_revoked",
            "staff_granted", "profile_changed: username, locale", "logged_in: pwd",
            "account_created_by_staff",
        ]);
        for event in events.iter().filter(|it| it["kind"] != "logged_in") {
            assert_eq!((&event["by_staff"], &event["actor_id"]), (&json!(true), &json!(by)));
            // Where staff sit is not for the person to know.
            assert_eq!((&event["device"], &event["network"]), (&json!(""), &json!("")));
        }
        app.me(&tokens.access).refused(401, "token_revoked");
        let tokens = app.log_in("minakim", PASSWORD).is(200).tokens();
        let events = own(&app, &tokens);
        newest(&events, "logged_in");
        assert_eq!(events[1]["by_staff"], true);
        assert!(events.iter().all(|it| it.get("actor_id").is_none()), "{events:#?}");
    }

    fn each_of_two_staff_is_noted_with_the_same_change(world) {
        let app = world.app();
        let (staff, other) = (staff(&app, &world), app.superuser(&world, "noa@example.com"));
        let id = user_id(&app, &app.person(&world, MINA));
        let path = format!("/v1/users/{id}");
        for (by, name) in [(&staff, "mina1"), (&other, "mina2"), (&other, "mina3")] {
            as_holder(&app, by, "PATCH", &path, &json!({"username": name})).is(200);
        }
        let (staff_id, other_id) = (user_id(&app, &staff), user_id(&app, &other));
        let events = of(&app, &staff, id);
        assert_eq!(kinds(&events, 3), ["profile_changed: username"; 3]);
        let actors = events[..3].iter().map(|it| it["actor_id"].as_i64().unwrap());
        assert_eq!(actors.collect::<Vec<_>>(), [other_id, other_id, staff_id]);
    }

    fn an_invitation_is_noted_until_it_is_taken(world) {
        let app = world.app();
        let staff = staff(&app, &world);
        let made = as_holder(&app, &staff, "POST", "/v1/users", &json!({"email": MINA})).is(201);
        reset(&app, &link_token(&world.mails_to(MINA, 1)[0])).is(204);
        let events = of(&app, &staff, made.json()["user_id"].as_i64().unwrap());
        assert_eq!(kinds(&events, 9), [
            "email_verified", "password_reset: invitation", "account_created_by_staff: invited",
        ]);
    }

    fn the_right_password_of_a_disabled_account_is_noted_once(world) {
        let app = world.app();
        let staff = staff(&app, &world);
        let mina = app.person(&world, MINA);
        let id = user_id(&app, &mina);
        let path = format!("/v1/users/{id}");
        as_holder(&app, &staff, "PATCH", &path, &json!({"is_active": false})).is(200);
        for _ in 0..3 {
            app.log_in(MINA, PASSWORD).refused(403, "account_disabled");
        }
        let expected = ["log_in_failed: account_disabled", "account_disabled"];
        assert_eq!(kinds(&of(&app, &staff, id), 2), expected);
    }

    fn users_see_their_own_events_and_staff_see_all(world) {
        let app = world.app();
        let staff = staff(&app, &world);
        let mina = app.person(&world, MINA);
        let (id, staff_id) = (user_id(&app, &mina), user_id(&app, &staff));
        assert_eq!(own(&app, &mina).len(), 3);
        assert_eq!(own(&app, &staff).len(), 4);
        assert_eq!(of(&app, &staff, id), own(&app, &mina));
        for path in [
            format!("/v1/users/{id}/events"), format!("/v1/users/{staff_id}/events"),
            "/v1/users/99/events".into(), "/v1/users/x/events".into(),
        ] {
            as_holder(&app, &mina, "GET", &path, &Value::Null).refused(403, "permission_denied");
            app.get(&path).refused(401, "authentication_required");
        }
        // A request for an unknown address creates no account.
        let with_cursor = format!("/v1/users/99/events?cursor={}", uuid::Uuid::nil());
        for path in ["/v1/users/99/events", "/v1/users/x/events", &with_cursor] {
            as_holder(&app, &staff, "GET", path, &Value::Null).refused(404, "not_found");
        }
        app.get("/v1/me/events").refused(401, "authentication_required");
    }

    fn pages_follow_one_another_without_gap_or_repetition(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        for number in 0..7 {
            if number % 2 == 0 {
                world.advance(SECOND);
            }
            app.log_in(MINA, "wrong").refused(401, "invalid_credentials");
        }
        let all = own(&app, &tokens);
        assert_eq!(all.len(), 10);
        let moments: Vec<&str> = all.iter().map(|it| it["at"].as_str().unwrap()).collect();
        assert!(moments.is_sorted_by(|newer, older| newer >= older), "{moments:?}");
        for limit in [1, 3, 5, 10] {
            let mut seen = Vec::new();
            let mut path = format!("/v1/me/events?limit={limit}");
            loop {
                let page = page(&app, &tokens, &path);
                assert!(list(&page).len() <= limit);
                seen.extend(list(&page));
                let Some(cursor) = page["next_cursor"].as_str() else { break };
                assert_eq!(list(&page).len(), limit);
                path = format!("/v1/me/events?limit={limit}&cursor={cursor}");
                if seen.len() == 3 {
                    // What happens meanwhile is on a newer page.
                    app.log_in(MINA, "wrong").refused(401, "invalid_credentials");
                    world.execute("DELETE FROM events WHERE id = (SELECT max(id) FROM events)");
                }
            }
            assert_eq!(seen, all, "{limit}");
        }
        for (query, field, code) in [
            ("limit=0", "limit", "invalid_format"), ("limit=201", "limit", "invalid_format"),
            ("cursor=7", "cursor", "invalid_format"), ("since=1", "since", "unknown_field"),
        ] {
            let path = format!("/v1/me/events?{query}");
            let faults = as_holder(&app, &tokens, "GET", &path, &Value::Null).faults();
            assert_eq!(faults, [(field.to_owned(), code.to_owned())]);
        }
    }

    fn events_are_remembered_to_the_second_as_long_as_the_operator_says(world) {
        let settings = [("HALLPASS_EVENT_RETENTION", "2d")];
        let app = world.app_with(&settings);
        app.person(&world, MINA);
        let purge = || {
            let clock = Arc::new(world.clock.clone());
            build_flows(&world.config(&settings), clock).unwrap().purge().unwrap();
            world.count("events WHERE kind = 'registered'")
        };
        let seen = || {
            let tokens = app.log_in(MINA, PASSWORD).is(200).tokens();
            app.token_verify(&tokens.access).is(200);
            own(&app, &tokens).iter().any(|it| it["kind"] == "registered")
        };
        world.advance(shortly_before(2 * DAY));
        assert_eq!((seen(), purge()), (true, 1));
        world.advance(SECOND);
        // It is not shown from then on, whether or not it was purged.
        assert_eq!((seen(), world.count("events WHERE kind = 'registered'")), (false, 1));
        assert_eq!(purge(), 0);
        assert!(world.count("events") > 0);
    }

    fn many_events_are_forgotten_in_batches(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500) \
             INSERT INTO events (id, user_id, kind, device, network, detail, at) \
             SELECT 'old-' || n, 1, 'logged_in', '', '', '', n FROM n",
        );
        world.purge();
        assert_eq!(world.count("events"), 3);
        assert_eq!(own(&app, &tokens).len(), 3);
    }

    fn kinds_of_a_newer_version_are_left_out_and_pages_are_whole_all_the_same(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.execute(
            "INSERT INTO events (id, user_id, kind, device, network, detail, at) \
             SELECT 'f' || id, user_id, 'teleported', '', '', '', at FROM events",
        );
        let page = page(&app, &tokens, "/v1/me/events?limit=3");
        assert_eq!(kinds(&list(&page), 9), ["logged_in: email", "email_verified", "registered"]);
        assert!(page["next_cursor"].is_null());
    }

    fn of_a_deleted_account_only_the_bare_events_stay(world) {
        let app = world.app();
        let staff = staff(&app, &world);
        let mina = app.person(&world, MINA);
        let id = user_id(&app, &mina);
        as_holder(&app, &mina, "PATCH", "/v1/me", &json!({"locale": "ko"})).is(200);
        as_holder(&app, &mina, "DELETE", "/v1/me", &json!({"password": PASSWORD})).is(204);
        let events = of(&app, &staff, id);
        assert_eq!(kinds(&events, 9), [
            "account_deleted", "profile_changed", "logged_in", "email_verified", "registered",
        ]);
        for event in &events {
            assert_eq!((&event["device"], &event["network"]), (&json!(""), &json!("")), "{event}");
            assert_eq!(event["by_staff"], false);
        }
        let other = app.person(&world, "noa@example.com");
        let path = format!("/v1/users/{}", user_id(&app, &other));
        as_holder(&app, &staff, "DELETE", &path, &Value::Null).is(204);
        let deleted = newest(&of(&app, &staff, id + 1), "account_deleted");
        assert_eq!(deleted["by_staff"], true);
        // A user who registers the address again starts without events.
        world.advance(SECOND);
        let token = app.register(MINA);
        let code = world.proof(MINA, 2).code;
        let again = app.verify_code(&token, &code).is(200).tokens();
        assert_eq!(own(&app, &again).len(), 3);
    }

    fn an_export_has_the_events_and_is_one(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        for _ in 0..2 {
            let export = as_holder(&app, &tokens, "GET", "/v1/me/export", &Value::Null).is(200);
            let events = list(&export.json());
            assert_eq!(kinds(&events, 9), [
                "exported", "logged_in: email", "email_verified", "registered",
            ]);
            assert_eq!(events, own(&app, &tokens));
        }
    }
}
