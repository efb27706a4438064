//! Rules for new passwords, all of whose bytes count.

use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp, on_both};

const MINA: &str = "marianne@example.com";

fn register(app: &TestApp, password: &str) -> Answer {
    app.post("/v1/register", &json!({"email": MINA, "username": "zorro99", "password": password}))
}

fn faults(faults: &[(&str, &str)]) -> Vec<(String, String)> {
    faults.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect()
}

on_both! {
    fn a_password_that_the_policy_refuses_has_a_code_for_the_cause(world) {
        let app = world.app();
        for (password, code) in [
            ("seven77", "too_short"),
            ("é".repeat(7).as_str(), "too_short"),
            ("x".repeat(257).as_str(), "too_long"),
            ("x".repeat(1025).as_str(), "too_long"),
            ("password", "too_common"),
            ("PASSWORD1", "too_common"),
            ("é".repeat(64).as_str(), "too_common"),
            ("é".repeat(256).as_str(), "too_common"),
            ("1234-5678-9012-3456", "too_common"),
            ("мойпароль123456789", "too_common"),
            ("123456789012345", "too_common"),
            ("Password12345678", "too_common"),
            ("Hallpass-2026!", "too_common"),
            ("I am Marianne!", "too_similar"),
            ("the-ZORRO99-rides", "too_similar"),
        ] {
            assert_eq!(register(&app, password).faults(), faults(&[("password", code)]), "{code}");
        }
        let longest: String = (0..256).filter_map(|n| char::from_u32(0xac00 + n * 37)).collect();
        for password in ["8 quinzy", longest.as_str(), "plum tree\0at dusk", "   8 quin"] {
            register(&app, password).is(202);
        }
    }

    fn no_part_of_the_own_address_or_name_makes_a_password(world) {
        let app = world.app();
        for (email, username, password) in [
            ("bob@example.com", None, "bob@example.com"),
            ("marianne.dupont@example.com", None, "marianne1987"),
            ("marianne.dupont@example.com", None, "mariannedupont"),
            ("bob@example.com", Some("don_diego"), "DonDiego-1987"),
        ] {
            let body = json!({"email": email, "username": username, "password": password});
            let answer = app.post("/v1/register", &body);
            assert_eq!(answer.faults(), faults(&[("password", "too_similar")]), "{password}");
        }
        // Nor does staff give an account such a password.
        let staff = app.staff(&world, "staff@example.com");
        for password in ["marianne1987", "DonDiego-1987"] {
            let body = json!({"email": "marianne@example.com", "username": "don_diego", "password": password});
            let answer = app.ask_as(&staff.access, "POST", "/v1/users", &body);
            assert_eq!(answer.faults(), faults(&[("password", "too_similar")]), "{password}");
        }
    }

    fn the_shortest_password_is_the_operators_choice(world) {
        let app = world.app_with(&[("HALLPASS_PASSWORD_MIN_LENGTH", "15")]);
        let answer = register(&app, "fourteen chars");
        assert_eq!(answer.faults(), faults(&[("password", "too_short")]));
        register(&app, "fifteen chars..").is(202);
        assert_eq!(app.get("/v1/password-policy").json()["min_length"], 15);
    }

    fn a_thousand_unknown_fields_do_not_come_back_manifold(world) {
        let fields: serde_json::Map<_, _> = (0..1000).map(|n| (format!("f{n}"), json!(1))).collect();
        let answer = world.app().post("/v1/token-verify", &fields.into());
        let faults = answer.faults();
        assert!(faults.contains(&("token".into(), "required".into())));
        assert_eq!(faults.len(), 20);
    }

    fn all_faulty_fields_are_refused_at_once(world) {
        let app = world.app();
        let answer = app.post("/v1/register", &json!({
            "email": "nobody", "password": "short", "username": "a@b", "locale": "!", "emial": 1,
            "Password": "",
        }));
        assert_eq!(answer.faults(), faults(&[
            ("Password", "unknown_field"), ("email", "invalid_email"), ("emial", "unknown_field"),
            ("locale", "invalid_locale"), ("password", "too_short"),
            ("username", "invalid_username"),
        ]));
        assert_eq!(app.post("/v1/register", &json!({})).faults(), faults(&[
            ("email", "required"), ("password", "required"),
        ]));
        let nulls = json!({"email": null, "password": null, "username": null, "locale": null});
        assert_eq!(app.post("/v1/register", &nulls).faults(), faults(&[
            ("email", "required"), ("password", "required"),
        ]));
        let types = json!({"email": 1, "password": [], "username": {}, "locale": false});
        assert_eq!(app.post("/v1/register", &types).faults(), faults(&[
            ("email", "wrong_type"), ("locale", "wrong_type"), ("password", "wrong_type"),
            ("username", "wrong_type"),
        ]));
        let typo = json!({"email": MINA, "password": PASSWORD, "user_name": "mina"});
        assert_eq!(app.post("/v1/register", &typo).faults(), faults(&[
            ("user_name", "unknown_field"),
        ]));
        let other = app.post("/v1/token-auth", &json!({"username": "", "pasword": "x"}));
        assert_eq!(other.faults(), faults(&[
            ("password", "required"), ("pasword", "unknown_field"), ("username", "required"),
        ]));
    }

    fn no_answer_repeats_a_password(world) {
        let app = world.app();
        for body in [
            json!({"email": "x", "password": "hunter2"}),
            json!({"email": MINA, "password": {"hunter2": "hunter2"}}),
            json!({"email": MINA, "password": "hunter2", "username": "hunter2@"}),
        ] {
            let answer = app.post("/v1/register", &body);
            assert!(!answer.shown().contains("hunter2"), "{}", answer.shown());
        }
        let broken = app.send(
            "POST", "/v1/register", &[("content-type", "application/json")],
            r#"{"email":"a@example.com","password":"hunter2"#,
        );
        assert!(!broken.refused(400, "malformed_request").shown().contains("hunter2"));
    }

    fn a_password_counts_whole_and_in_any_unicode_form(world) {
        let app = world.app();
        let long = (1000..1051).fold(String::new(), |text, n| text + &format!("{:04} ", n * n % 9973));
        let wide: String = (0x1f300..0x1f400).filter_map(char::from_u32).collect();
        let passwords = [
            "Amélie au café".to_owned(),
            "plum tree\0at dusk".to_owned(),
            wide.clone(),
            long.clone(),
            " spaces at both ends ".to_owned(),
        ];
        assert_eq!(passwords[2].len(), 1024);
        for (number, password) in passwords.iter().enumerate() {
            let email = format!("p{number}@example.com");
            let token = app.register_with(&json!({"email": email, "password": password}));
            app.verify_code(&token, &world.proof(&email, 1).code).is(200);
            app.log_in(&email, password).is(200);
        }
        app.log_in("p0@example.com", "Ame\u{301}lie au cafe\u{301}").is(200);
        for (person, nearly) in [
            ("p0@example.com", "Amelie au cafe".to_owned()),
            ("p0@example.com", "amélie au café".to_owned()),
            ("p1@example.com", "plum tree".to_owned()),
            ("p1@example.com", "plum tree\0at dawn".to_owned()),
            ("p2@example.com", format!("{}😁", wide.chars().take(255).collect::<String>())),
            ("p3@example.com", long[..72].to_owned()),
            ("p3@example.com", format!("{}x", &long[..254])),
            ("p4@example.com", "spaces at both ends".to_owned()),
        ] {
            app.log_in(person, &nearly).refused(401, "invalid_credentials");
        }
    }

    fn a_password_that_is_too_long_to_be_one_is_refused_at_the_log_in(world) {
        let app = world.app();
        app.person(&world, MINA);
        app.log_in(MINA, &"x".repeat(1024)).refused(401, "invalid_credentials");
        let answer = app.log_in(MINA, &"x".repeat(1025));
        assert_eq!(answer.faults(), faults(&[("password", "too_long")]));
    }

    fn the_stored_hash_is_of_the_promised_form(world) {
        let app = world.app();
        app.person(&world, MINA);
        let form = "users WHERE password_hash LIKE '$bcrypt-sha256$v=2,t=2b,r=4$%'";
        assert_eq!(world.count(form), 1);
        drop(app);
        // The next log-in brings it to the cost of the settings.
        let app = world.app_with(&[("HALLPASS_BCRYPT_COST", "5")]);
        app.log_in(MINA, PASSWORD).is(200);
        assert_eq!(world.count(&form.replace("r=4", "r=5")), 1);
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn addresses_that_mail_cannot_reach_are_refused(world) {
        let app = world.app();
        for email in [
            "", "a", "a@", "@b.cc", "a@b", "a b@c.de", "a@b..cc", ".a@b.cc", "a@[127.0.0.1]",
            "\"a\"@b.cc", "a@b.cc\r\nBcc: x@y.zz", "a@127.0.0.1", "a@localhost",
        ] {
            let answer = app.post("/v1/register", &json!({"email": email, "password": PASSWORD}));
            assert_eq!(answer.faults(), faults(&[("email", "invalid_email")]), "{email}");
        }
        let long = format!("{}@example.com", "x".repeat(250));
        let answer = app.post("/v1/register", &json!({"email": long, "password": PASSWORD}));
        assert_eq!(answer.faults(), faults(&[("email", "too_long")]));
        assert_eq!(world.count("registration_details"), 0);
    }
}

#[test]
fn the_rules_are_published() {
    let app = crate::support::World::sqlite().app();
    let policy = app.get("/v1/password-policy").is(200).json();
    let expected: Value = json!({
        "min_length": 8, "max_length": 256, "max_bytes": 1024, "recommended_length": 15,
        "refuses_common": true, "refuses_own_name": true, "refuses_breached": false,
    });
    assert_eq!(policy, expected);
    assert_eq!(app.get("/v1/config").json()["password_policy"], expected);
}
