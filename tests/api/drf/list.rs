//! `GET /users/` of the Django adapter, where there are more users than are held in memory.

use serde_json::Value;

use crate::enough::Enough;
use crate::support::{Answer, PASSWORD, TestApp, World, bulk_users, on_both};

const ADMIN: &str = "admin@example.com";

fn list(app: &TestApp, method: &str, headers: &[(&str, &str)]) -> Answer {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{ADMIN}:{PASSWORD}"));
    let basic = format!("Basic {pair}");
    let headers = [headers, &[("authorization", basic.as_str())]].concat();
    app.send_undocumented(method, "/users/", &headers, "").is(200)
}

fn names(answer: &Answer) -> Vec<String> {
    let users = answer.json();
    let users = users.as_array().expect("a list");
    users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

/// A service with an administrator and so many other users.
fn crowded(world: &World, users: u32) -> TestApp {
    let app = world.app();
    app.staff(world, ADMIN);
    bulk_users::insert(world, users);
    app
}

on_both! {
    fn the_list_is_whole_and_reads_as_one_piece(world) {
        let app = crowded(&world, 1_200);
        let expected: Vec<String> = std::iter::once(ADMIN.to_owned())
            .chain((1..=1_200).map(|number| format!("user{number}")))
            .collect();
        let answer = list(&app, "GET", &[]);
        assert_eq!(names(&answer), expected);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        // Compact, each item as it stands alone.
        assert_eq!(String::from_utf8(answer.body.clone()).unwrap(), answer.json().to_string());
        let indented = list(&app, "GET", &[("accept", "application/json; indent=4")]);
        assert_eq!(indented.json(), answer.json());
        let text = String::from_utf8(indented.body).unwrap();
        assert!(text.starts_with("[\n    {\n        \"url\": ") && text.ends_with("\n    }\n]"));
        assert!(list(&app, "HEAD", &[]).body.is_empty());
    }

    fn a_list_that_ends_with_a_page_is_whole_too(world) {
        let app = crowded(&world, 999);
        assert_eq!(names(&list(&app, "GET", &[])).len(), 1_000);
        world.execute("DELETE FROM users WHERE id > 500");
        assert_eq!(names(&list(&app, "GET", &[])).len(), 500);
        world.execute("DELETE FROM users WHERE id > 2");
        let few = list(&app, "GET", &[]);
        assert_eq!(names(&few), [ADMIN, "user1"]);
        assert_eq!(few.header("content-length"), Some(few.body.len().to_string().as_str()));
    }

    fn users_who_come_and_go_meanwhile_leave_the_list_readable(world) {
        let app = crowded(&world, 1_500);
        let enough = Enough::default();
        std::thread::scope(|scope| {
            let reading = enough.beside();
            scope.spawn(|| {
                for number in 700.. {
                    if enough.is_told() || number > 1_400 {
                        return;
                    }
                    world.execute(&format!("DELETE FROM users WHERE username = 'user{number}'"));
                }
            });
            for _ in 0..5 {
                let answer = list(&app, "GET", &[]);
                let Value::Array(users) = answer.json() else { panic!("no list") };
                let names = names(&answer);
                let mut once = names.clone();
                once.sort();
                once.dedup();
                assert_eq!(once.len(), users.len(), "shown twice");
                assert_eq!(names[..700].last().unwrap(), "user699");
                assert_eq!(names.last().unwrap(), "user1500");
            }
            drop(reading);
        });
    }
}
