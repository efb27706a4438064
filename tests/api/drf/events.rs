//! The audit trail of changes at the Django REST adapter, and of the command line.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hallpass::app::build_flows;
use hallpass::domain::{Email, PlainPassword, Username};
use hallpass::flows::NewSuperuser;
use serde_json::{Value, json};

use crate::api::admin::events::{FIREFOX, MINA, OLA, as_holder, kinds, newest, of, own, user_id};
use crate::support::{PASSWORD, on_both};

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

on_both! {
    fn what_people_change_at_the_django_adapter_is_noted_with_network_and_device(world) {
        let app = world.app();
        let mina = app.person(&world, MINA);
        let path = format!("/users/{}/", user_id(&app, &mina));
        let django = |user: &str, body: &Value| {
            let basic = basic(user, PASSWORD);
            let headers =
                [("authorization", basic.as_str()), ("content-type", "application/json"), FIREFOX];
            app.send_undocumented("PATCH", &path, &headers, body.to_string()).is(200);
        };
        // There is no session at the adapter: a change in one does not stand for a change here.
        as_holder(&app, &mina, "PATCH", "/v1/me", &json!({"username": "mina1"})).is(200);
        django("mina1", &json!({"username": "mina2"}));
        django("mina2", &json!({"username": "mina3"}));
        django("mina3", &json!({"email": "mina@new.example"}));
        let mina = app.refresh(&mina.refresh).is(200).tokens();
        let events = own(&app, &mina);
        let expected =
            ["email_changed", "profile_changed: username", "profile_changed: username", "logged_in: email"];
        assert_eq!(kinds(&events, 4), expected);
        for event in &events[..2] {
            assert_eq!((&event["session_id"], &event["by_staff"]), (&Value::Null, &json!(false)));
            assert_eq!(event["network"], "127.0.0.0/24");
            assert_eq!(event["device"], "Firefox on Windows");
        }
    }

    fn the_django_adapter_and_the_command_line_note_the_same(world) {
        let app = world.app();
        let clock = Arc::new(world.clock.clone());
        let new = NewSuperuser {
            username: Username::parse("root").unwrap(),
            email: Some(Email::parse(OLA).unwrap()),
            password: PlainPassword::parse(PASSWORD).unwrap(),
            allow_weak_password: false,
        };
        let root = build_flows(&world.config(&[]), clock).unwrap().create_superuser(new).unwrap();
        let staff = app.log_in("root", PASSWORD).is(200).tokens();
        let django = |user: &str, password: &str, method: &str, path: &str, body: &Value| {
            let basic = basic(user, password);
            let headers = [("authorization", basic.as_str()), ("content-type", "application/json")];
            app.send_undocumented(method, path, &headers, body.to_string())
        };
        let body = json!({"username": "root", "password": PASSWORD});
        app.send_undocumented(
            "POST", "/api-token-auth/", &[("content-type", "application/json")], body.to_string(),
        ).is(200);
        let body = json!({"username": "minakim", "email": MINA, "is_staff": false});
        let made = django("root", PASSWORD, "POST", "/users/", &body).is(201).json();
        let url = made["url"].as_str().unwrap();
        let path = &url[url.find("/users/").unwrap()..];
        let body = json!({"email": "mina@new.example", "is_staff": true});
        django("root", PASSWORD, "PATCH", path, &body).is(200);
        django("root", "wrong", "GET", "/users/", &Value::Null);
        assert_eq!(kinds(&of(&app, &staff, root.id.0), 9), [
            "log_in_failed", "logged_in: django", "logged_in: pwd", "registered: command_line",
        ]);
        let events = of(&app, &staff, root.id.0 + 1);
        let expected = ["staff_granted", "email_changed", "account_created_by_staff"];
        assert_eq!(kinds(&events, 9), expected);
        assert!(events.iter().all(|it| it["actor_id"] == root.id.0), "{events:#?}");
        django("root", PASSWORD, "DELETE", path, &Value::Null).is(204);
        newest(&of(&app, &staff, root.id.0 + 1), "account_deleted");
    }
}
