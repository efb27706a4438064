//! Superusers are changed by superusers only, and one who can manage the others always stays.

use serde_json::{Value, json};

use crate::HAS_DRF;
use crate::support::{Answer, PASSWORD, TestApp, Tokens, on_both};

const ROOT: &str = "root@example.com";
const STAFF: &str = "staff@example.com";

fn path(tokens: &Tokens) -> String {
    format!("/v1/users/{}", tokens.user_id())
}

/// A token of the Django REST adapter.
fn django_token(app: &TestApp, username: &str) -> String {
    let body = json!({"username": username, "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json")];
    app.send_undocumented("POST", "/api-token-auth/", &headers, body).is(200).text("token")
}

fn at_django_adapter(
    app: &TestApp,
    token: &str,
    method: &str,
    of: &Tokens,
    body: &Value,
) -> Answer {
    let authorization = format!("JWT {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let path = format!("/users/{}/", of.user_id());
    app.send_undocumented(method, &path, &headers, body.to_string())
}

on_both! {
    fn staff_cannot_touch_a_superuser(world) {
        let app = world.app();
        let root = app.superuser(&world, ROOT);
        app.superuser(&world, "second@example.com");
        let staff = app.staff(&world, STAFF);
        app.get_as(&staff.access, &path(&root)).is(200);
        for changes in [
            json!({"is_active": false}), json!({"is_staff": false}), json!({"username": "clown"}),
            json!({"locale": "ko"}), json!({}),
        ] {
            app.ask_as(&staff.access, "PATCH", &path(&root), &changes)
                .refused(403, "permission_denied");
        }
        app.delete_as(&staff.access, &format!("{}/sessions", path(&root)))
            .refused(403, "permission_denied");
        app.delete_as(&staff.access, &path(&root)).refused(403, "permission_denied");
        if HAS_DRF {
            let token = django_token(&app, STAFF);
            for (method, body) in [
                ("PATCH", json!({"email": "clown@example.com"})),
                ("PATCH", json!({"is_staff": false})),
                ("PUT", json!({"username": "clown", "email": ROOT, "is_staff": true})),
                ("DELETE", json!(null)),
            ] {
                at_django_adapter(&app, &token, method, &root, &body).is(403);
            }
        }
        app.me(&root.access).is(200);
        let untouched = "users WHERE email = 'root@example.com' AND username = email AND is_staff \
                         AND is_active AND locale = 'en'";
        assert_eq!(world.count(untouched), 1);
        // Superusers may.
        app.ask_as(&root.access, "PATCH", &path(&staff), &json!({"is_staff": false})).is(200);
        app.delete_as(&staff.access, &path(&root)).refused(401, "token_revoked");
        let former = app.refresh(&staff.refresh).is(200).tokens();
        app.delete_as(&former.access, &path(&root)).refused(403, "permission_denied");
    }

    fn the_last_superuser_cannot_be_removed_in_any_way(world) {
        let app = world.app();
        let root = app.superuser(&world, ROOT);
        let refused = |answer: Answer| answer.refused(409, "last_superuser");
        let try_everything = || {
            refused(app.delete_as(&root.access, &path(&root)));
            refused(app.delete_as(&root.access, "/v1/me"));
            refused(app.ask_as(&root.access, "DELETE", "/v1/me", &json!({"password": PASSWORD})));
            for changes in [json!({"is_active": false}), json!({"is_staff": false})] {
                refused(app.ask_as(&root.access, "PATCH", &path(&root), &changes));
            }
            if HAS_DRF {
                let token = django_token(&app, ROOT);
                at_django_adapter(&app, &token, "DELETE", &root, &json!(null)).is(403);
                at_django_adapter(&app, &token, "PATCH", &root, &json!({"is_staff": false})).is(403);
                at_django_adapter(&app, &token, "PUT", &root, &json!({"username": ROOT, "is_staff": false})).is(403);
            }
            app.get_as(&root.access, "/v1/users").is(200);
        };
        try_everything();
        // Neither staff nor a superuser who is switched off or no staff could take the place.
        app.staff(&world, STAFF);
        app.superuser(&world, "off@example.com");
        world.execute("UPDATE users SET is_active = FALSE WHERE email = 'off@example.com'");
        app.superuser(&world, "idle@example.com");
        world.execute("UPDATE users SET is_staff = FALSE WHERE email = 'idle@example.com'");
        try_everything();
        // Other changes do not matter.
        app.ask_as(&root.access, "PATCH", &path(&root), &json!({"locale": "ko"})).is(200);
        if HAS_DRF {
            let token = django_token(&app, ROOT);
            let same = json!({"username": ROOT, "email": ROOT, "is_staff": true});
            at_django_adapter(&app, &token, "PUT", &root, &same).is(200);
        }
        assert_eq!(world.count("users WHERE is_superuser AND is_staff AND is_active"), 1);
    }

    fn of_two_superusers_one_may_go(world) {
        let app = world.app();
        let (root, second) = (app.superuser(&world, ROOT), app.superuser(&world, "b@example.com"));
        let off = json!({"is_active": false});
        app.ask_as(&root.access, "PATCH", &path(&second), &off).is(200);
        app.me(&second.access).refused(401, "token_revoked");
        // What is off already can go any time.
        app.ask_as(&root.access, "PATCH", &path(&second), &off).is(200);
        app.delete_as(&root.access, &path(&second)).is(204);
        app.delete_as(&root.access, "/v1/me").refused(409, "last_superuser");
        let third = app.superuser(&world, "c@example.com");
        app.delete_as(&root.access, "/v1/me").is(204);
        app.delete_as(&third.access, "/v1/me").refused(409, "last_superuser");
    }
}
