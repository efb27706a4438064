//! The list of accounts: search, filters, pages.

use std::collections::BTreeSet;
use std::sync::mpsc;

use serde_json::json;

use crate::support::{TestApp, Tokens, World, bulk_users, on_both};

const ADMIN: &str = "admin@example.com";

/// An account without the formalities.
fn insert(world: &World, username: &str, email: &str) {
    let (name_norm, email_norm) = (username.to_lowercase(), email.to_lowercase());
    world.execute(&format!(
        "INSERT INTO users (username, username_norm, email, email_norm, email_verified, \
         password_hash, is_active, is_staff, is_superuser, locale, created_at, updated_at) VALUES \
         ('{username}', '{name_norm}', '{email}', '{email_norm}', TRUE, '!', TRUE, FALSE, FALSE, \
         'en', 0, 0)"
    ));
}

fn names(app: &TestApp, admin: &Tokens, query: &str) -> Vec<String> {
    let page = app.get_as(&admin.access, &format!("/v1/users?{query}")).is(200).json();
    let users = page["users"].as_array().unwrap();
    users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

/// Returns all pages. `between` runs before each but the first.
fn all_pages(app: &TestApp, admin: &Tokens, limit: usize, between: impl Fn()) -> Vec<String> {
    all_found(app, admin, "", limit, between)
}

/// The same of those that `query` finds.
fn all_found(
    app: &TestApp,
    admin: &Tokens,
    query: &str,
    limit: usize,
    between: impl Fn(),
) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/users?limit={limit}{query}{cursor}");
        let page = app.get_as(&admin.access, &path).is(200).json();
        let users = page["users"].as_array().unwrap();
        assert!(users.len() <= limit);
        seen.extend(users.iter().map(|user| user["username"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { return seen };
        cursor = format!("&cursor={next}");
        between();
    }
}

on_both! {
    fn a_part_of_the_name_or_the_address_finds_in_any_case(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        for (username, email) in [
            ("Mina", "first@seoul.kr"), ("second", "MINA.K@busan.kr"), ("김철수", "kim@busan.kr"),
            ("김영희", "kim2@busan.kr"), ("a_b", "under@score.kr"), ("axb", "no-under@score.kr"),
            ("percent", "50%off@shop.kr"), ("number", "50off@shop.kr"), ("Élodie", "elodie@fr.fr"),
        ] {
            insert(&world, username, email);
        }
        for (query, expected) in [
            ("search=mina", vec!["Mina", "second"]),
            ("search=MiNa", vec!["Mina", "second"]),
            ("search=BUSAN", vec!["second", "김철수", "김영희"]),
            ("search=%EA%B9%80", vec!["김철수", "김영희"]),
            ("search=%EC%B2%A0%EC%88%98", vec!["김철수"]),
            // 김, as some keyboards send it: two letters and a final one.
            ("search=%E1%84%80%E1%85%B5%E1%86%B7", vec!["김철수", "김영희"]),
            ("search=a_b", vec!["a_b"]),
            ("search=_", vec!["a_b"]),
            ("search=%25", vec!["percent"]),
            ("search=0%25o", vec!["percent"]),
            ("search=50%25%25off", vec![]),
            ("search=%5C", vec![]),
            ("search=%5C_", vec![]),
            ("search='", vec![]),
            ("search=%00", vec![]),
            ("search=mi%00na", vec![]),
            ("search=%C3%A9LODIE", vec!["Élodie"]),
            ("search=nobody+at+all", vec![]),
            ("search=busan&limit=1", vec!["second"]),
        ] {
            assert_eq!(names(&app, &admin, query), expected, "{query}");
        }
        assert_eq!(names(&app, &admin, "").len(), 10);
    }

    fn among_many_the_beginning_is_found_at_once_and_the_rest_page_by_page(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        bulk_users::insert(&world, 3_000);
        for (query, expected) in [
            ("user2999", vec!["user2999"]),
            ("USER2999", vec!["user2999"]),
            ("p2999@", vec!["user2999"]),
            ("p2999@example.com", vec!["user2999"]),
            ("user299", vec![
                "user299", "user2990", "user2991", "user2992", "user2993", "user2994", "user2995",
                "user2996", "user2997", "user2998", "user2999",
            ]),
        ] {
            assert_eq!(names(&app, &admin, &format!("search={query}")), expected, "{query}");
        }
        for (query, limit, expected) in [
            ("ser2999", 50, 1),
            ("user299", 50, 11),
            // More than a page begin with it.
            ("user299", 10, 11),
            ("user", 200, 3_000),
            ("example.com", 200, 3_001),
            // It is in the addresses of 299, 1299 and 2299, and at the beginning of none.
            ("299@", 1, 3),
            ("nobody", 50, 0),
        ] {
            let found = all_found(&app, &admin, &format!("&search={query}"), limit, || ());
            let once: BTreeSet<&String> = found.iter().collect();
            assert_eq!((found.len(), once.len()), (expected, expected), "{query} by {limit}");
        }
    }

    fn a_page_that_those_who_come_first_fill_leaves_the_others_to_the_next(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        for name in ["joanna", "anna", "hanna", "annabel"] {
            insert(&world, name, &format!("{name}@seoul.kr"));
        }
        let found = |limit| all_found(&app, &admin, "&search=anna", limit, || ());
        assert_eq!(found(200), ["joanna", "anna", "hanna", "annabel"]);
        assert_eq!(found(2), ["anna", "annabel", "joanna", "hanna"]);
        assert_eq!(found(3), ["joanna", "anna", "annabel", "hanna"]);
        assert_eq!(found(1), ["joanna", "anna", "hanna", "annabel"]);
    }

    fn filters_find_the_rare_among_many(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        bulk_users::insert(&world, 3_000);
        for (query, limit, expected) in [
            ("&is_staff=true", 2, 4),
            ("&is_active=false", 7, 60),
            ("&is_staff=true&is_active=false", 50, 3),
            ("&is_staff=true&is_active=true", 50, 1),
            ("&is_staff=false&is_active=false", 50, 57),
            ("&is_staff=false", 200, 2_997),
            ("&is_active=true", 200, 2_941),
            ("&is_staff=true&search=er2000", 50, 1),
            ("&is_active=false&search=user", 50, 60),
            ("&is_active=false&search=user2999", 50, 0),
        ] {
            let found = all_found(&app, &admin, query, limit, || ());
            let once: BTreeSet<&String> = found.iter().collect();
            assert_eq!((found.len(), once.len()), (expected, expected), "{query} by {limit}");
        }
    }

    fn filters_narrow_the_list(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        insert(&world, "mina", "mina@seoul.kr");
        insert(&world, "off", "off@seoul.kr");
        world.execute("UPDATE users SET is_active = FALSE WHERE username = 'off'");
        for (query, expected) in [
            ("is_active=true", vec![ADMIN, "mina"]),
            ("is_active=false", vec!["off"]),
            ("is_staff=true", vec![ADMIN]),
            ("is_staff=false", vec!["mina", "off"]),
            ("is_staff=false&is_active=true", vec!["mina"]),
            ("is_staff=true&is_active=false", vec![]),
            ("search=seoul&is_active=false", vec!["off"]),
        ] {
            assert_eq!(names(&app, &admin, query), expected, "{query}");
        }
    }

    fn invalid_parameters_of_the_list_are_named(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        for (query, field, code) in [
            ("limit=0", "limit", "invalid_format"),
            ("limit=201", "limit", "invalid_format"),
            ("limit=-1", "limit", "invalid_format"),
            ("limit=ten", "limit", "invalid_format"),
            ("limit=", "limit", "invalid_format"),
            ("limit=99999999999999999999", "limit", "invalid_format"),
            ("is_active=maybe", "is_active", "wrong_type"),
            ("is_staff=1", "is_staff", "wrong_type"),
            ("search=", "search", "too_short"),
            ("cursor=!", "cursor", "invalid_format"),
            ("cursor=", "cursor", "invalid_format"),
            ("cursor=AAAA", "cursor", "invalid_format"),
            ("page=2", "page", "unknown_field"),
            ("Limit=2", "Limit", "unknown_field"),
            ("limit=1&limit=2", "limit", "invalid_format"),
            ("search=a&search=a", "search", "invalid_format"),
        ] {
            let faults = app.get_as(&admin.access, &format!("/v1/users?{query}")).faults();
            assert_eq!(faults, [(field.to_owned(), code.to_owned())], "{query}");
        }
        let long = "x".repeat(255);
        let faults = app.get_as(&admin.access, &format!("/v1/users?search={long}")).faults();
        assert_eq!(faults, [("search".to_owned(), "too_long".to_owned())]);
        for query in ["limit=1", "limit=200", &format!("search={}", &long[..254]), "", "&&"] {
            app.get_as(&admin.access, &format!("/v1/users?{query}")).is(200);
        }
    }

    fn pages_follow_one_another_to_the_end(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        for number in 1..12 {
            insert(&world, &format!("p{number:02}"), &format!("p{number}@seoul.kr"));
        }
        let expected = names(&app, &admin, "limit=200");
        assert_eq!(expected.len(), 12);
        for limit in [1, 2, 3, 4, 6, 11, 12, 13] {
            assert_eq!(all_pages(&app, &admin, limit, || ()), expected, "{limit}");
        }
        let last = app.get_as(&admin.access, "/v1/users?limit=12").json();
        assert_eq!(last["next_cursor"], json!(null));
        assert_eq!(last["users"].as_array().unwrap().len(), 12);
    }

    fn pages_stay_right_while_accounts_come_and_go(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let mut expected = BTreeSet::from([ADMIN.to_owned()]);
        for number in 0..40 {
            let stays = number % 4 != 0;
            let name = format!("{}{number}", if stays { "stays" } else { "goes" });
            insert(&world, &name, &format!("{name}@seoul.kr"));
            if stays {
                expected.insert(name);
            }
        }
        // A change at each page: with more, the list would grow faster than it is read.
        let (turn, turns) = mpsc::channel();
        std::thread::scope(|scope| {
            let world = &world;
            scope.spawn(move || {
                for (number, ()) in turns.iter().enumerate() {
                    insert(world, &format!("new{number}"), &format!("new{number}@seoul.kr"));
                    let old = number % 10 * 4;
                    if world.count(&format!("users WHERE username = 'goes{old}'")) == 1 {
                        world.execute(&format!("DELETE FROM users WHERE username = 'goes{old}'"));
                    }
                }
            });
            for _ in 0..4 {
                let seen = all_pages(&app, &admin, 7, || turn.send(()).unwrap());
                let once: BTreeSet<String> = seen.iter().cloned().collect();
                assert_eq!(once.len(), seen.len(), "shown twice: {seen:?}");
                assert!(once.is_superset(&expected), "left out: {seen:?}");
            }
            drop(turn);
        });
    }
}
