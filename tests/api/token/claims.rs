//! Configurable claims of access tokens: the audience (`HALLPASS_AUDIENCE`) and claims from the
//! metadata of the account (`HALLPASS_CLAIMS`).

use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp, Tokens, on_both};

const MINA: &str = "mina@example.com";
const ROOT: &str = "root@example.com";

fn change(app: &TestApp, by: &Tokens, other: &Tokens, changes: &Value) -> Answer {
    let path = format!("/v1/users/{}", other.user_id());
    app.ask_as(&by.access, "PATCH", &path, changes)
}

fn log_in(app: &TestApp) -> Tokens {
    app.log_in(MINA, PASSWORD).is(200).tokens()
}

fn faults(settings: &[(&str, &str)]) -> Vec<String> {
    let values = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let read =
        hallpass::config::Config::read(hallpass::config::Source::from_values(values.collect()));
    read.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

on_both! {
    fn tokens_are_for_the_audience_that_is_set(world) {
        let app = world.app();
        let before = app.person(&world, MINA);
        assert_eq!(before.claims()["aud"], "http://auth.test");
        assert_eq!(app.get("/v1/config").json()["audience"], json!(["http://auth.test"]));
        drop(app);
        let app = world.app_with(&[("HALLPASS_AUDIENCE", "https://api.test, reports")]);
        // A token of before counts until it expires.
        app.me(&before.access).is(200);
        let several = log_in(&app);
        assert_eq!(several.claims()["aud"], json!(["https://api.test", "reports"]));
        app.me(&several.access).is(200);
        assert_eq!(app.token_verify(&several.access).is(200).json()["aud"], several.claims()["aud"]);
        drop(app);
        let app = world.app_with(&[("HALLPASS_AUDIENCE", "reports")]);
        app.me(&several.access).is(200);
        let one = log_in(&app);
        assert_eq!(one.claims()["aud"], "reports");
        assert_eq!(app.get("/v1/config").json()["audience"], json!(["reports"]));
        drop(app);
        let app = world.app_with(&[("HALLPASS_AUDIENCE", "https://other.test")]);
        app.me(&one.access).refused(401, "token_invalid");
        app.me(&several.access).refused(401, "token_invalid");
        app.me(&before.access).is(200);
    }

    fn members_of_the_metadata_become_claims(world) {
        let mapping = "plan=app_metadata.plan,https://hasura.io/jwt/claims=app_metadata.hasura,\
                       theme=metadata.ui.theme";
        let app = world.app_with(&[("HALLPASS_CLAIMS", mapping)]);
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        for claim in ["plan", "https://hasura.io/jwt/claims", "theme"] {
            assert_eq!(mina.claims().get(claim), None, "{claim}");
        }
        let hasura = json!({"x-hasura-role": "editor", "x-hasura-user-id": "2"});
        let changes = json!({"app_metadata": {"plan": "pro", "hasura": hasura, "internal": 1}});
        let account = change(&app, &root, &mina, &changes).is(200).json();
        assert_eq!(account["app_metadata"], changes["app_metadata"]);
        // Claims that only staff and services write are rights.
        app.me(&mina.access).refused(401, "token_revoked");
        let next = app.refresh(&mina.refresh).is(200).tokens();
        app.ask_as(&next.access, "PATCH", "/v1/me", &json!({"metadata": {"ui": {"theme": "dark"}}})).is(200);
        let next = app.refresh(&next.refresh).is(200).tokens();
        let claims = next.claims();
        assert_eq!(claims["plan"], "pro");
        assert_eq!(claims["https://hasura.io/jwt/claims"], hasura);
        assert_eq!(claims["theme"], "dark");
        assert_eq!(claims.get("internal"), None);
        let verified = app.token_verify(&next.access).is(200).json();
        assert_eq!((&verified["plan"], &verified["theme"]), (&json!("pro"), &json!("dark")));
        // A service without the setting still accepts the token, claims and all.
        drop(app);
        let app = world.app();
        assert_eq!(app.token_verify(&next.access).is(200).json()["plan"], "pro");
    }

    fn users_read_app_metadata_and_cannot_write_them(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        let body = json!({"app_metadata": {"plan": "pro"}});
        let own = app.ask_as(&mina.access, "PATCH", "/v1/me", &body);
        assert_eq!(own.faults(), [("app_metadata".to_owned(), "unknown_field".to_owned())]);
        let (_, key) = app.api_key(&root, &["users:write"]);
        let path = format!("/v1/users/{}", mina.user_id());
        app.ask_as(&key, "PATCH", &path, &body).is(200);
        assert_eq!(app.me(&mina.access).json()["app_metadata"], json!({"plan": "pro"}));
        // A merge patch.
        change(&app, &root, &mina, &json!({"app_metadata": {"seats": 3, "plan": null}})).is(200);
        assert_eq!(app.me(&mina.access).json()["app_metadata"], json!({"seats": 3}));
        change(&app, &root, &mina, &json!({"app_metadata": null})).is(200);
        assert_eq!(app.me(&mina.access).json()["app_metadata"], json!({}));
        let wrong = change(&app, &root, &mina, &json!({"app_metadata": "pro"}));
        assert_eq!(wrong.faults(), [("app_metadata".to_owned(), "wrong_type".to_owned())]);
        let body = json!({"email": "new@example.com", "app_metadata": {"plan": "free"}});
        let made = app.ask_as(&root.access, "POST", "/v1/users", &body).is(201).json();
        assert_eq!(made["app_metadata"], json!({"plan": "free"}));
        let export = app.get_as(&mina.access, "/v1/me/export").is(200).json();
        assert!(export["account"]["app_metadata"].is_object() && export["account"]["roles"].is_array());
    }

    fn a_token_stays_within_its_bound(world) {
        let settings = [("HALLPASS_CLAIMS", "big=app_metadata.big,own=metadata.own")];
        let app = world.app_with(&settings);
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        let large = |bytes: usize| "x".repeat(bytes);
        let fault = |field: &str| [(field.to_owned(), "token_too_large".to_owned())];
        let answer = change(&app, &root, &mina, &json!({"app_metadata": {"big": large(3000)}}));
        assert_eq!(answer.faults(), fault("app_metadata"));
        // What is no claim takes no room.
        change(&app, &root, &mina, &json!({"app_metadata": {"other": large(3000)}})).is(200);
        change(&app, &root, &mina, &json!({"app_metadata": {"other": null, "big": large(1500)}})).is(200);
        let mina = app.refresh(&mina.refresh).is(200).tokens();
        let own = app.ask_as(&mina.access, "PATCH", "/v1/me", &json!({"metadata": {"own": large(1500)}}));
        assert_eq!(own.faults(), fault("metadata"));
        let roles: Vec<String> = (0..32).map(|number| format!("{number:02}{}", large(60))).collect();
        let answer = change(&app, &root, &mina, &json!({"roles": roles}));
        assert_eq!(answer.faults(), fault("roles"));
        let next = app.refresh(&mina.refresh).is(200).tokens();
        assert!(next.access.len() < 4096, "{}", next.access.len());
        app.me(&next.access).is(200);
        // Where the setting came later, no token is issued that no service accepts.
        let huge = large(3500);
        let sql = format!("UPDATE users SET app_metadata = '{{\"big\":\"{huge}\"}}' WHERE email = '{MINA}'");
        world.execute(&sql);
        let unused = world.count("refresh_tokens WHERE used_at IS NULL");
        app.refresh(&next.refresh).refused(409, "token_too_large");
        let sessions = world.count("sessions");
        app.log_in(MINA, PASSWORD).refused(409, "token_too_large");
        assert_eq!(world.count("sessions"), sessions);
        // The refresh token stays unused until staff mend the account.
        assert_eq!(world.count("refresh_tokens WHERE used_at IS NULL"), unused);
        change(&app, &root, &next, &json!({"app_metadata": {"big": "small"}})).is(200);
        let next = app.refresh(&next.refresh).is(200).tokens();
        assert_eq!(next.claims()["big"], "small");
        app.log_in(MINA, PASSWORD).is(200);
    }
}

#[test]
fn reserved_claims_and_strange_audiences_stop_the_start() {
    for (value, part) in [
        ("sub=app_metadata.x", "reserved"),
        ("plan=app_metadata.x,roles=metadata.y", "reserved"),
        ("plan", "claim=app_metadata.member"),
        ("plan=app_metadata.a,plan=app_metadata.b", "twice"),
    ] {
        let faults = faults(&[("HALLPASS_CLAIMS", value)]);
        assert_eq!(faults.len(), 1, "{value}");
        assert!(
            faults[0].starts_with("HALLPASS_CLAIMS: ") && faults[0].contains(part),
            "{faults:?}"
        );
    }
    for value in ["a,a", "a b", ",", "a,b,c,d,e,f,g,h,i", "é"] {
        assert_eq!(faults(&[("HALLPASS_AUDIENCE", value)]).len(), 1, "{value}");
    }
    assert_eq!(faults(&[("HALLPASS_AUDIENCE", "a, https://b.example")]), [""; 0]);
}
