//! Links and codes that the version before mailed, from its tables `registrations` and
//! `one_time_tokens`, answered after the upgrade and while instances of it still run.

use hallpass::clock::{Clock as _, SystemClock};
use hallpass::domain::PlainToken;
use hallpass::domain::secrets::Secrets;
use serde_json::{Value, json};
use std::sync::Barrier;
use std::thread;

use super::versions::{database, migrate_by_hand, migrations};
use crate::client::{Answer, Api, PASSWORD};
use crate::database::Database;
use crate::service::Setup;

/// The first migration that the version before did not have.
const FIRST_OF_THIS_VERSION: &str = "2026-11-29-001301";
const SECRET: &str = "the same before and after the upgrade";
const NEW_PASSWORD: &str = "pear tree at dawn";
const CODE: &str = "123456";
/// Times in the years 2100 and 2001.
const LATER: i64 = 4_102_444_800_000_000;
const EARLIER: i64 = 1_000_000_000_000_000;

fn on_both(story: impl Fn(&Setup, &OldTables)) {
    for (setup, is_postgres) in [(Some(Setup::on_sqlite()), false), (Setup::on_postgres(), true)] {
        let Some(setup) = setup else { continue };
        let setup = setup.with("HALLPASS_SECRET", SECRET);
        let database = database(&setup);
        story(&setup, &OldTables { database, is_postgres });
    }
}

/// The tables of the version before, written as it writes them.
struct OldTables {
    database: Database,
    is_postgres: bool,
}

/// The row of `registrations` that a client holds `holder` of.
struct OldRegistration<'a> {
    name: &'a str,
    user: Option<i64>,
    changes_email: bool,
    is_proven: bool,
    expires_at: i64,
}

impl<'a> OldRegistration<'a> {
    fn pending(name: &'a str, user: Option<i64>) -> Self {
        Self { name, user, changes_email: false, is_proven: false, expires_at: LATER }
    }
}

impl OldTables {
    /// Brings the tables to where the version before left them.
    fn migrate_to_old(&self) {
        let mut all = migrations(self.is_postgres);
        all.retain(|it| it.file_name().unwrap().to_str().unwrap() < FIRST_OF_THIS_VERSION);
        migrate_by_hand(&self.database, &all);
    }

    fn bytes(&self, bytes: &[u8]) -> String {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        if self.is_postgres { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") }
    }

    fn hash(&self, token: &str) -> String {
        self.bytes(&PlainToken::presented(token).hash().0)
    }

    fn code_hash(&self, id: &str) -> String {
        let secrets = Secrets::derive(SECRET.as_bytes());
        self.bytes(&secrets.code_hash(id, &PlainToken::presented(CODE)).0)
    }

    fn insert_user(&self, id: i64, name: &str, is_verified: bool) {
        let email = email(name);
        self.database.execute(&format!(
            "INSERT INTO users (id, username, username_norm, email, email_norm, email_verified, \
             password_hash, is_active, is_staff, is_superuser, locale, created_at, updated_at) \
             VALUES ({id}, '{email}', '{email}', '{email}', '{email}', {is_verified}, '!', TRUE, \
             FALSE, FALSE, 'en', 1, 1)"
        ));
    }

    /// Inserts a registration whose link, code and registration token are named after it.
    fn insert_registration(&self, row: &OldRegistration<'_>) {
        let (name, email) = (row.name, email(row.name));
        let user = row.user.map_or("NULL".to_owned(), |id| id.to_string());
        let proven_at = if row.is_proven { EARLIER.to_string() } else { "NULL".to_owned() };
        self.database.execute(&format!(
            "INSERT INTO registrations (id, user_id, email, email_norm, password_hash, locale, \
             token_hash, link_hash, code_hash, code_tries, wrong_codes, created_at, expires_at, \
             proven_at, changes_email) VALUES ('{name}', {user}, '{email}', '{email}', '!', 'en', \
             {}, {}, {}, 0, 0, {EARLIER}, {}, {proven_at}, {})",
            self.hash(&format!("holder-{name}")),
            self.hash(&format!("link-{name}")),
            self.code_hash(name),
            row.expires_at,
            row.changes_email
        ));
    }

    fn insert_token(&self, name: &str, user: i64, purpose: &str, expires_at: i64) {
        self.database.execute(&format!(
            "INSERT INTO one_time_tokens (id, user_id, purpose, email, detail, link_hash, code_hash, \
             code_tries, wrong_codes, created_at, expires_at) VALUES ('{name}', {user}, '{purpose}', \
             '{}', '', {}, {}, 0, 0, {EARLIER}, {expires_at})",
            email(name),
            self.hash(&format!("link-{name}")),
            self.code_hash(name)
        ));
    }

    /// Compares the old tables with the new ones.
    #[track_caller]
    fn are_in_step(&self) {
        for (old, new) in [
            (
                "SELECT id, user_id, email, email_norm, username, password_hash, locale, token_hash, \
                 link_hash, code_hash, code_tries, wrong_codes, created_at, expires_at, proven_at, \
                 changes_email FROM registrations",
                "SELECT id, user_id, coalesce(email, ''), coalesce(email_norm, ''), username, \
                 coalesce(password_hash, ''), coalesce(locale, 'en'), holder_hash, link_hash, \
                 code_hash, code_tries, wrong_codes, created_at, expires_at, used_at, \
                 kind = 'change_email' FROM challenges LEFT JOIN registration_details \
                 ON challenge_id = id \
                 WHERE kind IN ('registration', 'verify_email', 'change_email')",
            ),
            (
                "SELECT id, user_id, purpose, email, detail, link_hash, code_hash, code_tries, \
                 wrong_codes, created_at, expires_at, used_at FROM one_time_tokens",
                "SELECT id, user_id, kind, email, detail, link_hash, code_hash, code_tries, \
                 wrong_codes, created_at, expires_at, used_at FROM challenges \
                 WHERE kind IN ('reset_password', 'invitation', 'disavow')",
            ),
        ] {
            for (one, other) in [(old, new), (new, old)] {
                let sql = format!("SELECT id AS line FROM ({one} EXCEPT {other}) AS differing");
                assert_eq!(self.database.lines(&sql), Vec::<String>::new(), "{one}");
            }
        }
    }
}

fn email(name: &str) -> String {
    format!("{name}@example.com")
}

/// Expired, but not so long ago that a purge removes it.
fn an_hour_ago() -> i64 {
    SystemClock.now().micros() - 3_600_000_000
}

fn by_code(api: &Api, name: &str, code: &str) -> Answer {
    let body = json!({"registration_token": format!("holder-{name}"), "code": code});
    api.post("/v1/verify-email", &body)
}

fn by_link(api: &Api, name: &str) -> Answer {
    let holder = format!("holder-{name}");
    api.post("/v1/verify-email", &json!({"registration_token": holder, "token": link(name)}))
}

fn link(name: &str) -> String {
    format!("link-{name}")
}

fn reset(api: &Api, proof: &Value) -> Answer {
    let mut body = proof.clone();
    body["new_password"] = json!(NEW_PASSWORD);
    api.post("/v1/password-reset/confirm", &body)
}

#[track_caller]
fn is(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

#[track_caller]
fn refused(answer: &Answer, code: &str) {
    assert_eq!(answer.text("code"), code, "{answer:?}");
}

/// Inserts challenges of every kind that the previous version mails. Their ids are beyond the next
/// ones of Postgres.
fn insert_everything(old: &OldTables) {
    let registration = OldRegistration::pending;
    for (id, name) in (101..).zip(["owner", "other", "reset", "code", "invited", "changed", "used"])
    {
        old.insert_user(id, name, name != "other");
    }
    old.insert_registration(&registration("first", None));
    old.insert_registration(&registration("second", None));
    old.insert_registration(&registration("guessed", None));
    old.insert_registration(&registration("other", Some(102)));
    old.insert_registration(&OldRegistration {
        changes_email: true,
        ..registration("wanted", Some(101))
    });
    old.insert_registration(&OldRegistration {
        is_proven: true,
        ..registration("used", Some(107))
    });
    old.insert_registration(&OldRegistration {
        expires_at: an_hour_ago(),
        ..registration("expired", None)
    });
    old.database.execute(
        "UPDATE registrations SET code_tries = 5, wrong_codes = 5 WHERE id = 'guessed'; \
         UPDATE registrations SET email = '', email_norm = '', password_hash = '' \
         WHERE id = 'expired'",
    );
    old.insert_token("reset", 103, "reset_password", LATER);
    old.insert_token("code", 104, "reset_password", LATER);
    old.insert_token("invited", 105, "invitation", LATER);
    old.insert_token("before", 106, "disavow", LATER);
    old.insert_token("late", 107, "reset_password", an_hour_ago());
}

/// Answers each challenge once, with the response of the version before.
fn answer_everything(api: &Api) {
    for name in ["first", "other"] {
        is(&by_code(api, name, CODE), 200);
    }
    for name in ["second", "wanted", "used", "guessed"] {
        if name == "guessed" {
            refused(&by_code(api, name, CODE), "code_invalid");
        }
        is(&by_link(api, name), 200);
    }
    refused(&by_link(api, "expired"), "one_time_token_expired");
    refused(&by_code(api, "expired", CODE), "one_time_token_expired");
    refused(&by_link(api, "unknown"), "one_time_token_invalid");
    let by_code = json!({"email": email("code"), "code": CODE});
    for proof in [json!({"token": link("reset")}), json!({"token": link("invited")})] {
        is(&reset(api, &proof), 204);
        refused(&reset(api, &proof), "one_time_token_invalid");
    }
    is(&reset(api, &by_code), 204);
    refused(&reset(api, &by_code), "code_invalid");
    refused(&reset(api, &json!({"token": link("late")})), "one_time_token_expired");
    is(&api.post("/v1/not-me", &json!({"token": link("before")})), 204);
    // A challenge is answered at its own endpoint only.
    refused(&api.post("/v1/not-me", &json!({"token": link("first")})), "one_time_token_invalid");
    refused(&reset(api, &json!({"token": link("first")})), "one_time_token_invalid");
}

fn check_outcomes(api: &Api, old: &OldTables) {
    for name in ["reset", "code", "invited"] {
        is(&api.log_in(&email(name), NEW_PASSWORD), 200);
    }
    let emails = "SELECT email AS line FROM users WHERE id IN (101, 106) ORDER BY id";
    assert_eq!(old.database.lines(emails), [email("wanted"), email("before")]);
    old.are_in_step();
}

#[test]
fn challenges_of_the_previous_version_are_answered_after_the_upgrade() {
    on_both(|setup, old| {
        old.migrate_to_old();
        insert_everything(old);
        let service = setup.start();
        old.are_in_step();
        answer_everything(&service.api());
        check_outcomes(&service.api(), old);
    });
}

#[test]
fn challenges_of_the_previous_version_are_answered_beside_it() {
    on_both(|setup, old| {
        let service = setup.start();
        insert_everything(old);
        old.are_in_step();
        answer_everything(&service.api());
        check_outcomes(&service.api(), old);
    });
}

#[test]
fn answers_at_the_previous_version_count_at_this_one() {
    on_both(|setup, old| {
        let service = setup.start();
        let api = service.api();
        insert_everything(old);
        old.database.execute(
            "UPDATE registrations SET code_tries = code_tries + 5 WHERE id = 'first'; \
             UPDATE registrations SET proven_at = 1, user_id = 101 WHERE id = 'second'; \
             DELETE FROM registrations WHERE id = 'wanted'; \
             UPDATE one_time_tokens SET used_at = 1 WHERE id IN ('reset', 'before'); \
             UPDATE one_time_tokens SET wrong_codes = 15 WHERE id = 'code'; \
             DELETE FROM one_time_tokens WHERE id = 'invited'",
        );
        old.are_in_step();
        refused(&by_code(&api, "first", CODE), "code_invalid");
        // The address is the account's that proved it, which has another one.
        refused(&by_link(&api, "second"), "one_time_token_invalid");
        refused(&by_link(&api, "wanted"), "one_time_token_invalid");
        for name in ["reset", "invited"] {
            refused(&reset(&api, &json!({"token": link(name)})), "one_time_token_invalid");
        }
        refused(&reset(&api, &json!({"email": email("code"), "code": CODE})), "code_invalid");
        is(&api.post("/v1/not-me", &json!({"token": link("before")})), 204);
        let email = "SELECT email AS line FROM users WHERE id = 106";
        assert_eq!(old.database.lines(email), ["changed@example.com"], "it was used before");
        old.database.execute("DELETE FROM users WHERE id IN (102, 104)");
        old.are_in_step();
    });
}

#[test]
fn a_step_back_loses_nothing() {
    on_both(|setup, old| {
        let service = setup.start();
        let api = service.api();
        let registration_token = api.register("mina@example.com");
        let mails = crate::mailbox::Mailbox::folder(setup);
        let code = mails.code_for("mina@example.com");
        old.are_in_step();
        service.stop();
        for folder in migrations(old.is_postgres).iter().rev() {
            let name = folder.file_name().unwrap().to_str().unwrap();
            if name >= FIRST_OF_THIS_VERSION {
                let down = std::fs::read_to_string(folder.join("down.sql")).unwrap();
                old.database.execute(&down);
            }
        }
        let known = "SELECT email AS line FROM registrations WHERE link_hash IS NOT NULL";
        assert_eq!(old.database.lines(known), ["mina@example.com"]);
        old.database
            .execute("DELETE FROM __diesel_schema_migrations WHERE version > '20261129001300'");
        let service = setup.start();
        service.api().verify(&registration_token, &code);
        is(&service.api().log_in("mina@example.com", PASSWORD), 200);
        old.are_in_step();
    });
}

/// On Postgres each of the two transactions may wait for the other's row; then one runs again.
#[test]
fn of_an_old_and_a_new_transaction_one_uses_a_challenge() {
    const ROUNDS: usize = 60;
    on_both(|setup, old| {
        drop(setup.start());
        let other = database(setup);
        let quick =
            if old.is_postgres { "SET LOCAL deadlock_timeout = '10ms'" } else { "SELECT 1" };
        let mut won_by_old = 0;
        for round in 0..ROUNDS {
            let name = format!("round-{round}");
            old.insert_registration(&OldRegistration::pending(&name, None));
            let start = Barrier::new(2);
            let use_up = |database: &Database, table: &str, column: &str| {
                start.wait();
                let sql = format!(
                    "UPDATE {table} SET {column} = 1 WHERE id = '{name}' AND {column} IS NULL"
                );
                database.change(quick, &sql)
            };
            let (by_old, by_new) = thread::scope(|scope| {
                let by_old = scope.spawn(|| use_up(&old.database, "registrations", "proven_at"));
                let by_new = use_up(&other, "challenges", "used_at");
                (by_old.join().unwrap(), by_new)
            });
            assert_eq!(by_old + by_new, 1, "round {round}");
            won_by_old += by_old;
        }
        println!("{won_by_old} of {ROUNDS} went to the version before");
        old.are_in_step();
    });
}
