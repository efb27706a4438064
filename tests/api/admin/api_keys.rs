//! API keys: superusers create and revoke them, services open `/v1/users` with them, and the audit
//! trail names them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::limits::attempts::limited_with;
use crate::support::account::NEW_DEVICE;
use crate::support::{Answer, PASSWORD, SECOND, TestApp, Tokens, World, on_both, wait_for};

const ROOT: &str = "root@example.com";
const MINA: &str = "mina@example.com";

fn path(tokens: &Tokens) -> String {
    format!("/v1/users/{}", tokens.user_id())
}

fn create(app: &TestApp, access: &str, body: &Value) -> Answer {
    app.as_holder("POST", "/v1/api-keys", access, body)
}

fn list(app: &TestApp, root: &Tokens) -> Vec<Value> {
    let list = app.get_as(&root.access, "/v1/api-keys").is(200).json();
    list["api_keys"].as_array().unwrap().clone()
}

fn revoke(app: &TestApp, root: &Tokens, id: &str) -> Answer {
    app.as_holder("DELETE", &format!("/v1/api-keys/{id}"), &root.access, &Value::Null)
}

/// A superuser, another user and a key with these scopes.
fn scene(world: &World, app: &TestApp, scopes: &[&str]) -> (Tokens, Tokens, String, String) {
    let root = app.superuser(world, ROOT);
    let mina = app.person(world, MINA);
    let (id, key) = app.api_key(&root, scopes);
    (root, mina, id, key)
}

on_both! {
    fn a_key_opens_what_its_scopes_name_and_nothing_else(world) {
        let app = world.app();
        let (root, mina, _, reads) = scene(&world, &app, &["users:read"]);
        let (_, writes) = app.api_key(&root, &["users:write"]);
        let (_, other) = app.api_key(&root, &["introspect", "revoke"]);
        assert!(reads.starts_with("hpk_") && reads.len() == 47, "{reads}");
        for (key, read, write) in [(&reads, 200, 403), (&writes, 403, 200), (&other, 403, 403)] {
            for path in ["/v1/users", &path(&mina), &format!("{}/events", path(&mina))] {
                app.ask_as(key, "GET", path, &Value::Null).is(read);
            }
            app.ask_as(key, "PATCH", &path(&mina), &json!({"locale": "ko"})).is(write);
        }
        for key in [&reads, &writes, &other] {
            for path in ["/v1/me", "/v1/me/sessions", "/v1/forward-auth", "/v1/api-keys"] {
                app.ask_as(key, "GET", path, &Value::Null).refused(401, "token_invalid");
            }
        }
        let made = app.ask_as(&writes, "POST", "/v1/users", &json!({"email": "new@example.com"}));
        assert_eq!(made.is(201).json()["is_staff"], false);
        world.mails_to("new@example.com", 1);
        app.delete_as(&writes, &format!("{}/sessions", path(&mina))).is(204);
        app.me(&mina.access).refused(401, "token_revoked");
        app.delete_as(&writes, &path(&mina)).is(204);
    }

    fn a_key_neither_makes_staff_nor_changes_them(world) {
        let app = world.app();
        let (root, mina, _, key) = scene(&world, &app, &["users:read", "users:write"]);
        let staff = app.staff(&world, "staff@example.com");
        let body = json!({"email": "new@example.com", "password": PASSWORD, "is_staff": true});
        app.ask_as(&key, "POST", "/v1/users", &body).refused(403, "permission_denied");
        for is_staff in [true, false] {
            let body = json!({"is_staff": is_staff});
            app.ask_as(&key, "PATCH", &path(&mina), &body).refused(403, "permission_denied");
        }
        for other in [&root, &staff] {
            let body = json!({"is_active": false});
            app.ask_as(&key, "PATCH", &path(other), &body).refused(403, "permission_denied");
            app.delete_as(&key, &path(other)).refused(403, "permission_denied");
            app.me(&other.access).is(200);
        }
    }

    fn only_a_hash_of_a_key_is_stored_and_the_key_is_returned_once(world) {
        let app = world.app();
        let (root, _, id, key) = scene(&world, &app, &["revoke", "users:read"]);
        let keys = list(&app, &root);
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0]["id"], *id);
        assert_eq!(keys[0]["name"], "a service");
        assert_eq!(keys[0]["scopes"], json!(["users:read", "revoke"]));
        assert_eq!(keys[0]["created_by"], root.user_id());
        for empty in ["expires_at", "last_used_at", "revoked_at"] {
            assert_eq!(keys[0][empty], Value::Null, "{empty}");
        }
        assert!(!json!(keys).to_string().contains("hpk_"));
        let secret = key.strip_prefix("hpk_").unwrap();
        let columns = "id || name || scopes || coalesce(CAST(created_by AS TEXT), '')";
        assert_eq!(world.count(&format!("api_keys WHERE {columns} LIKE '%{secret}%'")), 0);
    }

    fn a_key_ends_by_expiry_and_by_revocation(world) {
        let app = world.app();
        let (root, _, lasting, key) = scene(&world, &app, &["users:read"]);
        let body = json!({"name": "short", "scopes": ["users:read"], "expires_in": 60});
        let short = create(&app, &root.access, &body).is(201).text("secret");
        app.ask_as(&short, "GET", "/v1/users", &Value::Null).is(200);
        world.advance(Duration::from_secs(59));
        app.get_as(&short, "/v1/users").is(200);
        world.advance(SECOND);
        app.get_as(&short, "/v1/users").refused(401, "token_expired");
        app.get_as(&key, "/v1/users").is(200);
        revoke(&app, &root, &lasting).is(204);
        app.get_as(&key, "/v1/users").refused(401, "token_revoked");
        let keys = list(&app, &root);
        let of = |name: &str| keys.iter().find(|key| key["name"] == name).unwrap();
        assert!(of("a service")["revoked_at"].is_string() && of("short")["revoked_at"].is_null());
        // Once more is no error.
        revoke(&app, &root, &lasting).is(204);
        revoke(&app, &root, "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a13").refused(404, "not_found");
        revoke(&app, &root, "x").refused(404, "not_found");
        for unknown in ["hpk_", "hpk_x", &key[..46], &format!("{key}x")] {
            app.get_as(unknown, "/v1/users").refused(401, "token_invalid");
        }
    }

    fn the_last_use_is_known_to_within_a_minute(world) {
        let app = world.app();
        let (root, _, _, key) = scene(&world, &app, &["users:read"]);
        let last_used = || list(&app, &root)[0]["last_used_at"].clone();
        app.get_as(&key, "/v1/users").is(200);
        let first = last_used();
        assert!(first.is_string(), "{first}");
        world.advance(Duration::from_secs(30));
        app.get_as(&key, "/v1/users").is(200);
        assert_eq!(last_used(), first);
        world.advance(Duration::from_secs(31));
        app.get_as(&key, "/v1/users").is(200);
        assert_ne!(last_used(), first);
    }

    fn a_service_reads_while_the_database_accepts_no_writes(world) {
        let app = world.app();
        let (root, _, _, key) = scene(&world, &app, &["users:read", "introspect"]);
        let bearer = format!("Bearer {key}");
        let statements = [("api_keys", "UPDATE")];
        world.fail(&statements);
        let read = || {
            app.get_as(&key, "/v1/users").is(200);
            let headers = [("authorization", bearer.as_str())];
            let form = [("token", root.access.as_str())];
            let answer = app.post_form("/v1/introspect", &headers, &form).is(200);
            assert_eq!(answer.json()["active"], true);
        };
        read();
        assert!(list(&app, &root)[0]["last_used_at"].is_null());
        world.mend(&statements);
        read();
        // On Postgres the next use may come before the trial write.
        wait_for("the record of a use", || {
            read();
            list(&app, &root)[0]["last_used_at"].is_string().then_some(())
        });
    }

    fn only_superusers_right_after_a_log_in_create_keys(world) {
        let app = world.app();
        let root = app.superuser(&world, ROOT);
        let body = json!({"name": "a service", "scopes": ["users:write"]});
        let staff = app.staff(&world, "staff@example.com");
        create(&app, &staff.access, &body).refused(403, "permission_denied");
        app.get_as(&staff.access, "/v1/api-keys").refused(403, "permission_denied");
        create(&app, "none", &body).refused(401, "token_invalid");
        world.advance(Duration::from_secs(299));
        create(&app, &root.access, &body).is(201);
        world.advance(SECOND);
        create(&app, &root.access, &body).refused(403, "reauth_required");
        let mut with_password = body.clone();
        with_password["password"] = json!(PASSWORD);
        create(&app, &root.access, &with_password).is(201);
        with_password["password"] = json!("wrong");
        create(&app, &root.access, &with_password).refused(401, "invalid_credentials");
        assert_eq!(list(&app, &root).len(), 2);
    }

    fn an_order_of_a_key_names_all_its_faults(world) {
        let app = world.app();
        let root = app.superuser(&world, ROOT);
        let faults = |body: Value| create(&app, &root.access, &body).faults();
        let fault = |field: &str, code: &str| (field.to_owned(), code.to_owned());
        assert_eq!(faults(json!({})), [fault("name", "required"), fault("scopes", "required")]);
        let twice = json!({"name": "twice", "scopes": ["revoke", "revoke"]});
        let made = app.ask_as(&root.access, "POST", "/v1/api-keys", &twice).is(201).json();
        assert_eq!(made["api_key"]["scopes"], json!(["revoke"]));
        for (scopes, code) in [
            (json!([]), "required"), (json!("users:read"), "wrong_type"), (json!([1]), "wrong_type"),
            (json!(["users:all"]), "invalid_format"),
            (json!(["revoke", "revoke", "revoke", "revoke", "revoke"]), "too_long"),
        ] {
            assert_eq!(faults(json!({"name": "a", "scopes": scopes})), [fault("scopes", code)]);
        }
        for (seconds, code) in [
            (json!(59), "invalid_format"), (json!(315_619_201), "invalid_format"),
            (json!("60"), "wrong_type"), (json!(-1), "wrong_type"), (json!(60.5), "wrong_type"),
        ] {
            let body = json!({"name": "a", "scopes": ["revoke"], "expires_in": seconds});
            assert_eq!(faults(body), [fault("expires_in", code)]);
        }
        let body = json!({"name": "a\u{7}", "scopes": ["revoke"], "owner": 1});
        assert_eq!(faults(body), [fault("name", "invalid_format"), fault("owner", "unknown_field")]);
        // JSON has a single kind of number.
        create(&app, &root.access, &json!({"name": "a", "scopes": ["revoke"], "expires_in": 60.0})).is(201);
    }

    fn the_audit_trail_names_the_key(world) {
        let app = world.app();
        let (root, mina, id, key) = scene(&world, &app, &["users:write"]);
        app.ask_as(&key, "PATCH", &path(&mina), &json!({"is_active": false})).is(200);
        let events = app.get_as(&root.access, &format!("{}/events", path(&mina))).is(200).json();
        let disabled = &events["events"][0];
        assert_eq!(disabled["kind"], "account_disabled");
        assert_eq!(disabled["api_key_id"], *id);
        assert_eq!(disabled["api_key_name"], "a service");
        assert_eq!((&disabled["by_staff"], disabled.get("actor_id")), (&json!(true), None));
        app.ask_as(&key, "PATCH", &path(&mina), &json!({"is_active": true})).is(200);
        let mina = app.log_in(MINA, PASSWORD).is(200).tokens();
        let own = app.get_as(&mina.access, "/v1/me/events").is(200).json();
        let enabled = own["events"].as_array().unwrap().iter();
        let enabled = enabled.into_iter().find(|it| it["kind"] == "account_enabled").unwrap();
        assert_eq!(enabled["by_staff"], true);
        assert!(enabled.get("api_key_id").is_none() && enabled.get("api_key_name").is_none());
        // Those of the keys themselves are in the trail of the superuser.
        revoke(&app, &root, &id).is(204);
        revoke(&app, &root, &id).is(204);
        let own = app.get_as(&root.access, "/v1/me/events").is(200).json();
        let of_keys: Vec<(&Value, &Value)> = own["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["kind"].as_str().unwrap().starts_with("api_key_"))
            .map(|it| (&it["kind"], &it["detail"]))
            .collect();
        let (revoked, created, id) = (json!("api_key_revoked"), json!("api_key_created"), json!(id));
        assert_eq!(of_keys, [(&revoked, &id), (&created, &id)]);
    }

    fn a_report_of_unauthorized_activity_revokes_the_keys_that_were_created_since(world) {
        let app = world.app();
        let (root, _, _, own) = scene(&world, &app, &["users:read"]);
        let other = app.superuser(&world, "boss@example.com");
        world.advance(SECOND);
        // A thief who knows the password.
        let thief = app.log_in_on("special-client/1.0", ROOT).is(200).tokens();
        let (id, stolen) = app.api_key(&thief, &["users:read"]);
        let (_, of_other) = app.api_key(&other, &["users:read"]);
        let notice = world.link_about(ROOT, NEW_DEVICE, 1);
        app.get_as(&stolen, "/v1/users").is(200);
        app.not_me(&notice).is(204);
        app.get_as(&stolen, "/v1/users").refused(401, "token_revoked");
        for key in [&own, &of_other] {
            app.get_as(key, "/v1/users").is(200);
        }
        let revoked = format!("events WHERE kind = 'api_key_revoked' AND detail = '{id}'");
        assert_eq!(world.count(&format!("{revoked} AND user_id = {}", root.user_id())), 1);
    }

    fn a_report_at_an_instance_that_is_ahead_revokes_keys_of_one_behind(world) {
        let app = world.app();
        let ahead = world.app_ahead_of(world.config(&[]), SECOND * 2);
        app.superuser(&world, ROOT);
        let thief = ahead.log_in_on("special-client/1.0", ROOT).is(200).tokens();
        let (_, stolen) = app.api_key(&thief, &["users:read"]);
        app.get_as(&stolen, "/v1/users").is(200);
        app.not_me(&world.link_about(ROOT, NEW_DEVICE, 1)).is(204);
        app.get_as(&stolen, "/v1/users").refused(401, "token_revoked");
    }

    fn a_superuser_who_loses_the_right_meanwhile_creates_no_key(world) {
        let app = limited_with(&world, &[]);
        let root = app.superuser(&world, ROOT);
        let id = root.user_id();
        let body = json!({"name": "a service", "scopes": ["users:write"], "password": PASSWORD});
        for (loss, status, code) in [
            (format!("UPDATE users SET is_superuser = FALSE WHERE id = {id}"), 403, "permission_denied"),
            (format!("UPDATE users SET is_staff = FALSE WHERE id = {id}"), 403, "permission_denied"),
            (format!("UPDATE users SET is_active = FALSE WHERE id = {id}"), 401, "token_revoked"),
            (format!("UPDATE sessions SET ended_at = 1 WHERE user_id = {id}"), 401, "token_revoked"),
        ] {
            world.execute(&format!("UPDATE users SET is_superuser = TRUE, is_staff = TRUE, is_active = TRUE WHERE id = {id}"));
            world.meanwhile(&loss);
            app.ask_as(&root.access, "POST", "/v1/api-keys", &body).refused(status, code);
            assert_eq!(world.count("api_keys"), 0, "{loss}");
        }
    }
}
