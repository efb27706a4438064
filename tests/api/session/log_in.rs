//! Log-in with user names and e-mail addresses.

use serde_json::json;

use crate::support::{PASSWORD, SECOND, at_once, on_both};

const MINA: &str = "mina@example.com";

on_both! {
    fn a_person_logs_in_by_name_or_address_in_any_case(world) {
        let app = world.app();
        let body = json!({"email": "Mina@Example.com", "username": "MiNa", "password": PASSWORD});
        let token = app.register_with(&body);
        app.verify_code(&token, &world.proof("Mina@Example.com", 1).code).is(200);
        for name in ["MiNa", "mina", "MINA", "Mina@Example.com", "mina@example.com", "mina ", " mina"] {
            app.log_in(name, PASSWORD).is(200);
        }
        for name in ["mi na", "mina@", "mina@example", "min", ""] {
            assert_ne!(app.log_in(name, PASSWORD).status, 200, "{name}");
        }
    }

    fn an_unknown_name_and_a_wrong_password_are_answered_alike(world) {
        let app = world.app();
        app.person(&world, MINA);
        let shown = |name: &str, password: &str| {
            let answer = app.log_in(name, password).refused(401, "invalid_credentials");
            let mut problem = answer.json();
            problem["request_id"] = "".into();
            let mut headers = answer.headers.clone();
            headers.remove("x-request-id");
            headers.remove("date");
            (problem, headers)
        };
        let wrong = shown(MINA, "not that one");
        assert_eq!(wrong, shown("nobody@example.com", "not that one"));
        // For an unknown user name, the hash of a decoy user is verified, and here there is only
        // one.
        assert_eq!(wrong, shown("nobody", PASSWORD));
        assert_eq!(wrong, shown(MINA, &PASSWORD.to_uppercase()));
        assert_eq!(wrong, shown(MINA, &format!("{PASSWORD} ")));
    }

    fn a_name_that_no_database_can_hold_is_a_wrong_name(world) {
        let app = world.app();
        app.log_in("a\0b", PASSWORD).refused(401, "invalid_credentials");
    }

    fn log_ins_that_renew_one_old_hash_at_once_all_come_in(world) {
        let old = world.app_with(&[("HALLPASS_BCRYPT_COST", "5")]);
        old.person(&world, MINA);
        drop(old);
        let app = world.app();
        for answer in at_once(6, |_| app.log_in(MINA, PASSWORD)) {
            answer.is(200);
        }
        let renewed = "users WHERE password_hash LIKE '$bcrypt-sha256$v=2,t=2b,r=4$%'";
        assert_eq!(world.count(renewed), 1);
    }

    fn a_disabled_account_says_so_after_the_right_password_only(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.execute("UPDATE users SET is_active = false");
        app.log_in(MINA, "not that one").refused(401, "invalid_credentials");
        app.log_in(MINA, PASSWORD).refused(403, "account_disabled");
        app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
        app.me(&tokens.access).refused(401, "token_revoked");
        world.execute("UPDATE users SET is_active = true");
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_taken_username_is_refused_in_any_case(world) {
        let app = world.app();
        let body = |email: &str, name: &str| {
            json!({"email": email, "username": name, "password": PASSWORD})
        };
        let token = app.register_with(&body(MINA, "Straße"));
        app.verify_code(&token, &world.proof(MINA, 1).code).is(200);
        for name in ["Straße", "straße", "STRAßE"] {
            app.post("/v1/register", &body("b@example.com", name)).refused(409, "username_taken");
        }
        app.post("/v1/register", &body("b@example.com", "Strasse")).is(202);
    }

    fn a_username_may_not_look_like_an_address(world) {
        let app = world.app();
        for name in ["mina@other.com", "@", "a b", "", "a/b", "\u{202e}anim"] {
            let body = json!({"email": MINA, "username": name, "password": PASSWORD});
            let faults = app.post("/v1/register", &body).faults();
            assert_eq!(faults, [("username".into(), "invalid_username".into())], "{name}");
        }
        let long = json!({"email": MINA, "username": "x".repeat(151), "password": PASSWORD});
        let faults = app.post("/v1/register", &long).faults();
        assert_eq!(faults, [("username".into(), "too_long".into())]);
        let own = json!({"email": MINA, "username": MINA, "password": PASSWORD});
        app.post("/v1/register", &own).is(202);
    }

    fn the_user_name_of_a_pending_registration_is_not_reserved(world) {
        let app = world.app();
        let body = |email: &str| json!({"email": email, "username": "mina", "password": PASSWORD});
        let first = app.register_with(&body("a@example.com"));
        let second = app.register_with(&body("b@example.com"));
        app.verify_code(&first, &world.proof("a@example.com", 1).code).is(200);
        // The second registration of the user name is verified all the same; its account is named
        // by the address.
        let late = app.verify_code(&second, &world.proof("b@example.com", 1).code).is(200);
        assert_eq!(app.me(&late.tokens().access).json()["username"], "b@example.com");
        app.log_in("b@example.com", PASSWORD).is(200);
    }

    fn the_log_in_is_noted_and_every_session_is_its_own(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        world.advance(SECOND * 60);
        let second = app.log_in(MINA, PASSWORD).is(200).tokens();
        assert_ne!(first.session, second.session);
        let me = app.me(&first.access).is(200).json();
        assert_eq!(me["last_login_at"], "2027-01-15T08:01:00.000000Z");
        assert_eq!(me["created_at"], "2027-01-15T08:00:00.000000Z");
        app.revoke(&second.refresh).is(204);
        app.me(&first.access).is(200);
        app.me(&second.access).refused(401, "token_revoked");
    }

    fn beyond_twenty_sessions_the_oldest_ends(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let mut sessions = vec![first];
        for _ in 1..20 {
            world.advance(SECOND);
            sessions.push(app.log_in(MINA, PASSWORD).is(200).tokens());
        }
        for session in &sessions {
            app.token_verify(&session.access).is(200);
        }
        // A session that is in use is not the oldest.
        world.advance(SECOND);
        sessions[0] = app.refresh(&sessions[0].refresh).is(200).tokens();
        world.advance(SECOND);
        let newest = app.log_in(MINA, PASSWORD).is(200).tokens();
        app.token_verify(&sessions[1].access).refused(401, "token_revoked");
        app.refresh(&sessions[1].refresh).refused(401, "refresh_token_revoked");
        for alive in sessions.iter().enumerate().filter(|(number, _)| *number != 1) {
            app.token_verify(&alive.1.access).is(200);
        }
        app.token_verify(&newest.access).is(200);
        assert_eq!(world.count("sessions WHERE ended_at IS NULL"), 20);
    }
}
