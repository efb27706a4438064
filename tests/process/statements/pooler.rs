//! Behind a pooler that hands each transaction to another server process.

use std::thread;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection, RunQueryDsl as _, sql_query};
use serde_json::json;

use crate::client::{Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::pgbouncer::Pooler;
use crate::postgres::Cluster;
use crate::service::{Service, Setup};
use crate::sql::{Line, count_postgres};
use crate::waiting::wait_until;

/// The lock of migrations, in every version.
const LOCK: i64 = 0x4841_4c4c_5041_5353;
/// Fewer than the connections of one instance.
const FEW_SERVER_PROCESSES: u32 = 3;

/// The main job, each step at another instance.
fn main_job(mailbox: &Mailbox, apis: &[Api], person: &str) {
    let registration_token = apis[0].register(person);
    let code = mailbox.code_for(person);
    let token = apis[1].verify(&registration_token, &code);
    assert_eq!(apis[2].verify_token(&token).status, 200);
    let tokens = apis[2].log_in(person, PASSWORD);
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let next = apis[0].refresh(&tokens.text("refresh_token"));
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(apis[1].log_in(person, "wrong").status, 401);
    let access = next.text("access_token");
    assert_eq!(apis[1].verify_token(&access).status, 200);
    let body = json!({"refresh_token": next.text("refresh_token")});
    assert_eq!(apis[2].post("/v1/token-revoke", &body).status, 204);
    wait_until("the log-out to be seen", || apis[0].verify_token(&access).status != 200);
}

fn start_three(setup: &Setup) -> Vec<Service> {
    thread::scope(|scope| {
        let starts: Vec<_> = (0..3).map(|_| scope.spawn(|| setup.start())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    })
}

/// A pooler that gives each transaction to one of so many server processes, and a setup behind it.
pub fn behind_a_pooler(server_processes: u32) -> Option<(Cluster, Pooler, Setup)> {
    let cluster = Cluster::start_new()?;
    let pooler = Pooler::start(&cluster, server_processes)?;
    let setup = Setup::on_sqlite()
        .with("DATABASE_URL", &pooler.url())
        .with("HALLPASS_DATABASE_PREPARED_STATEMENTS", "off");
    Some((cluster, pooler, setup))
}

#[test]
fn three_instances_do_the_main_job_and_start_again() {
    let Some((cluster, pooler, setup)) = behind_a_pooler(FEW_SERVER_PROCESSES) else { return };
    let mailbox = Mailbox::folder(&setup);
    for round in ["first", "second"] {
        // Started together, the first time on an empty database.
        let services = start_three(&setup);
        let apis: Vec<Api> = services.iter().map(Service::api).collect();
        thread::scope(|scope| {
            for client in 0..6 {
                let (apis, mailbox) = (&apis, &mailbox);
                scope.spawn(move || {
                    main_job(mailbox, apis, &format!("{round}-{client}@example.com"));
                });
            }
        });
        assert!(setup.run(&["doctor"]).stdout.contains("is up to date"));
        for service in services {
            let log = service.stop_for_log();
            let bad = ["prepared statement", "unavailable", "internal error", "panic"];
            assert!(!bad.iter().any(|word| log.contains(word)), "{log}");
        }
    }
    // Nothing of a session stays with the server processes that the pooler goes on with.
    assert_eq!(count_postgres(&cluster.url(), "pg_locks WHERE locktype = 'advisory'"), 0);
    let mut connection = PgConnection::establish(&pooler.url()).unwrap();
    for (name, value) in [
        ("lock_timeout", "0"),
        ("statement_timeout", "0"),
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_read_only", "off"),
    ] {
        let sql = format!("SELECT current_setting('{name}') AS line");
        let row: Line = sql_query(sql).get_result(&mut connection).unwrap();
        assert_eq!(row.line, value, "{name}");
    }
}

/// Without the setting, a pooler is recognised by the start-up option that it refuses or ignores.
#[test]
fn a_pooler_is_noticed_and_no_statement_prepared() {
    for more in ["", "ignore_startup_parameters = options"] {
        let Some(cluster) = Cluster::start_new() else { return };
        let Some(pooler) = Pooler::start_with(&cluster, FEW_SERVER_PROCESSES, more) else { return };
        let setup = Setup::on_sqlite().with("DATABASE_URL", &pooler.url());
        let mailbox = Mailbox::folder(&setup);
        let services = start_three(&setup);
        let apis: Vec<Api> = services.iter().map(Service::api).collect();
        thread::scope(|scope| {
            for client in 0..6 {
                let (apis, mailbox) = (&apis, &mailbox);
                scope.spawn(move || main_job(mailbox, apis, &format!("{client}@example.com")));
            }
        });
        for service in services {
            let log = service.stop_for_log();
            assert_eq!(log.matches("reached through a pooler").count(), 1, "{log}");
            let bad = ["__diesel_stmt_", "unavailable", "internal error", "panic"];
            assert!(!bad.iter().any(|word| log.contains(word)), "{log}");
        }
    }
}

fn assert_lost_statements_are_reported(setup: &Setup) {
    let admin = ["create-superuser", "--username", "admin", "--password", PASSWORD];
    // Each connection counts its statements from 1 and meets those of the others.
    let told = (0..20).any(|_| {
        let made = setup.run(&admin);
        made.stderr.contains("HALLPASS_DATABASE_PREPARED_STATEMENTS=off")
    });
    assert!(told, "the statements were never lost");
}

/// A limit of the role conceals that the pooler ignores the option.
#[test]
fn behind_a_pooler_that_is_not_recognised_lost_statements_are_reported() {
    let Some(cluster) = Cluster::start_new() else { return };
    let ignores = "ignore_startup_parameters = options";
    let Some(pooler) = Pooler::start_with(&cluster, FEW_SERVER_PROCESSES, ignores) else { return };
    let mut owner = PgConnection::establish(&cluster.url()).unwrap();
    owner.batch_execute("ALTER ROLE hallpass SET lock_timeout = '3s'").unwrap();
    assert_lost_statements_are_reported(&Setup::on_sqlite().with("DATABASE_URL", &pooler.url()));
}

#[test]
fn prepared_statements_that_a_pooler_loses_are_reported_with_the_setting() {
    let Some((_cluster, _pooler, setup)) = behind_a_pooler(FEW_SERVER_PROCESSES) else { return };
    let setup = setup.with("HALLPASS_DATABASE_PREPARED_STATEMENTS", "on");
    assert_lost_statements_are_reported(&setup);
}

#[test]
fn statements_that_are_prepared_behind_a_pooler_are_a_warning() {
    let warning = "through a pooler, and HALLPASS_DATABASE_PREPARED_STATEMENTS=on";
    for more in ["", "ignore_startup_parameters = options"] {
        let Some(cluster) = Cluster::start_new() else { return };
        let Some(pooler) = Pooler::start_with(&cluster, FEW_SERVER_PROCESSES, more) else { return };
        for (url, is_pooled) in [(pooler.url(), true), (cluster.url(), false)] {
            for (mode, is_warned) in [("on", is_pooled), ("auto", false), ("off", false)] {
                let setup = Setup::on_sqlite().with("DATABASE_URL", &url);
                let setup = setup.with("HALLPASS_DATABASE_PREPARED_STATEMENTS", mode);
                // The first command makes the tables, by a connection that prepares nothing.
                assert!(setup.run(&["migrate"]).success);
                let report = setup.run(&["doctor"]);
                let database = report.stdout.lines().find(|it| it.contains(" database: ")).unwrap();
                let mark = if is_warned { "warn " } else { "ok " };
                assert!(database.starts_with(mark), "{mode}: {database}");
                assert_eq!(database.contains(warning), is_warned, "{mode}: {database}");
                let listed = setup.run(&["mail", "list"]);
                assert_eq!(
                    listed.stderr.matches(warning).count(),
                    usize::from(is_warned),
                    "{mode}"
                );
            }
        }
    }
}

#[test]
fn a_lock_that_a_session_left_behind_is_logged_and_hinders_no_start_without_migrations() {
    let Some((cluster, _pooler, setup)) = behind_a_pooler(FEW_SERVER_PROCESSES) else { return };
    let mut left = PgConnection::establish(&cluster.url()).unwrap();
    left.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).unwrap();
    setup.kill_when_it_says(&["migrate"], "waits for another instance (server process ");
    left.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})")).unwrap();
    setup.start().stop();

    left.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).unwrap();
    let log = setup.start().stop_for_log();
    assert!(!log.contains("waits"), "{log}");
}
