//! Changes of the user's own profile: `PATCH /v1/me`.

use serde_json::{Value, json};

use crate::HAS_DRF;
use crate::support::{Answer, PASSWORD, TestApp, Tokens, on_both};

const MINA: &str = "mina@example.com";

fn patch(app: &TestApp, tokens: &Tokens, body: &Value) -> Answer {
    app.as_holder("PATCH", "/v1/me", &tokens.access, body)
}

fn faults(faults: &[(&str, &str)]) -> Vec<(String, String)> {
    faults.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect()
}

on_both! {
    fn what_is_missing_stays_and_what_is_there_changes(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let before = app.me(&tokens.access).json();
        assert_eq!(before["metadata"], json!({}));
        assert_eq!(patch(&app, &tokens, &json!({})).is(200).json(), before);
        let after =
            patch(&app, &tokens, &json!({"username": "Mina", "locale": "ko-KR"})).is(200).json();
        let mut expected = before;
        expected["username"] = "Mina".into();
        expected["locale"] = "ko-KR".into();
        assert_eq!(after, expected);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        let after = patch(&app, &tokens, &json!({"metadata": {"theme": "dark"}})).is(200).json();
        expected["metadata"] = json!({"theme": "dark"});
        assert_eq!(after, expected);
        assert_eq!(app.me(&tokens.access).json(), expected);
        app.log_in("MINA", PASSWORD).is(200);
        app.log_in(MINA, PASSWORD).is(200);
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(app.token_verify(&next.access).json()["username"], "Mina");
    }

    fn null_removes(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let all = json!({"username": "mina", "locale": "ko", "metadata": {"a": 1}});
        patch(&app, &tokens, &all).is(200);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        let none = json!({"username": null, "locale": null, "metadata": null});
        let me = patch(&app, &tokens, &none).is(200).json();
        assert_eq!(
            (&me["username"], &me["locale"], &me["metadata"]),
            (&json!(MINA), &json!("en"), &json!({}))
        );
    }

    fn metadata_is_merged_as_the_rfc_says(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        for (change, expected) in [
            (
                json!({"a": "b", "c": {"d": "e", "f": "g"}}),
                json!({"a": "b", "c": {"d": "e", "f": "g"}}),
            ),
            (json!({"a": "z", "c": {"f": null}}), json!({"a": "z", "c": {"d": "e"}})),
            (
                json!({"a": [1, null, {"x": null}]}),
                json!({"a": [1, null, {"x": null}], "c": {"d": "e"}}),
            ),
            (
                json!({"a": {"y": {"z": null, "w": "", "v": "\0\u{1f600}"}}, "c": null, "none": null}),
                json!({"a": {"y": {"w": "", "v": "\0\u{1f600}"}}}),
            ),
            (json!({}), json!({"a": {"y": {"w": "", "v": "\0\u{1f600}"}}})),
            (json!({"a": false, "": 1, "é": 1.5}), json!({"a": false, "": 1, "é": 1.5})),
        ] {
            let answer = patch(&app, &tokens, &json!({"metadata": change})).is(200);
            assert_eq!(answer.json()["metadata"], expected);
            assert_eq!(app.me(&tokens.access).json()["metadata"], expected);
        }
    }

    fn metadata_has_room_for_4096_bytes(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let around = r#"{"a":""}"#.len();
        let text = |bytes: usize| json!({"metadata": {"a": "x".repeat(bytes - around)}});
        patch(&app, &tokens, &text(4096)).is(200);
        assert_eq!(patch(&app, &tokens, &text(4097)).faults(), faults(&[("metadata", "too_long")]));
        // What counts is the sum, and bytes rather than letters.
        let more = json!({"metadata": {"b": 1}});
        assert_eq!(patch(&app, &tokens, &more).faults(), faults(&[("metadata", "too_long")]));
        let wide = |bytes: usize| {
            let text = format!("{}{}", "é".repeat(2000), "x".repeat(bytes - 4000 - around));
            json!({"metadata": {"a": text}})
        };
        patch(&app, &tokens, &wide(4096)).is(200);
        assert_eq!(patch(&app, &tokens, &wide(4097)).faults(), faults(&[("metadata", "too_long")]));
        let less = json!({"metadata": {"a": null, "b": "x".repeat(4000)}});
        patch(&app, &tokens, &less).is(200);
        // A patch that is refused changes nothing of the rest either.
        let mixed = json!({"username": "mina", "metadata": {"c": "x".repeat(200)}});
        assert_eq!(patch(&app, &tokens, &mixed).faults(), faults(&[("metadata", "too_long")]));
        assert_eq!(app.me(&tokens.access).json()["username"], MINA);
    }

    fn all_faulty_fields_are_refused_at_once(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let wrong = json!({
            "username": 1, "locale": [], "metadata": "x", "email": "x@y.zz", "is_staff": true,
        });
        assert_eq!(
            patch(&app, &tokens, &wrong).faults(),
            faults(&[
                ("email", "unknown_field"),
                ("is_staff", "unknown_field"),
                ("locale", "wrong_type"),
                ("metadata", "wrong_type"),
                ("username", "wrong_type"),
            ])
        );
        for metadata in [json!([]), json!(1), json!(true)] {
            let answer = patch(&app, &tokens, &json!({"metadata": metadata}));
            assert_eq!(answer.faults(), faults(&[("metadata", "wrong_type")]));
        }
        let bad = json!({"username": "a b", "locale": "!"});
        assert_eq!(
            patch(&app, &tokens, &bad).faults(),
            faults(&[("locale", "invalid_locale"), ("username", "invalid_username"),])
        );
        let long = json!({"username": "x".repeat(151)});
        assert_eq!(patch(&app, &tokens, &long).faults(), faults(&[("username", "too_long")]));
        assert_eq!(world.count("users WHERE is_staff"), 0);
    }

    fn a_name_with_an_at_sign_may_only_be_the_own_address(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.person(&world, "ada@example.com");
        let name = |name: &str| patch(&app, &tokens, &json!({"username": name}));
        for other in ["ada@example.com", "nobody@example.com", "@", "mina@", "mina@example.com "] {
            assert_eq!(
                name(other).faults(),
                faults(&[("username", "invalid_username")]),
                "{other}"
            );
        }
        // Neither do a registration, staff or the Django REST adapter give such a name.
        let staff = app.staff(&world, "staff@example.com");
        let named = json!({"email": "b@example.com", "username": "ada@example.com", "password": PASSWORD});
        let account = format!("/v1/users/{}", tokens.user_id());
        for answer in [
            app.post("/v1/register", &named),
            app.ask_as(&staff.access, "POST", "/v1/users", &named),
            app.ask_as(&staff.access, "PATCH", &account, &json!({"username": "ada@example.com"})),
        ] {
            assert_eq!(answer.faults(), faults(&[("username", "invalid_username")]));
        }
        if HAS_DRF {
            // An address that is no user name any more is still that of its account.
            let ada = app.log_in("ada@example.com", PASSWORD).is(200).tokens();
            patch(&app, &ada, &json!({"username": "ada"})).is(200);
            let path = format!("/users/{}/", tokens.user_id());
            for (who, method, path, other) in [
                (MINA, "PATCH", path.as_str(), "nobody@example.com"),
                (MINA, "PATCH", &path, "ada@example.com"),
                ("staff@example.com", "PATCH", &path, "ada@example.com"),
                ("staff@example.com", "POST", "/users/", "ada@example.com"),
            ] {
                let json = ("content-type", "application/json");
                let log_in = json!({"username": who, "password": PASSWORD}).to_string();
                let token = app.send_undocumented("POST", "/api-token-auth/", &[json], log_in);
                let jwt = format!("JWT {}", token.is(200).text("token"));
                let body = json!({"username": other}).to_string();
                let headers = [json, ("authorization", jwt.as_str())];
                let answer = app.send_undocumented(method, path, &headers, body).is(400);
                assert!(answer.json()["username"].is_array(), "{}", answer.shown());
            }
        }
        name(MINA).is(200);
        assert_eq!(name("MINA@example.com").is(200).text("username"), "MINA@example.com");
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_taken_name_is_refused_in_any_case_and_the_own_may_change_its_case(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let other = app.person(&world, "ada@example.com");
        patch(&app, &other, &json!({"username": "Straße"})).is(200);
        let other = app.refresh(&other.refresh).is(200).tokens();
        for taken in ["Straße", "straße", "STRAßE"] {
            patch(&app, &tokens, &json!({"username": taken})).refused(409, "username_taken");
        }
        patch(&app, &other, &json!({"username": "STRAßE"})).is(200);
        let other = app.refresh(&other.refresh).is(200).tokens();
        patch(&app, &other, &json!({"username": null})).is(200);
        patch(&app, &tokens, &json!({"username": "straße"})).is(200);
    }

    fn a_patch_may_call_itself_one(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let bearer = format!("Bearer {}", tokens.access);
        let send = |method: &str, path: &str, kind: &str| {
            let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
            app.send(method, path, &headers, r#"{"locale":"ko"}"#)
        };
        for kind in [
            "application/json",
            "application/merge-patch+json",
            "application/json; charset=utf-8",
            "application/merge-patch+json; charset=UTF-8",
        ] {
            send("PATCH", "/v1/me", kind).is(200);
        }
        for kind in [
            "text/plain",
            "application/json-patch+json",
            "application/x-www-form-urlencoded",
            "application/merge-patch+json; charset=latin1",
            "application/vnd.api+json",
            "",
        ] {
            send("PATCH", "/v1/me", kind).refused(415, "unsupported_media_type");
        }
        // Only a patch is one.
        send("POST", "/v1/password-change", "application/merge-patch+json")
            .refused(415, "unsupported_media_type");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        for broken in ["[]", "\"x\"", "{", "{\"locale\":\"ko\",\"locale\":\"en\"}", "null"] {
            app.send("PATCH", "/v1/me", &headers, broken).refused(400, "malformed_request");
        }
        app.send("PATCH", "/v1/me", &[("content-type", "application/json")], "{}")
            .refused(401, "authentication_required");
    }
}
