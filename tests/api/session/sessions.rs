//! The list of sessions, and their end by request.

use serde_json::{Value, json};

use crate::support::{DAY, PASSWORD, SECOND, TestApp, Tokens, on_both, shortly_before};

const MINA: &str = "mina@example.com";
const FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

fn log_in_on(app: &TestApp, user_agent: &str) -> Tokens {
    let body = json!({"username": MINA, "password": PASSWORD});
    app.post_with("/v1/token-auth", &[("user-agent", user_agent)], &body).is(200).tokens()
}

fn sessions(app: &TestApp, tokens: &Tokens) -> Vec<Value> {
    let list = app.get_as(&tokens.access, "/v1/me/sessions").is(200).json();
    list["sessions"].as_array().unwrap().clone()
}

fn ids(sessions: &[Value]) -> Vec<&str> {
    sessions.iter().map(|it| it["id"].as_str().unwrap()).collect()
}

fn path(id: &str) -> String {
    format!("/v1/me/sessions/{id}")
}

/// Asserts that both tokens of the session are refused.
fn is_over(app: &TestApp, tokens: &Tokens) {
    app.token_verify(&tokens.access).refused(401, "token_revoked");
    app.me(&tokens.access).refused(401, "token_revoked");
    app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
}

on_both! {
    fn the_list_tells_device_times_and_which_session_asks(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        world.advance(SECOND * 60);
        let second = log_in_on(&app, FIREFOX);
        world.advance(SECOND * 60);
        let third = log_in_on(&app, IPHONE);
        let expected = |asks: &Tokens| json!([
            {
                "id": third.session, "device": "Safari on iPhone",
                "first_seen_at": "2027-01-15T08:02:00.000000Z",
                "last_seen_at": "2027-01-15T08:02:00.000000Z",
                "expires_at": "2027-02-14T08:02:00.000000Z",
                "current": asks.session == third.session,
            },
            {
                "id": second.session, "device": "Firefox on Windows",
                "first_seen_at": "2027-01-15T08:01:00.000000Z",
                "last_seen_at": "2027-01-15T08:01:00.000000Z",
                "expires_at": "2027-02-14T08:01:00.000000Z",
                "current": asks.session == second.session,
            },
            {
                "id": first.session, "device": "",
                "first_seen_at": "2027-01-15T08:00:00.000000Z",
                "last_seen_at": "2027-01-15T08:00:00.000000Z",
                "expires_at": "2027-02-14T08:00:00.000000Z",
                "current": asks.session == first.session,
            },
        ]);
        for asks in [&first, &second, &third] {
            assert_eq!(Value::from(sessions(&app, asks)), expected(asks));
        }
        let nobody = app.person(&world, "other@example.com");
        assert_eq!(ids(&sessions(&app, &nobody)), [nobody.session.as_str()]);
    }

    fn a_refresh_moves_the_last_sight_and_nothing_else(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        world.advance(SECOND * 60);
        let second = log_in_on(&app, FIREFOX);
        world.advance(SECOND * 60);
        let refreshed = app.refresh(&first.refresh).is(200).tokens();
        let list = sessions(&app, &refreshed);
        assert_eq!(ids(&list), [first.session.as_str(), second.session.as_str()]);
        assert_eq!(list[0]["first_seen_at"], "2027-01-15T08:00:00.000000Z");
        assert_eq!(list[0]["last_seen_at"], "2027-01-15T08:02:00.000000Z");
        assert_eq!(list[0]["expires_at"], "2027-02-14T08:00:00.000000Z");
        assert_eq!(list[1]["last_seen_at"], "2027-01-15T08:01:00.000000Z");
        // Asking is no use of the session.
        world.advance(SECOND * 60);
        sessions(&app, &second);
        assert_eq!(sessions(&app, &second), {
            let mut list = list;
            (list[0]["current"], list[1]["current"]) = (false.into(), true.into());
            list
        });
    }

    fn a_session_that_is_ended_from_another_is_over_at_once(world) {
        let app = world.app();
        let lost = app.person(&world, MINA);
        let mine = log_in_on(&app, FIREFOX);
        app.delete_as(&mine.access, &path(&lost.session)).is(204);
        is_over(&app, &lost);
        assert_eq!(ids(&sessions(&app, &mine)), [mine.session.as_str()]);
        app.delete_as(&mine.access, &path(&lost.session)).refused(404, "not_found");
        app.refresh(&mine.refresh).is(200);
    }

    fn ending_the_own_session_is_logging_out(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let other = log_in_on(&app, FIREFOX);
        app.delete_as(&tokens.access, &path(&tokens.session)).is(204);
        is_over(&app, &tokens);
        app.delete_as(&tokens.access, &path(&other.session)).refused(401, "token_revoked");
        app.me(&other.access).is(200);
    }

    fn what_is_no_session_of_ones_own_is_not_found(world) {
        let app = world.app();
        let mina = app.person(&world, MINA);
        let victim = app.person(&world, "other@example.com");
        let unknown = uuid::Uuid::new_v4().to_string();
        let long = "x".repeat(4_000);
        for id in [
            victim.session.as_str(), &unknown, "1", "x", "%00", "%ff", "김", "' OR ''='",
            &long, "00000000-0000-0000-0000-000000000000",
        ] {
            let answer = app.delete_as(&mina.access, &path(id)).refused(404, "not_found");
            let mut problem = answer.json();
            problem["request_id"].take();
            assert_eq!(problem["detail"], "There is no such resource.");
        }
        app.me(&victim.access).is(200);
        app.refresh(&victim.refresh).is(200);
        app.send("DELETE", &path(&victim.session), &[], "").refused(401, "authentication_required");
    }

    fn ending_the_others_leaves_the_one_that_asks(world) {
        let app = world.app();
        let others = [app.person(&world, MINA), log_in_on(&app, FIREFOX), log_in_on(&app, IPHONE)];
        let mine = log_in_on(&app, FIREFOX);
        let stranger = app.person(&world, "other@example.com");
        for _ in 0..2 {
            app.delete_as(&mine.access, "/v1/me/sessions").is(204);
            assert_eq!(ids(&sessions(&app, &mine)), [mine.session.as_str()]);
        }
        for tokens in &others {
            is_over(&app, tokens);
        }
        app.refresh(&mine.refresh).is(200);
        app.refresh(&stranger.refresh).is(200);
        assert_eq!(world.count("sessions WHERE end_reason = 'logged_out'"), 3);
    }

    fn a_session_whose_time_is_over_is_not_listed(world) {
        let app = world.app_with(&[("HALLPASS_SESSION_TTL", "1d"), ("HALLPASS_REFRESH_TOKEN_TTL", "1d")]);
        let old = app.person(&world, MINA);
        world.advance(shortly_before(DAY));
        let new = log_in_on(&app, FIREFOX);
        assert_eq!(ids(&sessions(&app, &new)), [new.session.as_str(), old.session.as_str()]);
        world.advance(SECOND);
        assert_eq!(ids(&sessions(&app, &new)), [new.session.as_str()]);
        app.delete_as(&new.access, &path(&old.session)).refused(404, "not_found");
    }

    fn a_session_that_can_no_longer_be_refreshed_is_not_listed(world) {
        let app = world.app();
        let idle = app.person(&world, MINA);
        world.advance(shortly_before(7 * DAY));
        let new = log_in_on(&app, FIREFOX);
        assert_eq!(ids(&sessions(&app, &new)), [new.session.as_str(), idle.session.as_str()]);
        world.advance(SECOND);
        app.refresh(&idle.refresh).refused(401, "refresh_token_expired");
        assert_eq!(ids(&sessions(&app, &new)), [new.session.as_str()]);
    }

    fn beyond_the_limit_the_one_not_used_for_longest_ends_at_once(world) {
        let app = world.app_with(&[("HALLPASS_SESSIONS_PER_USER", "3")]);
        let first = app.person(&world, MINA);
        world.advance(SECOND);
        let second = log_in_on(&app, FIREFOX);
        world.advance(SECOND);
        let third = log_in_on(&app, FIREFOX);
        world.advance(SECOND);
        let first = app.refresh(&first.refresh).is(200).tokens();
        world.advance(SECOND);
        let fourth = log_in_on(&app, FIREFOX);
        is_over(&app, &second);
        let list = sessions(&app, &fourth);
        assert_eq!(ids(&list), [&fourth.session, &first.session, &third.session]);
        for tokens in [&first, &third, &fourth] {
            app.me(&tokens.access).is(200);
        }
        assert_eq!(world.count("sessions WHERE end_reason = 'too_many'"), 1);
    }
}
