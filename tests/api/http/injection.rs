//! Input for interpreters behind the service: SQL in every field, duplicate parameters.

use serde_json::json;

use crate::support::{PASSWORD, TestApp, on_both};

const ADMIN: &str = "admin@example.com";
const MINA: &str = "mina@example.com";

const SQL: [&str; 9] = [
    "x'); DROP TABLE users; --",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "mina@example.com' --",
    "1; UPDATE users SET is_superuser = TRUE",
    "%",
    "__",
    "\\",
    "$1 ? :name @p1",
];

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The user names that a search finds.
fn found(app: &TestApp, access: &str, search: &str) -> Vec<String> {
    let path = format!("/v1/users?search={}", escaped(search));
    let list = app.get_as(access, &path).is(200).json();
    let users = list["users"].as_array().unwrap().iter();
    users.map(|it| it["username"].as_str().unwrap().to_owned()).collect()
}

on_both! {
    fn sql_in_any_field_is_text(world) {
        let app = world.app();
        let staff = app.staff(&world, ADMIN);
        let mina = app.person(&world, MINA);
        assert_eq!(found(&app, &staff.access, "mina"), [MINA]);
        for sql in SQL {
            let attack = format!("{sql}{}", " ".repeat(8 - sql.len().min(8)));
            app.log_in(sql, PASSWORD).refused(401, "invalid_credentials");
            app.log_in(MINA, &attack).refused(401, "invalid_credentials");
            app.refresh(sql).refused(401, "refresh_token_unknown");
            app.token_verify(sql).refused(401, "token_invalid");
            app.not_me(sql).refused(401, "one_time_token_invalid");
            app.reset_by_link(sql, "pear tree at dawn").refused(401, "one_time_token_invalid");
            app.post("/v1/register", &json!({"email": sql, "password": PASSWORD})).is(422);
            app.verify_code(sql, "123456").refused(401, "code_invalid");
            assert_eq!(found(&app, &staff.access, sql), [""; 0], "{sql}");
            for path in ["/v1/users/{}", "/v1/users/{}/events", "/v1/users?cursor={}"] {
                let answer = app.get_as(&staff.access, &path.replace("{}", &escaped(sql)));
                assert!([404, 422].contains(&answer.status), "{path}: {}", answer.shown());
            }
            let id = escaped(sql);
            app.delete_as(&mina.access, &format!("/v1/me/sessions/{id}")).refused(404, "not_found");
            let profile = json!({"metadata": {"note": sql}});
            app.as_holder("PATCH", "/v1/me", &mina.access, &profile).is(200);
            assert_eq!(app.me(&mina.access).json()["metadata"]["note"], sql);
            app.log_in_on(sql, MINA).is(200);
        }
        // What is a wildcard to LIKE stands for itself in a name too.
        let name = json!({"username": "mina_ray"});
        app.as_holder("PATCH", "/v1/me", &mina.access, &name).is(200);
        assert_eq!(found(&app, &staff.access, "mina_ray"), ["mina_ray"]);
        assert_eq!(found(&app, &staff.access, "min__ray"), [""; 0]);
        assert_eq!(found(&app, &staff.access, "mina%"), [""; 0]);
        assert_eq!(world.count("users"), 2);
        assert_eq!(world.count("users WHERE is_superuser"), 0);
    }

    fn a_query_that_says_a_thing_twice_is_refused(world) {
        let app = world.app();
        let staff = app.staff(&world, ADMIN);
        for (path, field) in [
            ("/v1/users?limit=1&limit=2", "limit"),
            ("/v1/users?search=a&search=b", "search"),
            ("/v1/users?is_staff=true&is_staff=false", "is_staff"),
            ("/v1/me/events?limit=1&limit=1", "limit"),
        ] {
            let faults = app.get_as(&staff.access, path).faults();
            assert!(faults.iter().any(|fault| fault.0 == field), "{path}: {faults:?}");
        }
        let body = r#"{"username":"admin@example.com","password":"a","password":"b"}"#;
        let json = [("content-type", "application/json")];
        app.send("POST", "/v1/token-auth", &json, body).refused(400, "malformed_request");
    }

    fn a_user_id_is_never_given_again(world) {
        let app = world.app();
        let ids = [1, 2, 3].map(|number| {
            let email = format!("person{number}@example.com");
            let person = app.person(&world, &email);
            let body = json!({"password": PASSWORD});
            app.as_holder("DELETE", "/v1/me", &person.access, &body).is(204);
            person.user_id()
        });
        assert!(ids[0] < ids[1] && ids[1] < ids[2], "{ids:?}");
    }
}
