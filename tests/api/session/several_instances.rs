//! Three instances on one database: the tokens of a session that one ended are refused by it at
//! once, and by the others after their next sync, within a second in service (`config::tests`).

use hallpass::config::{Config, Timing};
use serde_json::{Value, json};

use crate::support::{
    HOUR, PASSWORD, SECOND, TestApp, Tokens, World, link_token, on_both, proof_in, wait_for,
};

const ADMIN: &str = "admin@example.com";
const OTHER_PASSWORD: &str = "pear tree at dawn";

/// Three instances and a user with two sessions.
struct Instances {
    apps: [TestApp; 3],
    victim: Tokens,
    other: Tokens,
    email: String,
    /// Dropped after the services: they would wait for a database that is gone.
    world: World,
}

impl Instances {
    fn new(world: World) -> Self {
        let apps = [world.app(), world.app(), world.app()];
        let email = "mina@example.com".to_owned();
        let victim = apps[0].person(&world, &email);
        let other = apps[1].log_in(&email, PASSWORD).is(200).tokens();
        for app in &apps {
            for tokens in [&victim, &other] {
                app.token_verify(&tokens.access).is(200);
                app.me(&tokens.access).is(200);
            }
        }
        Self { apps, victim, other, email, world }
    }

    /// The one that acts refuses the tokens at once, the others soon, whichever way they are asked.
    fn all_refuse(&self, tokens: &[&Tokens]) {
        for tokens in tokens {
            self.apps[0].token_verify(&tokens.access).refused(401, "token_revoked");
            self.apps[0].me(&tokens.access).refused(401, "token_revoked");
        }
        for app in &self.apps {
            for tokens in tokens {
                wait_for("every instance to refuse", || {
                    Some(app.token_verify(&tokens.access)).filter(|it| it.code() == "token_revoked")
                });
                let bearer = format!("Bearer {}", tokens.access);
                let headers = [("authorization", bearer.as_str())];
                app.send("GET", "/v1/forward-auth", &headers, "").refused(401, "token_revoked");
                app.me(&tokens.access).refused(401, "token_revoked");
                let list = app.get("/v1/revocations").is(200).json();
                let listed = |it: &Value| it["session_id"] == tokens.session.as_str();
                assert!(list["sessions"].as_array().unwrap().iter().any(listed), "{list}");
                app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
            }
        }
    }

    fn both_are_over(&self) {
        self.all_refuse(&[&self.victim, &self.other]);
    }

    fn only_the_other_is_over(&self) {
        self.all_refuse(&[&self.other]);
        for app in &self.apps {
            app.me(&self.victim.access).is(200);
        }
    }

    /// The list names the account on every instance.
    fn the_account_is_listed(&self) {
        for app in &self.apps {
            let users = app.get("/v1/revocations").is(200).json()["users"].clone();
            assert_eq!(users[0]["user_id"], self.victim.user_id());
            assert_eq!(users[0]["revoked_at"], self.world.now());
        }
    }

    fn path(&self) -> String {
        format!("/v1/users/{}", self.victim.user_id())
    }
}

on_both! {
    fn a_log_out(world) {
        let instances = Instances::new(world);
        instances.apps[0].revoke(&instances.other.refresh).is(204);
        instances.only_the_other_is_over();
    }

    fn one_session_ended_from_another(world) {
        let instances = Instances::new(world);
        let path = format!("/v1/me/sessions/{}", instances.other.session);
        instances.apps[0].delete_as(&instances.victim.access, &path).is(204);
        instances.only_the_other_is_over();
    }

    fn the_other_sessions_ended(world) {
        let instances = Instances::new(world);
        instances.apps[0].delete_as(&instances.victim.access, "/v1/me/sessions").is(204);
        instances.only_the_other_is_over();
    }

    fn a_change_of_the_password(world) {
        let instances = Instances::new(world);
        let body = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
        instances.apps[0].ask_as(&instances.victim.access, "POST", "/v1/password-change", &body).is(204);
        instances.only_the_other_is_over();
        instances.apps[2].log_in(&instances.email, PASSWORD).refused(401, "invalid_credentials");
        instances.apps[2].log_in(&instances.email, OTHER_PASSWORD).is(200);
    }

    fn a_reset_of_the_password(world) {
        let instances = Instances::new(world);
        instances.apps[1].post("/v1/password-reset", &json!({"email": instances.email})).is(202);
        let mail = instances.world.mails_to(&instances.email, 2).swap_remove(1);
        let token = proof_in(&mail).unwrap().link_token;
        let body = json!({"token": token, "new_password": OTHER_PASSWORD});
        instances.apps[0].post("/v1/password-reset/confirm", &body).is(204);
        instances.both_are_over();
    }

    fn a_report_of_unauthorized_activity(world) {
        let instances = Instances::new(world);
        let body = json!({"username": instances.email, "password": PASSWORD});
        let headers = [("user-agent", "curl/8.5.0")];
        let thief =
            instances.apps[1].post_with("/v1/token-auth", &headers, &body).is(200).tokens();
        let notice = instances.world.mails_to(&instances.email, 2).swap_remove(1);
        let body = json!({"token": link_token(&notice)});
        instances.apps[0].post("/v1/not-me", &body).is(204);
        instances.all_refuse(&[&thief, &instances.victim, &instances.other]);
    }

    fn all_sessions_ended_by_staff(world) {
        let instances = Instances::new(world);
        let admin = instances.apps[2].staff(&instances.world, ADMIN);
        let path = format!("{}/sessions", instances.path());
        instances.apps[0].delete_as(&admin.access, &path).is(204);
        instances.both_are_over();
        instances.apps[1].me(&admin.access).is(200);
    }

    fn an_account_switched_off(world) {
        let instances = Instances::new(world);
        let admin = instances.apps[2].staff(&instances.world, ADMIN);
        let off = json!({"is_active": false});
        instances.apps[0].ask_as(&admin.access, "PATCH", &instances.path(), &off).is(200);
        instances.both_are_over();
        instances.the_account_is_listed();
        for app in &instances.apps {
            app.log_in(&instances.email, PASSWORD).refused(403, "account_disabled");
        }
    }

    fn an_account_removed_by_staff(world) {
        let instances = Instances::new(world);
        let admin = instances.apps[2].staff(&instances.world, ADMIN);
        instances.apps[0].delete_as(&admin.access, &instances.path()).is(204);
        instances.both_are_over();
        instances.the_account_is_listed();
    }

    fn an_account_removed_by_its_owner(world) {
        let instances = Instances::new(world);
        let body = json!({"password": PASSWORD});
        instances.apps[0].ask_as(&instances.victim.access, "DELETE", "/v1/me", &body).is(204);
        instances.both_are_over();
        instances.the_account_is_listed();
    }

    #[cfg(feature = "drf-jwt")]
    fn an_account_removed_at_the_django_adapter(world) {
        let instances = Instances::new(world);
        instances.apps[2].staff(&instances.world, ADMIN);
        let headers = [("content-type", "application/json")];
        let body = json!({"username": ADMIN, "password": PASSWORD}).to_string();
        let app = &instances.apps[0];
        let answer = app.send_undocumented("POST", "/api-token-auth/", &headers, body).is(200);
        let token = format!("JWT {}", answer.text("token"));
        let path = format!("/users/{}/", instances.victim.user_id());
        app.send_undocumented("DELETE", &path, &[("authorization", &token)], "").is(204);
        instances.both_are_over();
        instances.the_account_is_listed();
    }

    fn a_session_that_had_to_make_room(world) {
        let few = [("HALLPASS_SESSIONS_PER_USER", "2")];
        let apps = [world.app_with(&few), world.app_with(&few), world.app_with(&few)];
        let email = "mina@example.com".to_owned();
        let oldest = apps[0].person(&world, &email);
        world.advance(SECOND);
        let victim = apps[1].log_in(&email, PASSWORD).is(200).tokens();
        let third = apps[0].log_in(&email, PASSWORD).is(200).tokens();
        let instances = Instances { world, apps, victim, other: oldest, email };
        instances.only_the_other_is_over();
        instances.apps[2].me(&third.access).is(200);
    }

    fn a_stolen_refresh_token(world) {
        let instances = Instances::new(world);
        let stolen = &instances.other;
        let next = instances.apps[1].refresh(&stolen.refresh).is(200).tokens();
        instances.world.advance(SECOND * 31);
        // So far moved that each has to look again first.
        for app in &instances.apps {
            app.me(&instances.victim.access).is(200);
        }
        instances.apps[0].refresh(&stolen.refresh).refused(401, "refresh_token_reused");
        instances.all_refuse(&[&next]);
        instances.apps[2].me(&instances.victim.access).is(200);
    }

    fn what_a_session_changes_after_its_end_is_refused_by_an_instance_that_does_not_know_of_it(world) {
        let app = world.app();
        let root = app.superuser(&world, "root@example.com");
        let (id, _) = app.api_key(&root, &["users:read"]);
        let mina = app.person(&world, "mina@example.com");
        let config = world.config(&[]);
        // It reads the ended sessions once, at its start.
        let timing = Timing { sync_period: HOUR, ..config.timing };
        let unaware = world.app_of(Config { timing, ..config });
        let path = format!("/v1/users/{}", mina.user_id());
        for tokens in [&root, &mina] {
            app.revoke(&tokens.refresh).is(204);
            unaware.me(&tokens.access).is(200);
        }
        for (user, method, path, body) in [
            (&mina, "PATCH", "/v1/me", json!({"username": "somebody"})),
            (&mina, "POST", "/v1/me/email", json!({"new_email": "thief@example.com", "password": PASSWORD})),
            (&mina, "POST", "/v1/password-change", json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD})),
            (&mina, "GET", "/v1/me/export", Value::Null),
            (&mina, "DELETE", "/v1/me/sessions", Value::Null),
            (&mina, "DELETE", &format!("/v1/me/sessions/{}", mina.session), Value::Null),
            (&mina, "DELETE", "/v1/me/identities/0198f1e2-0000-7000-8000-000000000000", Value::Null),
            (&mina, "DELETE", "/v1/me", json!({"password": PASSWORD})),
            (&root, "POST", "/v1/api-keys", json!({"name": "x", "scopes": ["introspect"], "password": PASSWORD})),
            (&root, "POST", "/v1/users", json!({"email": "other@example.com", "password": PASSWORD})),
            (&root, "DELETE", &format!("/v1/api-keys/{id}"), Value::Null),
            (&root, "PATCH", &path, json!({"is_active": false})),
            (&root, "DELETE", &path, Value::Null),
            (&root, "DELETE", &format!("{path}/sessions"), Value::Null),
            (&root, "POST", "/v1/users", json!({"email": "new@example.com"})),
        ] {
            unaware.ask_as(&user.access, method, path, &body).refused(401, "token_revoked");
        }
        assert_eq!(world.count("api_keys WHERE revoked_at IS NULL"), 1);
        assert_eq!(world.count("users WHERE is_active AND username <> 'somebody'"), 2);
        assert_eq!(world.count("challenges WHERE kind = 'change_email'"), 0);
        app.log_in("mina@example.com", PASSWORD).is(200);
    }
}
