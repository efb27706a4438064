//! Administration of accounts by staff, and its refusal to all others.

use serde_json::{Value, json};

use crate::support::{
    Answer, DAY, PASSWORD, SECOND, TestApp, Tokens, link_token, on_both, shortly_before,
};

const ADMIN: &str = "admin@example.com";
const MINA: &str = "mina@example.com";

fn path(tokens: &Tokens) -> String {
    format!("/v1/users/{}", tokens.user_id())
}

fn change(app: &TestApp, by: &Tokens, of: &Tokens, changes: &Value) -> Answer {
    app.ask_as(&by.access, "PATCH", &path(of), changes)
}

fn create(app: &TestApp, by: &Tokens, body: &Value) -> Answer {
    app.ask_as(&by.access, "POST", "/v1/users", body)
}

fn choose_password(app: &TestApp, token: &str) -> Answer {
    app.post("/v1/password-reset/confirm", &json!({"token": token, "new_password": PASSWORD}))
}

/// A problem without what differs from request to request.
fn anonymous(answer: &Answer) -> Value {
    let mut problem = answer.json();
    problem["request_id"].take();
    problem
}

fn is_over(app: &TestApp, tokens: &Tokens) {
    app.token_verify(&tokens.access).refused(401, "token_revoked");
    app.me(&tokens.access).refused(401, "token_revoked");
    app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
}

on_both! {
    fn users_who_are_not_staff_get_the_same_refusal_for_every_path(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let mina = app.person(&world, MINA);
        let token = &mina.access;
        let expected = anonymous(&app.get_as(token, "/v1/users").refused(403, "permission_denied"));
        let same = |answer: Answer| {
            assert_eq!(anonymous(&answer.refused(403, "permission_denied")), expected);
        };
        same(create(&app, &mina, &json!({"email": "new@example.com"})));
        same(create(&app, &mina, &json!({"email": ADMIN})));
        same(app.get_as(token, "/v1/users?search=admin&limit=1&is_staff=true"));
        let (own, other) = (mina.user_id().to_string(), admin.user_id().to_string());
        for id in [
            own.as_str(), &other, "999", "0", "-1", "x", "%00", "%ff", "1.0", "김", "' OR 1=1",
            "9223372036854775807", "9223372036854775808", "99999999999999999999999",
        ] {
            let path = format!("/v1/users/{id}");
            same(app.get_as(token, &path));
            same(app.ask_as(token, "PATCH", &path, &json!({"is_staff": true})));
            same(app.ask_as(token, "PATCH", &path, &json!({})));
            same(app.delete_as(token, &format!("{path}/sessions")));
            same(app.delete_as(token, &path));
            app.send("DELETE", &path, &[], "").refused(401, "authentication_required");
        }
        assert_eq!(world.count("users"), 2);
        assert_eq!(world.count("users WHERE is_staff"), 1);
        app.refresh(&mina.refresh).is(200);
        app.refresh(&admin.refresh).is(200);
    }

    fn an_unknown_user_is_not_found_for_staff(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        for id in ["999", "0", "-1", "x", "%00", "%ff", "9223372036854775808"] {
            let path = format!("/v1/users/{id}");
            app.get_as(&admin.access, &path).refused(404, "not_found");
            app.ask_as(&admin.access, "PATCH", &path, &json!({"is_staff": true}))
                .refused(404, "not_found");
            app.delete_as(&admin.access, &path).refused(404, "not_found");
            app.delete_as(&admin.access, &format!("{path}/sessions")).refused(404, "not_found");
        }
    }

    fn permissions_follow_the_account_not_the_claims_of_its_token(world) {
        let app = world.app();
        let (admin, other) = (app.staff(&world, ADMIN), app.staff(&world, "other@example.com"));
        assert_eq!(other.claims()["is_staff"], true);
        app.get_as(&other.access, "/v1/users").is(200);
        // Past the API, so that the token goes on saying what it says.
        let set = |is_staff: &str| {
            world.execute(&format!("UPDATE users SET is_staff = {is_staff} WHERE id = {}", other.user_id()));
        };
        set("FALSE");
        app.get_as(&other.access, "/v1/users").refused(403, "permission_denied");
        change(&app, &other, &other, &json!({"is_staff": true})).refused(403, "permission_denied");
        set("TRUE");
        app.get_as(&other.access, "/v1/users").is(200);
        // A change by the API ends the token.
        change(&app, &admin, &other, &json!({"is_staff": false})).is(200);
        app.get_as(&other.access, "/v1/users").refused(401, "token_revoked");
        let other = app.refresh(&other.refresh).is(200).tokens();
        app.get_as(&other.access, "/v1/users").refused(403, "permission_denied");
        change(&app, &admin, &other, &json!({"is_active": false})).is(200);
        app.get_as(&other.access, "/v1/users").refused(401, "token_revoked");
    }

    fn an_account_with_a_password_can_be_used_at_once(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let answer = create(&app, &admin, &json!({
            "email": "Mina@Example.com", "username": "미나", "password": PASSWORD, "locale": "ko-KR",
            "is_staff": true,
        })).is(201);
        let account = answer.json();
        let id = account["user_id"].as_i64().unwrap();
        assert_eq!(answer.header("location"), Some(format!("/v1/users/{id}").as_str()));
        assert_eq!(account, json!({
            "user_id": id, "username": "미나", "email": "Mina@Example.com", "email_verified": false,
            "is_active": true, "disabled_reason": null, "disabled_until": null, "roles": [],
            "app_metadata": {}, "is_staff": true, "is_superuser": false,
            "locale": "ko-KR", "created_at": "2027-01-15T08:00:00.000000Z", "last_login_at": null,
        }));
        let new = app.log_in("미나", PASSWORD).is(200).tokens();
        assert_eq!(app.get_as(&new.access, &path(&new)).json()["last_login_at"], account["created_at"]);
        assert_eq!(world.count("outbox WHERE recipient LIKE 'Mina%' OR recipient LIKE 'mina%'"), 0);
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn an_invitation_lets_its_receiver_choose_the_password_once(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let account = create(&app, &admin, &json!({"email": MINA, "locale": "ko"})).is(201).json();
        assert_eq!((&account["username"], &account["email_verified"]), (&json!(MINA), &json!(false)));
        for password in [PASSWORD, "!", "unusable"] {
            app.log_in(MINA, password).refused(401, "invalid_credentials");
        }
        let mail = world.mails_to(MINA, 1).swap_remove(0);
        assert!(mail.text.contains("http://auth.test/password-reset?token="), "{}", mail.text);
        let token = link_token(&mail);
        let short = json!({"token": token, "new_password": "short"});
        app.post("/v1/password-reset/confirm", &short).refused(422, "validation_failed");
        choose_password(&app, &token).is(204);
        choose_password(&app, &token).refused(401, "one_time_token_invalid");
        let mina = app.log_in(MINA, PASSWORD).is(200).tokens();
        assert_eq!(mina.claims()["email_verified"], true);
        assert_eq!(app.get_as(&admin.access, &path(&mina)).json()["email_verified"], true);
    }

    fn an_invitation_lasts_seven_days_to_the_second(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let tokens = [MINA, "late@example.com"].map(|email| {
            create(&app, &admin, &json!({"email": email})).is(201);
            link_token(&world.mails_to(email, 1)[0])
        });
        world.advance(shortly_before(7 * DAY));
        choose_password(&app, &tokens[0]).is(204);
        world.advance(SECOND);
        choose_password(&app, &tokens[1]).refused(401, "one_time_token_expired");
    }

    fn an_invitation_to_an_account_that_was_switched_off_or_removed_is_void(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        for (email, off) in [(MINA, true), ("gone@example.com", false)] {
            let id = create(&app, &admin, &json!({"email": email})).is(201).json()["user_id"].clone();
            let token = link_token(&world.mails_to(email, 1)[0]);
            let path = format!("/v1/users/{id}");
            if off {
                app.ask_as(&admin.access, "PATCH", &path, &json!({"is_active": false})).is(200);
            } else {
                app.delete_as(&admin.access, &path).is(204);
            }
            choose_password(&app, &token).refused(401, "one_time_token_invalid");
        }
    }

    fn names_and_addresses_that_are_taken_are_refused_to_staff(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let body = json!({"email": MINA, "username": "mina", "password": PASSWORD});
        create(&app, &admin, &body).is(201);
        for (body, code) in [
            (json!({"email": MINA}), "email_taken"),
            (json!({"email": "MINA@EXAMPLE.COM", "username": "new"}), "email_taken"),
            (json!({"email": ADMIN, "username": "new"}), "email_taken"),
            (json!({"email": "new@example.com", "username": "MINA"}), "username_taken"),
            (json!({"email": "new@example.com", "username": "ｍｉｎａ".to_owned()}), "username_taken"),
        ] {
            let answer = create(&app, &admin, &body);
            if code == "username_taken" && answer.status == 422 {
                continue; // Letters that names may not have at all.
            }
            answer.refused(409, code);
        }
        assert_eq!(world.count("users"), 2);
        let faults = create(&app, &admin, &json!({
            "email": "x", "username": "a@b", "password": "short", "locale": "!", "is_staff": 1,
            "is_superuser": true,
        })).faults();
        let fields: Vec<&str> = faults.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["email", "is_staff", "is_superuser", "locale", "password", "username"]);
    }

    fn an_account_that_is_switched_off_is_out_at_once_and_stays_out(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let mina = app.person(&world, MINA);
        let other = app.log_in(MINA, PASSWORD).is(200).tokens();
        let off = json!({"is_active": false, "disabled_reason": "Asked for a pause"});
        let account = change(&app, &admin, &mina, &off).is(200).json();
        assert_eq!((&account["is_active"], &account["disabled_reason"]),
            (&json!(false), &json!("Asked for a pause")));
        is_over(&app, &mina);
        is_over(&app, &other);
        app.log_in(MINA, "the wrong one").refused(401, "invalid_credentials");
        let refused = app.log_in(MINA, PASSWORD).refused(403, "account_disabled");
        assert!(!refused.shown().contains("pause"), "{}", refused.shown());
        assert_eq!(world.count("sessions WHERE end_reason = 'account_disabled'"), 2);
        let account = change(&app, &admin, &mina, &json!({"is_active": true})).is(200).json();
        assert_eq!((&account["is_active"], &account["disabled_reason"]), (&json!(true), &json!(null)));
        is_over(&app, &mina);
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn staff_end_all_sessions_of_a_user(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let mina = [app.person(&world, MINA), app.log_in(MINA, PASSWORD).is(200).tokens()];
        app.delete_as(&admin.access, &format!("{}/sessions", path(&mina[0]))).is(204);
        for tokens in &mina {
            is_over(&app, tokens);
        }
        assert_eq!(world.count("sessions WHERE end_reason = 'ended_by_staff'"), 2);
        app.log_in(MINA, PASSWORD).is(200);
        app.me(&admin.access).is(200);
    }

    fn of_a_removed_account_nothing_stays(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let mina = app.person(&world, MINA);
        app.post("/v1/password-reset", &json!({"email": MINA})).is(202);
        app.register(MINA);
        world.mails_to(MINA, 3);
        app.delete_as(&admin.access, &path(&mina)).is(204);
        is_over(&app, &mina);
        app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        app.get_as(&admin.access, &path(&mina)).refused(404, "not_found");
        app.delete_as(&admin.access, &path(&mina)).refused(404, "not_found");
        for rest in [
            "users WHERE email_norm = 'mina@example.com' OR username_norm = 'mina@example.com'",
            "challenges WHERE user_id <> 1", "outbox WHERE recipient LIKE 'mina@%'",
            "outbox WHERE subject_id LIKE 'mina@%'",
            "sessions WHERE ended_at IS NULL AND device || network <> '' AND user_id <> 1",
        ] {
            assert_eq!(world.count(rest), 0, "{rest}");
        }
        // A user who registers the address later gets a new account.
        let token = app.register(MINA);
        let code = world.mails_so_far(MINA).iter().filter_map(crate::support::proof_in).count();
        let code = world.proof(MINA, code.max(3) + 1).code;
        let anew = app.verify_code(&token, &code).is(200).tokens();
        assert_ne!(anew.user_id(), mina.user_id());
        app.refresh(&mina.refresh).refused(401, "refresh_token_revoked");
    }

    fn staff_rename_within_the_rules(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let mina = app.person(&world, MINA);
        let taken = json!({"username": "taken"});
        create(&app, &admin, &json!({"email": "t@example.com", "username": "Taken"})).is(201);
        change(&app, &admin, &mina, &taken).refused(409, "username_taken");
        let account = change(&app, &admin, &mina, &json!({"username": "미나", "locale": "ko"}));
        let account = account.is(200).json();
        assert_eq!((&account["username"], &account["locale"]), (&json!("미나"), &json!("ko")));
        app.me(&mina.access).is(200);
        for (changes, code) in [
            (json!({"username": "other@example.com"}), "invalid_username"),
            (json!({"disabled_reason": "x".repeat(501)}), "too_long"),
            (json!({"disabled_reason": "a\0b"}), "invalid_format"),
            (json!({"is_active": "no"}), "wrong_type"),
            (json!({"is_superuser": true}), "unknown_field"),
            (json!({"email": "new@example.com"}), "unknown_field"),
            (json!({"password": PASSWORD}), "unknown_field"),
        ] {
            assert_eq!(change(&app, &admin, &mina, &changes).faults()[0].1, code, "{changes}");
        }
        let reason = "é".repeat(500);
        let off = json!({"is_active": false, "disabled_reason": reason});
        assert_eq!(change(&app, &admin, &mina, &off).is(200).json()["disabled_reason"], reason);
    }
}
