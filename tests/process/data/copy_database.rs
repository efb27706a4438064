//! `hallpass copy-database` from SQLite to Postgres, and back.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::client::{Api, PASSWORD};
use crate::copying::{copy, file, sqlite_url};
use crate::enough::Enough;
use crate::mailbox::Mailbox;
use crate::postgres;
use crate::postgres::free_port;
use crate::service::{Finished, Setup};
use crate::sql::{self, MIRRORS};
use crate::waiting::wait_until;

const NEW_PASSWORD: &str = "a lantern on the pier";

fn copied(setup: &Setup, from: &str, to: &str) -> Finished {
    let finished = copy(setup, from, to);
    assert!(finished.success, "{}\n{}", finished.stdout, finished.stderr);
    finished
}

/// A service whose tokens stay good wherever its data is.
fn setup() -> Setup {
    Setup::on_sqlite()
        .with("HALLPASS_SECRET", "the same in every place, 32 bytes and more")
        .with("HALLPASS_PUBLIC_URL", "http://localhost:8000")
}

/// The tokens of a user.
struct BeforeCopy {
    access_token: String,
    refresh_token: String,
    reset_code: String,
    deleted_user: u64,
}

fn user_id(api: &Api, token: &str) -> u64 {
    api.verify_token(token).text("sub").parse().unwrap()
}

/// Fills the file by requests: accounts, sessions, a refresh, and a pending reset, verification and
/// mail.
fn use_it(setup: Setup, mailbox: &Mailbox) -> (Setup, BeforeCopy) {
    let service = setup.start();
    let api = service.api();
    for address in ["mina@example.com", "noa@example.com"] {
        let token = mailbox.new_account(&api, address);
        let profile = json!({"metadata": {"이름": "민아 \u{1F511} \"x\" \\ \t"}});
        let answer = api.send("PATCH", "/v1/me", &token, &profile);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let session = api.log_in("mina@example.com", PASSWORD);
    let refresh = json!({"refresh_token": session.text("refresh_token")});
    let session = api.post("/v1/token-refresh", &refresh);

    let gone = mailbox.new_account(&api, "gone@example.com");
    let deleted_user = user_id(&api, &gone);
    let deleted = api.send("DELETE", "/v1/me", &gone, &json!({"password": PASSWORD}));
    assert_eq!(deleted.status, 204, "{deleted:?}");

    api.post("/v1/password-reset", &json!({"email": "noa@example.com"}));
    let codes_of_noa = || mailbox.codes().remove("noa@example.com").unwrap();
    wait_until("the code for a reset", || codes_of_noa().len() == 2);
    let reset_code = codes_of_noa().remove(1);
    let access_token = session.text("access_token");
    let refresh_token = session.text("refresh_token");
    service.stop();

    // The mail server is away, and then the service is killed.
    let nobody = format!("smtp://127.0.0.1:{}", free_port());
    let setup =
        setup.with("HALLPASS_SMTP_URL", &nobody).with("HALLPASS_MAIL_FROM", "a@example.com");
    let service = setup.start();
    service.api().register("late@example.com");
    service.kill();
    let setup = setup.without("HALLPASS_SMTP_URL").without("HALLPASS_MAIL_FROM");
    (setup, BeforeCopy { access_token, refresh_token, reset_code, deleted_user })
}

/// Asserts that tokens, passwords and codes from before the copy are valid.
fn goes_on(setup: &Setup, mailbox: &Mailbox, held: &BeforeCopy) {
    let service = setup.start();
    let api = service.api();
    let answer = api.verify_token(&held.access_token);
    assert_eq!(answer.status, 200, "{answer:?}");
    let refresh = json!({"refresh_token": held.refresh_token});
    let refreshed = api.post("/v1/token-refresh", &refresh);
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let profile = api.send("GET", "/v1/me", &refreshed.text("access_token"), &json!({}));
    assert_eq!(profile.body["metadata"]["이름"], "민아 \u{1F511} \"x\" \\ \t");

    let reset = json!({
        "email": "noa@example.com", "code": held.reset_code, "new_password": NEW_PASSWORD,
    });
    let answer = api.post("/v1/password-reset/confirm", &reset);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(api.log_in("noa@example.com", NEW_PASSWORD).status, 200);
    assert_eq!(api.log_in("noa@example.com", PASSWORD).status, 401);
    assert_eq!(api.log_in("gone@example.com", PASSWORD).status, 401);

    // The queued mail is sent, and the user id of a deleted account is not assigned again.
    mailbox.wait_for(["late@example.com"], Duration::from_secs(30));
    let next = mailbox.new_account(&api, "next@example.com");
    assert_eq!(user_id(&api, &next), held.deleted_user + 1);
    service.stop();
}

#[test]
fn a_service_goes_on_in_postgres_where_it_was_in_sqlite() {
    let Some(postgres) = postgres::fresh_schema() else { return };
    let setup = setup();
    let mailbox = Mailbox::folder(&setup);
    let (setup, held) = use_it(setup, &mailbox);
    let before = sql::everything(&file(&setup));
    for table in
        ["users", "sessions", "refresh_tokens", "challenges", "registration_details", "outbox"]
    {
        assert!(!before[table].is_empty(), "nothing in {table}");
    }
    let finished = copied(&setup, &sqlite_url(&file(&setup)), &postgres);
    let copied_tables = before.len() - MIRRORS.len();
    assert_eq!(finished.stdout.matches("equal").count(), copied_tables, "{}", finished.stdout);
    assert!(finished.stderr.contains("copied users: 2 of 2"), "{}", finished.stderr);
    assert_eq!(sql::everything(&file(&setup)), before, "the source was changed");

    let back = setup.folder().join("new folder/back?.db");
    copied(&setup, &postgres, &sqlite_url(&back));
    assert_eq!(sql::everything(&back), before);

    goes_on(&setup.with("DATABASE_URL", &postgres), &mailbox, &held);
}

#[test]
fn a_service_goes_on_in_sqlite_where_it_was_in_postgres() {
    let Some(postgres) = postgres::fresh_schema() else { return };
    let setup = setup().with("DATABASE_URL", &postgres);
    let mailbox = Mailbox::folder(&setup);
    let (setup, held) = use_it(setup, &mailbox);
    copied(&setup, &postgres, &sqlite_url(&file(&setup)));
    goes_on(&setup.without("DATABASE_URL"), &mailbox, &held);
}

#[test]
fn every_column_of_every_table_arrives() {
    let Some(postgres) = postgres::fresh_schema() else { return };
    let setup = Setup::on_sqlite();
    assert!(setup.run(&["migrate"]).success);
    sql::fill_every_column(&file(&setup));
    let before = sql::everything(&file(&setup));
    let back = setup.folder().join("back.db");
    copied(&setup, &sqlite_url(&file(&setup)), &postgres);
    copied(&setup, &postgres, &sqlite_url(&back));
    assert_eq!(sql::everything(&back), before);
    let beside = setup.folder().join("beside.db");
    copied(&setup, &sqlite_url(&back), &sqlite_url(&beside));
    assert_eq!(sql::everything(&beside), before);
    let Some(other) = postgres::fresh_schema() else { return };
    let finished = copied(&setup, &postgres, &other);
    let copied_tables = before.len() - MIRRORS.len();
    assert_eq!(finished.stdout.matches("equal").count(), copied_tables, "{}", finished.stdout);
}

#[test]
fn a_copy_is_of_one_moment_while_the_service_goes_on() {
    let Some(postgres) = postgres::fresh_schema() else { return };
    for setup in [Setup::on_sqlite(), Setup::on_sqlite().with("DATABASE_URL", &postgres)] {
        // Migrations of other tests in this database would be a warning of the service.
        assert!(setup.run(&["migrate"]).success);
        let service = setup.start();
        let enough = Enough::default();
        thread::scope(|scope| {
            let copying = enough.beside();
            let (api, enough) = (service.api(), &enough);
            scope.spawn(move || {
                for number in 0.. {
                    if enough.is_told() {
                        break;
                    }
                    api.register(&format!("person-{number}@example.com"));
                }
            });
            let from = if setup.has("DATABASE_URL") {
                postgres.clone()
            } else {
                sqlite_url(&file(&setup))
            };
            let copies: Vec<PathBuf> =
                (0..5).map(|number| setup.folder().join(format!("copy-{number}.db"))).collect();
            let outcomes: Vec<Finished> =
                copies.iter().map(|to| copy(&setup, &from, &sqlite_url(to))).collect();
            drop(copying);
            for (to, outcome) in copies.iter().zip(outcomes) {
                assert!(outcome.success, "{}\n{}", outcome.stdout, outcome.stderr);
                // A registration and its mail are written together.
                let alone = "registration_details r WHERE NOT EXISTS \
                             (SELECT 1 FROM outbox o WHERE o.subject_id = r.challenge_id)";
                assert_eq!(sql::count_sqlite(to, alone), 0);
            }
        });
        assert_eq!(service.log().matches(" WARN ").count(), 0, "{}", service.log());
    }
}

/// Returns a service with enough accounts that a copy takes a while.
fn with_many_users() -> Setup {
    let setup = Setup::on_sqlite();
    assert!(setup.run(&["migrate"]).success);
    sql::change_sqlite(
        &file(&setup),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
         INSERT INTO users (username, username_norm, email_verified, password_hash, is_active,
             is_staff, is_superuser, locale, created_at, updated_at)
         SELECT 'p' || i, 'p' || i, 0, 'x', 1, 0, 0, 'en', i, i FROM n",
    );
    setup
}

const HALF_WAY: &str = "copied users: 10000 of 30000";

#[test]
fn kill_9_in_the_middle_leaves_an_empty_postgres() {
    let Some(postgres) = postgres::fresh_schema() else { return };
    let setup = with_many_users();
    let from = sqlite_url(&file(&setup));
    let arguments = ["copy-database", "--from", &from, "--to", &postgres];
    setup.kill_when_it_says(&arguments, HALF_WAY);
    assert_eq!(sql::count_postgres(&postgres, "users"), 0);
}

#[test]
fn kill_9_in_the_middle_leaves_an_empty_file() {
    let setup = with_many_users();
    let (from, to) = (sqlite_url(&file(&setup)), setup.folder().join("target.db"));
    let arguments = ["copy-database", "--from", &from, "--to", &sqlite_url(&to)];
    setup.kill_when_it_says(&arguments, HALF_WAY);
    assert_eq!(sql::count_sqlite(&to, "users"), 0);
    copied(&setup, &from, &sqlite_url(&to));
    assert_eq!(sql::count_sqlite(&to, "users"), 30_000);
}
