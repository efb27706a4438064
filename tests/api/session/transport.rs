//! Refresh tokens are valid in the transport that they were issued in: the JSON body or the cookie.

use serde_json::{Value, json};

use crate::support::cookies::{Cookies, SETTINGS};
use crate::support::{Answer, HOUR, PASSWORD, SECOND, TestApp, World, on_both};

const MINA: &str = "mina@example.com";

/// A cookie that holds a refresh token of the body.
fn smuggled(refresh: &str) -> Cookies {
    Cookies { refresh: refresh.to_owned(), access: "none".to_owned() }
}

fn unknown(answer: Answer) {
    let refused = answer.refused(401, "refresh_token_unknown");
    assert!(refused.set_cookies().is_empty(), "{:?}", refused.set_cookies());
}

fn revoke_page(app: &TestApp, cookies: &Cookies) -> Answer {
    app.post_from_page("/v1/token-revoke", Some(cookies), &json!({"use_cookie": true}))
}

/// The two sessions of a person: one of each transport.
fn both(world: &World, app: &TestApp) -> (Cookies, String) {
    app.person(world, MINA);
    let cookies = app.log_in_page(MINA).is(200).cookies();
    (cookies, app.log_in(MINA, PASSWORD).is(200).tokens().refresh)
}

on_both! {
    fn a_token_of_one_transport_is_unknown_in_the_other_and_goes_on_in_its_own(world) {
        let app = world.app_with(&SETTINGS);
        let (mut cookies, mut token) = both(&world, &app);
        for _ in 0..3 {
            unknown(app.refresh(&cookies.refresh));
            unknown(app.refresh_page(&smuggled(&token)));
            // Within the grace a repeat is answered the same way, and only there.
            let (next_cookies, next) = (app.refresh_page(&cookies).is(200).cookies(), app.refresh(&token).is(200).tokens().refresh);
            unknown(app.refresh(&cookies.refresh));
            unknown(app.refresh_page(&smuggled(&token)));
            assert_eq!(app.refresh_page(&cookies).is(200).cookies().refresh, next_cookies.refresh);
            assert_eq!(app.refresh(&token).is(200).tokens().refresh, next);
            world.advance(SECOND * 40);
            // A replaced token of the other transport is no sign of theft.
            unknown(app.refresh(&cookies.refresh));
            unknown(app.refresh_page(&smuggled(&token)));
            (cookies, token) = (next_cookies, next);
        }
        app.refresh_page(&cookies).is(200);
        app.refresh(&token).is(200);
    }

    fn a_log_out_by_the_other_transport_ends_nothing(world) {
        let app = world.app_with(&SETTINGS);
        let (cookies, token) = both(&world, &app);
        app.revoke(&cookies.refresh).is(204);
        revoke_page(&app, &smuggled(&token)).is(204);
        let cookies = app.refresh_page(&cookies).is(200).cookies();
        let token = app.refresh(&token).is(200).tokens().refresh;
        revoke_page(&app, &cookies).is(204);
        app.revoke(&token).is(204);
        app.refresh_page(&cookies).refused(401, "refresh_token_revoked");
        app.refresh(&token).refused(401, "refresh_token_revoked");
    }

    fn a_proof_that_is_repeated_by_the_other_transport_opens_another_session(world) {
        let app = world.app_with(&SETTINGS);
        let registration_token = app.register(MINA);
        let proof = json!({"registration_token": registration_token, "code": world.proof(MINA, 1).code});
        let mut by_cookie = proof.clone();
        by_cookie["use_cookie"] = Value::Bool(true);
        let first = app.post("/v1/verify-email", &proof).is(200).tokens();
        let again = app.post("/v1/verify-email", &proof).is(200).tokens();
        assert_eq!((&first.session, &first.refresh), (&again.session, &again.refresh));
        let page = app.post_from_page("/v1/verify-email", None, &by_cookie).is(200);
        assert_ne!(page.text("session_id"), first.session);
        let cookies = page.cookies();
        unknown(app.refresh(&cookies.refresh));
        unknown(app.refresh_page(&smuggled(&first.refresh)));
        app.refresh_page(&cookies).is(200);
        app.refresh(&first.refresh).is(200);
    }

    fn a_registration_that_logs_in_at_once_binds_its_token_too(world) {
        let settings = [SETTINGS[0], ("HALLPASS_EMAIL_VERIFICATION", "none")];
        let app = world.app_with(&settings);
        let mut body = json!({"email": MINA, "password": PASSWORD, "use_cookie": true});
        let cookies = app.post_from_page("/v1/register", None, &body).is(201).cookies();
        body = json!({"email": "eve@example.com", "password": PASSWORD});
        let token = app.post("/v1/register", &body).is(201).tokens().refresh;
        unknown(app.refresh(&cookies.refresh));
        unknown(app.refresh_page(&smuggled(&token)));
        app.refresh_page(&cookies).is(200);
        app.refresh(&token).is(200);
    }

    // Sessions of the version before have no transport.
    fn a_session_without_a_transport_is_bound_by_its_next_refresh(world) {
        let app = world.app_with(&SETTINGS);
        let (cookies, token) = both(&world, &app);
        world.execute("UPDATE sessions SET transport = NULL");
        let cookies = app.refresh_page(&cookies).is(200).cookies();
        let token = app.refresh(&token).is(200).tokens().refresh;
        unknown(app.refresh(&cookies.refresh));
        unknown(app.refresh_page(&smuggled(&token)));
        world.advance(HOUR);
        app.refresh_page(&cookies).is(200);
        app.refresh(&token).is(200);
    }
}
