//! A Postgres whose transactions are stricter than ours need, and conflicts between transactions.

use std::thread;
use std::time::Duration;

use super::assert_unavailable;
use crate::client::PASSWORD;
use crate::mailbox::Mailbox;
use crate::postgres::Cluster;
use crate::service::Setup;
use crate::sql::change_postgres;

const MINA: &str = "mina@example.com";

#[test]
fn a_stricter_default_isolation_refuses_no_request() {
    for level in ["serializable", "repeatable read"] {
        let Some(cluster) = Cluster::start_new() else { return };
        let default =
            format!("ALTER DATABASE postgres SET default_transaction_isolation = '{level}'");
        change_postgres(&cluster.url(), &default);
        let setup = Setup::on_sqlite()
            .with("DATABASE_URL", &cluster.url())
            .with("HALLPASS_LIMITS", "on")
            .with("HALLPASS_LIMIT_NETWORK", "1000/1m");
        let service = setup.start();
        Mailbox::folder(&setup).new_account(&service.api(), MINA);
        thread::scope(|scope| {
            for _ in 0..4 {
                let api = service.api();
                scope.spawn(move || {
                    for _ in 0..5 {
                        let answer = api.log_in(MINA, PASSWORD);
                        assert_eq!(answer.status, 200, "{answer:?}");
                        let answer = api.refresh(&answer.text("refresh_token"));
                        assert_eq!(answer.status, 200, "{answer:?}");
                    }
                });
            }
        });
    }
}

/// Makes every log-in fail, from the outside: a trigger that refuses new sessions until a sequence,
/// which no rollback sets back, has reached `until`.
fn conflicts(state: &str, until: u32) -> String {
    format!(
        "CREATE SEQUENCE tries; \
         CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('tries') < {until} THEN RAISE EXCEPTION 'a conflict' USING ERRCODE = '{state}'; \
         END IF; RETURN NEW; END $$; \
         CREATE TRIGGER conflicts BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION conflict()"
    )
}

const NO_CONFLICTS: &str =
    "DROP TRIGGER conflicts ON sessions; DROP FUNCTION conflict; DROP SEQUENCE tries";

#[test]
fn a_conflict_is_tried_again_and_an_attempt_that_fails_for_it_does_not_count() {
    let Some(setup) = Setup::with_tables_on_postgres() else { return };
    let setup = setup.with("HALLPASS_LIMITS", "on");
    let url = setup.database_url();
    let service = setup.start();
    let api = service.api();
    Mailbox::folder(&setup).new_account(&api, MINA);
    for state in ["40001", "40P01"] {
        change_postgres(&url, &conflicts(state, 3));
        let answer = api.log_in(MINA, PASSWORD);
        assert_eq!(answer.status, 200, "{state}: {answer:?}");
        change_postgres(&url, NO_CONFLICTS);

        change_postgres(&url, &conflicts(state, 1_000_000));
        // More than may be tried from one network in a minute, and with wrong passwords.
        for _ in 0..35 {
            assert_unavailable(&api.log_in(MINA, PASSWORD), Duration::from_secs(5));
        }
        change_postgres(&url, NO_CONFLICTS);
        let answer = api.log_in(MINA, PASSWORD);
        assert_eq!(answer.status, 200, "{state}: {answer:?}");
    }
}
