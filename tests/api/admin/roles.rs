//! Roles of an account: staff and services set them; tokens and proxies tell them to applications.

use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp, Tokens, on_both};

const MINA: &str = "mina@example.com";
const ROOT: &str = "root@example.com";

fn set(app: &TestApp, access: &str, other: &Tokens, roles: &Value) -> Answer {
    let path = format!("/v1/users/{}", other.user_id());
    app.ask_as(access, "PATCH", &path, &json!({"roles": roles}))
}

fn log_in(app: &TestApp) -> Tokens {
    app.log_in(MINA, PASSWORD).is(200).tokens()
}

on_both! {
    fn roles_are_in_the_token_and_in_the_headers_of_a_proxy(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        let claims = mina.claims();
        assert_eq!((claims.get("roles"), claims.get("scope")), (None, None));
        let headers = |access: &str| {
            let answer = app.get_as(access, "/v1/forward-auth").is(200);
            ["x-auth-roles", "x-auth-staff"].map(|name| answer.header(name).unwrap().to_owned())
        };
        assert_eq!(headers(&mina.access), ["", "false"]);
        let account = set(&app, &root.access, &mina, &json!(["editor", "admin", "editor"]));
        assert_eq!(account.is(200).json()["roles"], json!(["admin", "editor"]));
        let mina = log_in(&app);
        let claims = mina.claims();
        assert_eq!(claims["roles"], json!(["admin", "editor"]));
        assert_eq!(claims["scope"], "admin editor");
        assert_eq!(app.token_verify(&mina.access).is(200).json()["roles"], claims["roles"]);
        assert_eq!(headers(&mina.access), ["admin,editor", "false"]);
        assert_eq!(headers(&root.access), ["", "true"]);
        assert_eq!(app.me(&mina.access).is(200).json()["roles"], claims["roles"]);
    }

    fn a_change_of_roles_revokes_access_tokens_and_leaves_the_session(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        set(&app, &root.access, &mina, &json!(["editor"])).is(200);
        app.me(&mina.access).refused(401, "token_revoked");
        let next = app.refresh(&mina.refresh).is(200).tokens();
        assert_eq!(next.claims()["roles"], json!(["editor"]));
        // The same roles change nothing.
        set(&app, &root.access, &mina, &json!(["editor", "editor"])).is(200);
        app.me(&next.access).is(200);
        set(&app, &root.access, &mina, &json!([])).is(200);
        app.me(&next.access).refused(401, "token_revoked");
        let list = app.get("/v1/revocations").is(200).json();
        assert_eq!(list["users"][0]["user_id"], mina.user_id());
        let mina = log_in(&app);
        let events = app.get_as(&mina.access, "/v1/me/events").is(200).json();
        let events = events["events"].as_array().unwrap().iter();
        let changes: Vec<&Value> = events.filter(|it| it["kind"] == "roles_changed").collect();
        assert_eq!(changes.len(), 2);
        assert!(changes.iter().all(|it| it["by_staff"] == true), "{changes:?}");
    }

    fn null_takes_no_roles_and_a_wrong_name_is_explained(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        set(&app, &root.access, &mina, &json!(["editor"])).is(200);
        let fault = |code: &str| [("roles".to_owned(), code.to_owned())];
        assert_eq!(set(&app, &root.access, &mina, &Value::Null).faults(), fault("wrong_type"));
        let answer = set(&app, &root.access, &mina, &json!(["a,b"]));
        assert!(answer.text("detail").contains("A role has letters, digits"));
        assert_eq!(answer.faults(), fault("invalid_format"));
        assert_eq!(log_in(&app).claims()["roles"], json!(["editor"]));
    }

    fn an_account_can_be_made_with_roles(world) {
        let app = world.app();
        let root = app.superuser(&world, ROOT);
        let body = json!({"email": MINA, "password": PASSWORD, "roles": ["b", "a"]});
        let made = app.ask_as(&root.access, "POST", "/v1/users", &body).is(201).json();
        assert_eq!(made["roles"], json!(["a", "b"]));
        assert_eq!(log_in(&app).claims()["scope"], "a b");
    }

    fn only_staff_and_services_set_roles(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        set(&app, &mina.access, &mina, &json!(["admin"])).refused(403, "permission_denied");
        let own = app.ask_as(&mina.access, "PATCH", "/v1/me", &json!({"roles": ["admin"]}));
        assert_eq!(own.faults(), [("roles".to_owned(), "unknown_field".to_owned())]);
        let (_, reads) = app.api_key(&root, &["users:read"]);
        set(&app, &reads, &mina, &json!(["admin"])).refused(403, "permission_denied");
        let (_, writes) = app.api_key(&root, &["users:write"]);
        set(&app, &writes, &mina, &json!(["admin"])).is(200);
        assert_eq!(log_in(&app).claims()["scope"], "admin");
    }

    fn what_does_not_fit_into_a_scope_is_no_role(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        let many: Vec<String> = (0..33).map(|number| format!("role{number}")).collect();
        for (roles, code) in [
            (json!("admin"), "wrong_type"), (json!([1]), "wrong_type"), (json!(["a b"]), "invalid_format"),
            (json!(["a,b"]), "invalid_format"), (json!([""]), "invalid_format"),
            (json!(["é"]), "invalid_format"), (json!(["x".repeat(65)]), "too_long"),
            (json!(many), "too_long"),
        ] {
            let faults = set(&app, &root.access, &mina, &roles).faults();
            assert_eq!(faults, [("roles".to_owned(), code.to_owned())], "{roles}");
        }
        app.me(&mina.access).is(200);
    }
}
