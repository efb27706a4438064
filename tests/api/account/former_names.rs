//! Access tokens that contain an e-mail address that another user has taken meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hallpass::clock::Clock;
use hallpass::domain::UtcTime;
use hallpass::flows::{ImportChoices, import_django};
use hallpass::store::django_source::{DjangoAccounts, DjangoExtras, DjangoUser};
use serde_json::{Value, json};

use crate::HAS_DRF;
use crate::support::{PASSWORD, SECOND, TestApp, Tokens, World, on_both, wait_for};

const MINA: &str = "mina@example.com";
const MOVED: &str = "moved@example.com";

/// The user renames the own account. The access token stays valid: no other user has the name yet.
fn rename(app: &TestApp, user: &Tokens, name: &str) {
    app.as_holder("PATCH", "/v1/me", &user.access, &json!({"username": name})).is(200);
    app.me(&user.access).is(200);
}

fn is_revoked(app: &TestApp, token: &str) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    app.token_verify(token).refused(401, "token_revoked");
    app.send("GET", "/v1/forward-auth", &headers, "").refused(401, "token_revoked");
    app.me(token).refused(401, "token_revoked");
}

/// The session continues: a refresh returns a token with the present names.
fn goes_on(app: &TestApp, user: &Tokens, username: &str) {
    let next = app.refresh(&user.refresh).is(200).tokens();
    assert_eq!(next.session, user.session);
    assert_eq!(app.token_verify(&next.access).is(200).json()["username"], username);
}

/// The clock of an import that takes longer than instances look back for revocations.
struct ClockOfLongImport {
    end: UtcTime,
    has_begun: AtomicBool,
}

impl Clock for ClockOfLongImport {
    fn now(&self) -> UtcTime {
        let has_begun = self.has_begun.swap(true, Ordering::Relaxed);
        if has_begun { self.end } else { self.end.before(SECOND * 90) }
    }

    fn time_until(&self, time: UtcTime) -> Duration {
        time.remaining(self.end)
    }
}

/// Imports accounts of a Django site: user ids, user names and addresses.
fn import(world: &World, accounts: &[(i64, &str, &str)]) {
    let users = accounts.iter().enumerate().map(|(index, (id, name, email))| DjangoUser {
        row: index + 1,
        id: *id,
        username: (*name).to_owned(),
        email: (*email).to_owned(),
        password: "!".to_owned(),
        is_active: true,
        is_staff: false,
        is_superuser: false,
        date_joined: UtcTime::from_seconds(1_700_000_000),
        last_login: None,
    });
    let accounts = DjangoAccounts {
        table: "auth_user".to_owned(),
        users: users.collect(),
        addresses: None,
        extras: DjangoExtras::default(),
    };
    let count = accounts.users.len();
    let clock = Arc::new(ClockOfLongImport { end: world.clock.now(), has_begun: false.into() });
    let report =
        import_django(&world.db(), accounts, &ImportChoices::default(), clock, |_| ()).unwrap();
    assert_eq!(report.imported, count, "{report:?}");
}

on_both! {
    fn tokens_end_that_tell_an_address_which_another_user_registers(world) {
        let (here, there) = (world.app(), world.app());
        let mina = here.person(&world, MINA);
        let before = mina.access.clone();
        here.move_to(&world, &mina.access, MOVED);
        // The change itself ends no access token of the user who makes it.
        here.me(&before).is(200);
        let owner = here.person_again(&world, MINA, 2);
        is_revoked(&here, &before);
        wait_for("the other instance to learn of it", || {
            (there.token_verify(&before).status == 401).then_some(())
        });
        is_revoked(&there, &before);
        goes_on(&there, &mina, MOVED);
        here.me(&owner.access).is(200);
    }

    fn other_user_names_pass_from_one_account_to_another(world) {
        let app = world.app();
        let (mina, other) = (app.person(&world, MINA), app.person(&world, "other@example.com"));
        rename(&app, &mina, "support");
        rename(&app, &mina, "mina");
        rename(&app, &other, "support");
        rename(&app, &mina, "mina-2");
        goes_on(&app, &mina, "mina-2");
    }

    fn tokens_end_that_tell_an_address_which_staff_gave_another_account(world) {
        if !HAS_DRF {
            return;
        }
        let app = world.app();
        app.superuser(&world, "root@example.com");
        let mina = app.person(&world, MINA);
        let log_in = json!({"username": "root@example.com", "password": PASSWORD}).to_string();
        let json = ("content-type", "application/json");
        let token = app.send_undocumented("POST", "/api-token-auth/", &[json], log_in).is(200).text("token");
        let staff = format!("JWT {token}");
        let headers = [json, ("authorization", staff.as_str())];
        let send = |method: &str, path: &str, body: &Value| app.send_undocumented(method, path, &headers, body.to_string());
        let path = format!("/users/{}/", mina.user_id());
        send("PATCH", &path, &json!({"username": "mina", "email": MOVED})).is(200);
        app.me(&mina.access).is(200);
        send("POST", "/users/", &json!({"username": "another", "email": MINA})).is(201);
        is_revoked(&app, &mina.access);
        goes_on(&app, &mina, "mina");
    }

    fn names_are_remembered_for_as_long_as_tokens_live(world) {
        // The purge has the settings of another instance, or of a later start: five minutes.
        let app = world.app_with(&[("HALLPASS_ACCESS_TOKEN_TTL", "15m")]);
        let mina = app.person(&world, MINA);
        let before = app.log_in(MINA, PASSWORD).is(200).tokens().access;
        app.move_to(&world, &mina.access, MOVED);
        let kept = || world.count("released_names");
        assert!(kept() > 0);
        assert_eq!(world.count(&format!("released_names WHERE user_id <> {}", mina.user_id())), 0);
        world.settle_mail();
        world.advance(SECOND * (14 * 60));
        world.purge();
        assert!(kept() > 0);
        app.token_verify(&before).is(200);
        app.person_again(&world, MINA, 2);
        is_revoked(&app, &before);
        world.settle_mail();
        world.advance(SECOND * 120);
        world.purge();
        assert_eq!(kept(), 0);
    }

    fn tokens_end_that_tell_an_address_which_an_import_brings(world) {
        let app = world.app();
        let mina = app.person(&world, MINA);
        app.move_to(&world, &mina.access, MOVED);
        let mina = app.log_in(MOVED, PASSWORD).is(200).tokens();
        let other = app.person(&world, "other@example.com");
        app.move_to(&world, &other.access, "other2@example.com");
        app.me(&mina.access).is(200);
        import(&world, &[(1000, MINA, ""), (1001, "ravi", "other@example.com")]);
        for before in [&mina, &other] {
            wait_for("the instance to learn of it", || {
                (app.token_verify(&before.access).status == 401).then_some(())
            });
            is_revoked(&app, &before.access);
        }
    }

    #[cfg(feature = "drf-jwt")]
    fn a_django_token_of_an_imported_account_does_not_outlast_it(world) {
        let app = world.app();
        // An imported account whose password the test knows.
        app.person(&world, MINA);
        let hash = world.text("SELECT password_hash AS text FROM users");
        let json = [("content-type", "application/json")];
        let restricted = |token: &str| {
            let authorization = format!("JWT {token}");
            app.send_undocumented("GET", "/restricted/", &[("authorization", &authorization)], "")
        };
        let mut last: Option<String> = None;
        for _ in 0..3 {
            import(&world, &[(1000, "ravi", "ravi@example.com")]);
            world.execute(&format!("UPDATE users SET password_hash = '{hash}' WHERE id = 1000"));
            if let Some(last) = &last {
                restricted(last).is(401);
            }
            let body = json!({"username": "ravi", "password": PASSWORD}).to_string();
            let token = app.send_undocumented("POST", "/api-token-auth/", &json, body).is(200).text("token");
            restricted(&token).is(200);
            let ravi = app.log_in("ravi", PASSWORD).is(200).tokens();
            app.as_holder("DELETE", "/v1/me", &ravi.access, &json!({"password": PASSWORD})).is(204);
            restricted(&token).is(401);
            last = Some(token);
            world.advance(SECOND);
        }
    }
}
