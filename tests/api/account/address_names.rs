//! User names that are the e-mail address of another user: the one who verifies the address gets
//! it.

use hallpass::domain::{Email, PlainPassword, Username};
use hallpass::flows::NewSuperuser;
use hallpass::store::users::search;
use serde_json::{Value, json};

use crate::HAS_DRF;
use crate::support::account::{EMAIL_CHANGED, RESET};
use crate::support::{PASSWORD, TestApp, Tokens, World, bulk_users, on_both, wait_for};

const OWNER: &str = "owner@example.com";
const OLD: &str = "old@example.com";
const RENAMED: &str = "user name of your";

/// A user with the address `OLD`, verified, whose user name is `name`, as an import or staff leave
/// them.
fn holder(world: &World, app: &TestApp, name: &str) -> Tokens {
    app.person(world, OLD);
    let norm = name.to_lowercase();
    world.execute(&format!(
        "UPDATE users SET username = '{name}', username_norm = '{norm}' WHERE email = '{OLD}'"
    ));
    app.log_in(name, PASSWORD).is(200).tokens()
}

fn username(app: &TestApp, holder: &Tokens) -> Value {
    // A renaming ends the access tokens that tell the old name.
    let told = app.me(&holder.access);
    if told.status == 200 {
        return told.json()["username"].clone();
    }
    told.refused(401, "token_revoked");
    app.me(&app.refresh(&holder.refresh).is(200).tokens().access).is(200).json()["username"].clone()
}

/// The account was renamed and its owner told, and the owner of the address has it.
fn released(world: &World, app: &TestApp, holder: &Tokens, owner: i64) {
    assert_eq!(username(app, holder), OLD);
    let mail = world.mail_about(OLD, RENAMED, 1);
    assert!(mail.text.to_lowercase().contains(OWNER) && mail.text.contains(OLD), "{}", mail.text);
    let kinds = format!("events WHERE user_id = {} AND kind = 'profile_changed'", holder.user_id());
    assert_eq!(world.count(&kinds), 1);
    let by_address = app.log_in(OWNER, PASSWORD).is(200).tokens();
    assert_eq!(by_address.user_id(), owner);
    assert_eq!(app.log_in(OLD, PASSWORD).is(200).tokens().user_id(), holder.user_id());
}

on_both! {
    fn a_registration_gets_the_address_that_another_user_has_as_user_name(world) {
        let app = world.app();
        let holder = holder(&world, &app, "Owner@Example.COM");
        let owner = app.person(&world, OWNER);
        assert_eq!(username(&app, &owner), OWNER);
        released(&world, &app, &holder, owner.user_id());
    }

    fn a_user_name_that_is_an_address_in_an_unusual_spelling_is_released(world) {
        let app = world.app();
        app.person(&world, OLD);
        let address = "ada@b\u{fc}cher.example";
        for (number, spelling) in [
            "ada@b\u{fc}\u{ad}cher.example",
            "ada@b\u{fc}cher\u{3002}example",
            "ada@xn--bcher-kva.example",
            "ada\u{ff20}b\u{fc}cher.example",
            "ADA@B\u{dc}CHER.EXAMPLE",
        ].into_iter().enumerate() {
            let norm = Username::normalise(spelling);
            world.execute(&format!("UPDATE users SET username = '{spelling}', username_norm = '{norm}' WHERE email = '{OLD}'"));
            let holder = app.log_in(OLD, PASSWORD).is(200).tokens();
            let bearer = format!("Bearer {}", holder.access);
            let passed = app.send("GET", "/v1/forward-auth", &[("authorization", &bearer)], "").is(200);
            let own_name = format!("user-{}", holder.user_id());
            assert_eq!(passed.header("x-auth-username"), Some(own_name.as_str()), "{spelling}");
            let registered = app.register_with(&json!({"email": address, "username": address, "password": PASSWORD}));
            let owner = app.verify_code(&registered, &world.proof("ada@xn--bcher-kva.example", number + 1).code);
            assert_eq!(username(&app, &holder), OLD, "{spelling}");
            world.execute(&format!("DELETE FROM users WHERE id = {}", owner.is(200).tokens().user_id()));
        }
    }

    fn a_change_of_the_address_gets_it_too(world) {
        let app = world.app();
        let holder = holder(&world, &app, OWNER);
        let mover = app.person(&world, "mover@example.com");
        let body = json!({"new_email": OWNER, "password": PASSWORD});
        let token = app.as_holder("POST", "/v1/me/email", &mover.access, &body).is(202).text("registration_token");
        app.verify_code(&token, &world.proof(OWNER, 1).code).is(200);
        released(&world, &app, &holder, mover.user_id());
    }

    fn an_address_that_is_reverted_to_its_owner_is_released(world) {
        let app = world.app();
        let owner = app.person(&world, OWNER);
        app.move_to(&world, &owner.access, "thief@evil.example");
        let link = world.link_about(OWNER, EMAIL_CHANGED, 1);
        // As staff leave it meanwhile: another account is called like the address.
        let holder = holder(&world, &app, OWNER);
        app.not_me(&link).is(204);
        app.reset_by_link(&world.link_about(OWNER, RESET, 1), PASSWORD).is(204);
        released(&world, &app, &holder, owner.user_id());
    }

    fn a_reset_that_verifies_the_address_gets_it_too(world) {
        let app = world.app();
        let holder = holder(&world, &app, OWNER);
        let owner = app.person(&world, "mover@example.com");
        // As staff leave it: the address of the account, unverified.
        world.execute(&format!("UPDATE users SET email = '{OWNER}', email_norm = '{OWNER}', email_verified = FALSE WHERE id = {}", owner.user_id()));
        app.ask_reset(OWNER).is(202);
        app.reset_by_link(&world.link_about(OWNER, RESET, 1), PASSWORD).is(204);
        released(&world, &app, &holder, owner.user_id());
    }

    fn with_optional_verification_the_address_is_released_when_it_is_verified(world) {
        let app = world.app_with(&[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let first = json!({"email": OLD, "password": PASSWORD});
        let token = app.post("/v1/register", &first).is(201).text("registration_token");
        app.verify_code(&token, &world.proof(OLD, 1).code).is(200);
        world.execute(&format!("UPDATE users SET username = '{OWNER}', username_norm = '{OWNER}'"));
        let holder = app.log_in(OWNER, PASSWORD).is(200).tokens();
        let body = json!({"email": OWNER, "password": "another plum tree"});
        let registered = app.post("/v1/register", &body).is(201);
        // Nothing changes for the other account before the address is verified.
        assert_eq!(app.log_in(OWNER, PASSWORD).is(200).tokens().user_id(), holder.user_id());
        let code = world.proof(OWNER, 1).code;
        app.verify_code(&registered.text("registration_token"), &code).is(200);
        assert_eq!(username(&app, &holder), OLD);
        let owner = app.log_in(OWNER, "another plum tree").is(200).tokens();
        assert_eq!(owner.user_id(), registered.tokens().user_id());
        // The name that the account had until then was a placeholder.
        assert_eq!(username(&app, &owner), OWNER);
        if HAS_DRF {
            let body = json!({"username": OWNER, "password": "another plum tree"}).to_string();
            let json = [("content-type", "application/json")];
            app.send_undocumented("POST", "/api-token-auth/", &json, body).is(200);
        }
    }

    fn a_superuser_of_the_command_line_gets_the_address_too(world) {
        let app = world.app();
        let holder = holder(&world, &app, OWNER);
        let owner = world.flows().create_superuser(NewSuperuser {
            username: Username::unchecked("boss"),
            email: Some(Email::parse(OWNER).unwrap()),
            password: PlainPassword::parse(PASSWORD).unwrap(),
            allow_weak_password: false,
        }).unwrap();
        wait_for("the service to learn of it", || {
            (app.me(&holder.access).status == 401).then_some(())
        });
        released(&world, &app, &holder, owner.id.0);
    }

    fn an_account_without_an_address_of_its_own_is_named_by_its_user_id(world) {
        let app = world.app();
        let holder = holder(&world, &app, OWNER);
        world.execute(&format!("UPDATE users SET email = NULL, email_norm = NULL, email_verified = FALSE WHERE email = '{OLD}'"));
        let id = holder.user_id();
        // Another user has the first choice.
        app.person(&world, "third@example.com");
        world.execute(&format!("UPDATE users SET username = 'user-{id}', username_norm = 'user-{id}' WHERE email = 'third@example.com'"));
        app.person(&world, OWNER);
        assert_eq!(username(&app, &holder), format!("user-{id}-2"));
        app.log_in(&format!("user-{id}-2"), PASSWORD).is(200);
    }

    fn the_owner_of_a_renamed_account_is_notified_at_an_address_that_is_not_verified(world) {
        let app = world.app();
        // As an import leaves it, or staff at the Django REST adapter.
        let holder = holder(&world, &app, OWNER);
        world.execute(&format!("UPDATE users SET email_verified = FALSE WHERE email = '{OLD}'"));
        app.person(&world, OWNER);
        let own_name = format!("user-{}", holder.user_id());
        assert_eq!(username(&app, &holder), own_name);
        let mail = world.mail_about(OLD, RENAMED, 1);
        assert!(mail.text.contains(OWNER) && mail.text.contains(&own_name), "{}", mail.text);
        // The address may belong to another person, who must not end the sessions of the account.
        for part in [&mail.text, &mail.html] {
            assert!(!part.contains("token="), "{part}");
        }
        assert_eq!(world.count("challenges WHERE kind = 'disavow' AND link_hash IS NOT NULL"), 0);
    }

    #[cfg(feature = "drf-jwt")]
    fn the_owner_of_a_renamed_account_that_staff_made_is_notified(world) {
        let app = world.app();
        let root = app.superuser(&world, "root@example.com");
        let body = json!({"username": "root@example.com", "password": PASSWORD}).to_string();
        let headers = [("content-type", "application/json")];
        let token = app.send_undocumented("POST", "/api-token-auth/", &headers, body).is(200).text("token");
        let authorization = format!("JWT {token}");
        let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
        let body = json!({"username": OWNER, "email": OLD}).to_string();
        app.send_undocumented("POST", "/users/", &headers, body).is(201);
        let owner = app.person(&world, OWNER);
        assert_ne!(owner.user_id(), root.user_id());
        let mail = world.mail_about(OLD, RENAMED, 1);
        assert!(mail.text.contains(OWNER) && mail.text.contains("user-"), "{}", mail.text);
        assert!(!mail.text.contains("token="), "{}", mail.text);
    }

    fn accounts_named_by_addresses_of_other_domains_are_not_looked_at(world) {
        drop(world.app());
        bulk_users::insert(&world, 500);
        let name = "'info@d' || id || '.example'";
        world.execute(&format!("UPDATE users SET username = {name}, username_norm = {name} WHERE id <= 499"));
        let unusual = "'info@d\u{fc}' || id || '.example'";
        world.execute(&format!("UPDATE users SET username = {unusual}, username_norm = {unusual} WHERE id = 500"));
        let found = |email: &str| {
            let email = Email::parse(email).unwrap();
            let found = world.db().read(|conn| search::find_named_like(conn, &email)).unwrap();
            found.into_iter().map(|(id, _)| id.0).collect::<Vec<i64>>()
        };
        assert_eq!(found("info@new.example"), [500]);
        assert_eq!(found("info@d7.example"), [7, 500]);
        assert_eq!(found("inf@d7.example"), [0_i64; 0]);
    }

    #[cfg(feature = "drf-jwt")]
    fn a_django_token_of_the_renamed_account_opens_nothing(world) {
        let app = world.app();
        holder(&world, &app, OWNER);
        let body = json!({"username": OWNER, "password": PASSWORD}).to_string();
        let headers = [("content-type", "application/json")];
        let token = app.send_undocumented("POST", "/api-token-auth/", &headers, body).is(200).text("token");
        world.advance(crate::support::SECOND * 2);
        app.person(&world, OWNER);
        let authorization = format!("JWT {token}");
        app.send_undocumented("GET", "/restricted/", &[("authorization", &authorization)], "").is(401);
    }

    fn forward_auth_never_names_another_users_address(world) {
        let app = world.app();
        let holder = holder(&world, &app, OWNER);
        let named = |tokens: &Tokens| {
            let bearer = format!("Bearer {}", tokens.access);
            let answer = app.send("GET", "/v1/forward-auth", &[("authorization", &bearer)], "").is(200);
            answer.header("x-auth-username").unwrap().to_owned()
        };
        assert_eq!(named(&holder), format!("user-{}", holder.user_id()));
        let other = app.person(&world, "mina@example.com");
        assert_eq!(named(&other), "mina@example.com");
        world.execute("UPDATE users SET email_verified = FALSE WHERE email = 'mina@example.com'");
        let unverified = app.log_in("mina@example.com", PASSWORD).is(200).tokens();
        assert_eq!(named(&unverified), format!("user-{}", other.user_id()));
        world.execute("UPDATE users SET username = 'mina', username_norm = 'mina' WHERE email = 'mina@example.com'");
        assert_eq!(named(&app.log_in("mina", PASSWORD).is(200).tokens()), "mina");
    }

    #[cfg(feature = "drf-jwt")]
    fn staff_cannot_give_an_account_the_address_of_another_in_letters_of_another_width(world) {
        let app = world.app();
        app.superuser(&world, "root@example.com");
        let owner = app.register_with(&json!({"email": OWNER, "username": "chief", "password": PASSWORD}));
        let owner = app.verify_code(&owner, &world.proof(OWNER, 1).code).is(200).tokens();
        let clerk = app.person(&world, OLD);
        let json = ("content-type", "application/json");
        let body = json!({"username": "root@example.com", "password": PASSWORD}).to_string();
        let token = app.send_undocumented("POST", "/api-token-auth/", &[json], body).is(200).text("token");
        let authorization = format!("JWT {token}");
        let headers = [json, ("authorization", authorization.as_str())];
        for spelling in ["\u{ff4f}wner@example.com", "owner\u{ff20}example.com", "OWNER@example.com"] {
            let body = json!({"username": spelling, "email": ""});
            for (method, path) in [("PATCH", format!("/users/{}/", clerk.user_id())), ("POST", "/users/".to_owned())] {
                app.send_undocumented(method, &path, &headers, body.to_string()).is(400);
            }
        }
        assert_eq!(app.log_in(OWNER, PASSWORD).is(200).tokens().user_id(), owner.user_id());
    }

    fn names_of_placeholders_cannot_be_chosen(world) {
        let app = world.app();
        let root = app.superuser(&world, "root@example.com");
        let mina = app.person(&world, "mina@example.com");
        for name in ["user-1", "USER-1-2", "user-2026"] {
            let body = json!({"email": OWNER, "username": name, "password": PASSWORD});
            app.post("/v1/register", &body).refused(409, "username_taken");
            app.as_holder("POST", "/v1/users", &root.access, &body).refused(409, "username_taken");
            let body = json!({"username": name});
            app.as_holder("PATCH", "/v1/me", &mina.access, &body).refused(409, "username_taken");
            let path = format!("/v1/users/{}", mina.user_id());
            app.as_holder("PATCH", &path, &root.access, &body).refused(409, "username_taken");
            if HAS_DRF {
                let body = json!({"username": "root@example.com", "password": PASSWORD}).to_string();
                let json = ("content-type", "application/json");
                let token = app.send_undocumented("POST", "/api-token-auth/", &[json], body).is(200).text("token");
                let authorization = format!("JWT {token}");
                let headers = [json, ("authorization", authorization.as_str())];
                let body = json!({"username": name, "email": ""}).to_string();
                app.send_undocumented("POST", "/users/", &headers, body).is(400);
            }
        }
        // An account that has such a name keeps it.
        let id = mina.user_id();
        world.execute(&format!("UPDATE users SET username = 'user-{id}', username_norm = 'user-{id}' WHERE id = {id}"));
        let mina = app.log_in("mina@example.com", PASSWORD).is(200).tokens();
        app.as_holder("PATCH", "/v1/me", &mina.access, &json!({"username": format!("user-{id}")})).is(200);
        app.as_holder("PATCH", "/v1/me", &mina.access, &json!({"username": "user-mina"})).is(200);
    }

    fn an_account_gets_a_name_although_all_short_ones_are_taken(world) {
        let app = world.app();
        let holder = holder(&world, &app, OWNER);
        world.execute(&format!("UPDATE users SET email_verified = FALSE WHERE email = '{OLD}'"));
        let id = holder.user_id();
        let name = format!("'user-{id}' || CASE WHEN i = 1 THEN '' ELSE '-' || i END");
        world.execute(&format!(
            "INSERT INTO users (username, username_norm, email_verified, password_hash, is_active, \
             is_staff, is_superuser, locale, created_at, updated_at) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120) \
             SELECT {name}, {name}, FALSE, '!', TRUE, FALSE, FALSE, 'en', 0, 0 FROM n"
        ));
        let owner = app.person(&world, OWNER);
        assert_eq!(username(&app, &owner), OWNER);
        let renamed = username(&app, &holder);
        assert!(renamed.as_str().unwrap().starts_with(&format!("user-{id}-")), "{renamed}");
    }

    fn two_accounts_never_have_one_name_at_a_proxy(world) {
        let app = world.app();
        let holder = holder(&world, &app, OWNER);
        let other = app.person(&world, "mina@example.com");
        // As an import or an earlier version leaves it.
        let name = format!("user-{}", holder.user_id());
        world.execute(&format!("UPDATE users SET username = '{name}', username_norm = '{name}' WHERE email = 'mina@example.com'"));
        let other_tokens = app.log_in("mina@example.com", PASSWORD).is(200).tokens();
        for (tokens, id) in [(&holder, holder.user_id()), (&other_tokens, other.user_id())] {
            let bearer = format!("Bearer {}", tokens.access);
            let answer = app.send("GET", "/v1/forward-auth", &[("authorization", &bearer)], "").is(200);
            assert_eq!(answer.header("x-auth-username"), Some(format!("user-{id}").as_str()));
        }
    }

    fn staff_create_the_account_of_an_address_that_is_only_a_user_name(world) {
        let app = world.app();
        let root = app.superuser(&world, "root@example.com");
        let holder = holder(&world, &app, OWNER);
        let made = app.as_holder("POST", "/v1/users", &root.access, &json!({"email": OWNER})).is(201).json();
        assert_eq!(made["email"], OWNER);
        // Nothing changes for the other account before the address is verified.
        assert_eq!(app.log_in(OWNER, PASSWORD).is(200).tokens().user_id(), holder.user_id());
        app.reset_by_link(&crate::support::link_token(&world.mails_to(OWNER, 1)[0]), PASSWORD).is(204);
        let owner = made["user_id"].as_i64().or_else(|| made["user_id"].as_str()?.parse().ok()).unwrap();
        released(&world, &app, &holder, owner);
        assert_eq!(username(&app, &app.log_in(OWNER, PASSWORD).is(200).tokens()), OWNER);
    }
}
