//! Replacement of `HALLPASS_SECRET`, one instance after the other: sessions continue, and values of
//! the previous secret stay valid.

use hallpass::app::build_flows;
use serde_json::json;

use crate::HAS_DRF;
use crate::support::{Answer, HOUR, PASSWORD, SECOND, TestApp, Tokens, World, on_both};

const MINA: &str = "mina@example.com";
const OLD: &str = "the secret that was used until today, all of it";
const NEW: &str = "the secret that is used from tomorrow, all of it";

/// The settings of an instance in each step of the procedure of docs/operations.md.
const BEFORE: &[(&str, &str)] = &[("HALLPASS_SECRET", OLD)];
const PREPARED: &[(&str, &str)] = &[("HALLPASS_SECRET", OLD), ("HALLPASS_SECRET_PREVIOUS", NEW)];
const CHANGED: &[(&str, &str)] = &[("HALLPASS_SECRET", NEW), ("HALLPASS_SECRET_PREVIOUS", OLD)];
const AFTER: &[(&str, &str)] = &[("HALLPASS_SECRET", NEW)];

fn django_log_in(app: &TestApp) -> String {
    let body = json!({"username": MINA, "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json")];
    app.send_undocumented("POST", "/api-token-auth/", &headers, body).is(200).text("token")
}

fn django_verify(app: &TestApp, token: &str) -> Answer {
    let headers = [("content-type", "application/json")];
    let body = json!({"token": token}).to_string();
    app.send_undocumented("POST", "/api-token-verify/", &headers, body)
}

/// Asserts that each instance accepts what the other creates.
fn agree(world: &World, apps: [&TestApp; 2]) {
    for [one, other] in [apps, [apps[1], apps[0]]] {
        let tokens = one.log_in(MINA, PASSWORD).is(200).tokens();
        other.token_verify(&tokens.access).is(200);
        let refreshed = one.refresh(&tokens.refresh).is(200).tokens();
        let again = other.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(refreshed.refresh, again.refresh, "a second tab gets the same successor");
        let next = other.refresh(&refreshed.refresh).is(200).tokens();
        one.token_verify(&next.access).is(200);
        let refused = one.refresh(&tokens.refresh);
        refused.refused(401, "refresh_token_superseded");
        django_verify(other, &django_log_in(one)).is(200);
        world.advance(SECOND);
    }
}

/// A session that goes on through all steps.
struct Holder {
    tokens: Tokens,
}

impl Holder {
    fn goes_on(&mut self, app: &TestApp) {
        app.token_verify(&self.tokens.access).is(200);
        self.tokens = app.refresh(&self.tokens.refresh).is(200).tokens();
    }
}

on_both! {
    fn two_instances_change_the_secret_one_after_the_other_and_log_no_user_out(world) {
        let (one, other) = (world.app_with(BEFORE), world.app_with(BEFORE));
        let mut mina = Holder { tokens: one.person(&world, MINA) };
        let django = HAS_DRF.then(|| django_log_in(&one));
        let keys = one.get("/.well-known/jwks.json").is(200).json();
        agree(&world, [&one, &other]);
        // In each step an instance with the settings of the next one beside one of the last.
        let mut last = other;
        drop(one);
        for settings in [PREPARED, CHANGED] {
            let next = world.app_with(settings);
            assert_eq!(next.get("/.well-known/jwks.json").is(200).json(), keys);
            if let Some(django) = &django {
                django_verify(&next, django).is(200);
            }
            mina.goes_on(&last);
            mina.goes_on(&next);
            agree(&world, [&last, &next]);
            last = next;
        }
        let next = world.app_with(AFTER);
        assert_eq!(next.get("/.well-known/jwks.json").is(200).json(), keys);
        mina.goes_on(&last);
        mina.goes_on(&next);
        // The one that knows the old secret still accepts what only that one made.
        if let Some(django) = &django {
            django_verify(&last, django).is(200);
            django_verify(&next, django).is(400);
            django_verify(&next, &django_log_in(&last)).is(200);
        }
    }

    fn keys_are_sealed_anew_by_the_start_and_by_the_purge(world) {
        let flows = |settings| {
            build_flows(&world.config(settings), std::sync::Arc::new(world.clock.clone()))
        };
        let opens = |settings| flows(settings).is_ok();
        drop(world.app_with(BEFORE));
        assert!(opens(BEFORE) && opens(PREPARED) && opens(CHANGED) && !opens(AFTER));
        // A command seals nothing.
        assert!(opens(BEFORE));
        drop(world.app_with(PREPARED));
        assert!(opens(BEFORE) && !opens(AFTER));
        drop(world.app_with(CHANGED));
        assert!(!opens(BEFORE) && opens(AFTER) && opens(PREPARED) && opens(CHANGED));
        // An instance that is late may seal with the old one once more.
        flows(PREPARED).unwrap().purge().unwrap();
        assert!(opens(BEFORE) && !opens(AFTER));
        flows(CHANGED).unwrap().purge().unwrap();
        assert!(!opens(BEFORE) && opens(AFTER));
    }

    fn mails_on_their_way_count(world) {
        for (composer, checker) in [(PREPARED, CHANGED), (CHANGED, PREPARED)] {
            let email = format!("{}@example.com", world.now());
            let app = world.app_with(composer);
            let registration_token = app.register(&email);
            let proof = world.proof(&email, 1);
            drop(app);
            let app = world.app_with(checker);
            app.verify_code(&registration_token, "000000").refused(401, "code_invalid");
            let tokens = app.verify_code(&registration_token, &proof.code).is(200).tokens();
            // The same verification returns the same session, with either secret.
            drop(app);
            let app = world.app_with(composer);
            let again = app.verify_code(&registration_token, &proof.code).is(200).tokens();
            assert_eq!((again.session, &again.refresh), (tokens.session, &tokens.refresh));
            app.revoke(&tokens.refresh).is(204);
            app.verify_code(&registration_token, &proof.code)
                .refused(401, "one_time_token_invalid");
            app.ask_reset(&email).is(202);
            let reset = world.proof_about(&email, crate::support::account::RESET, 1);
            drop(app);
            let app = world.app_with(checker);
            app.reset_by_code(&email, &reset.code, "pear tree at dawn").is(204);
            world.advance(SECOND);
        }
    }

    fn a_stolen_token_is_noticed_over_the_change(world) {
        for presented in [0, 3, 15, 16, 17, 25] {
            let app = world.app_with(PREPARED);
            let email = format!("mina{presented}@example.com");
            let mut all = vec![app.person(&world, &email)];
            let refresh = |app: &TestApp, all: &mut Vec<Tokens>| {
                for _ in 0..10 {
                    let next = app.refresh(&all.last().unwrap().refresh).is(200).tokens();
                    all.push(next);
                }
            };
            refresh(&app, &mut all);
            refresh(&app, &mut all);
            drop(app);
            let app = world.app_with(CHANGED);
            refresh(&app, &mut all);
            world.advance(HOUR + SECOND);
            build_flows(&world.config(CHANGED), std::sync::Arc::new(world.clock.clone()))
                .unwrap()
                .purge()
                .unwrap();
            app.refresh(&all[presented].refresh).refused(401, "refresh_token_reused");
            app.refresh(&all.last().unwrap().refresh).refused(401, "refresh_token_revoked");
        }
    }
}
