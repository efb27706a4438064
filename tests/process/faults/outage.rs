//! Postgres goes away and comes back while Hallpass serves.

use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};

use super::assert_unavailable;
use crate::client::{Api, PASSWORD};
use crate::enough::Enough;
use crate::mailbox::Mailbox;
use crate::postgres::Cluster;
use crate::service::Setup;
use crate::smtp::Mode;
use crate::sql::change_postgres;
use crate::waiting::wait_until;

const MINA: &str = "mina@example.com";
/// A request waits three seconds for a connection; the rest is for a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(9);
/// The same for one whose connection gives no answer.
const HANGS_LIMIT: Duration = Duration::from_secs(20);

/// Registers all the time; returns who was told that it worked, with their tokens.
fn register_until(enough: &Enough, api: &Api, client: usize) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if enough.is_told() {
            break;
        }
        let email = format!("person-{client}-{number}@example.com");
        let answer = api.try_register(&email).unwrap();
        match answer.status {
            202 => acknowledged.push((email, answer.text("registration_token"))),
            _ => assert_unavailable(&answer, ANSWER_LIMIT),
        }
        thread::sleep(Duration::from_millis(20));
    }
    acknowledged
}

fn database_of(api: &Api) -> String {
    let answer = api.get("/readyz");
    answer.body["components"]["database"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned()
}

fn without_its_database_it_is_still_watched(api: &Api) {
    let started = Instant::now();
    let metrics = api.get_text("/metrics");
    assert!(started.elapsed() < Duration::from_secs(1), "it took {:?}", started.elapsed());
    let has = |line: &str| metrics.lines().any(|it| it.starts_with(line));
    assert!(has("hallpass_database_up 0"), "{metrics}");
    for name in ["hallpass_http_requests_total{", "hallpass_revocations_age_seconds ", "process_"] {
        assert!(has(name), "no {name} in:\n{metrics}");
    }
    let components = &api.get("/readyz").body["components"];
    assert_eq!(components["writes"], "unknown", "{components}");
    assert!(!has("hallpass_database_writable"), "{metrics}");
    for name in ["hallpass_mails_waiting", "hallpass_mails_dead", "hallpass_mails_oldest"] {
        assert!(!has(name), "{name} in:\n{metrics}");
    }
}

fn wait_until_ready(api: &Api) -> Duration {
    let started = Instant::now();
    while database_of(api) != "up" {
        assert!(started.elapsed() < Duration::from_secs(20), "not ready again");
        thread::sleep(Duration::from_millis(50));
    }
    started.elapsed()
}

#[test]
fn a_postgres_that_goes_and_comes_back_costs_503_and_nothing_else() {
    let Some(cluster) = Cluster::start_new() else { return };
    let setup = Setup::on_sqlite().with("DATABASE_URL", &cluster.fresh_schema());
    let service = setup.start();
    let (api, mailbox) = (service.api(), Mailbox::folder(&setup));
    let token = mailbox.new_account(&api, MINA);

    let enough = Enough::default();
    let acknowledged: Vec<(String, String)> = thread::scope(|scope| {
        let outage = enough.beside();
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (api, enough) = (&api, &enough);
                scope.spawn(move || register_until(enough, api, client))
            })
            .collect();
        thread::sleep(Duration::from_millis(700));
        cluster.stop();
        let stopped = Instant::now();
        while stopped.elapsed() < Duration::from_secs(3) {
            let verified = api.verify_token(&token);
            assert_eq!(verified.status, 200, "{verified:?}");
            assert!(verified.took < Duration::from_secs(1), "it took {:?}", verified.took);
            assert_eq!(api.get("/healthz").status, 200);
            // Another instance has no database either: taking this one out would end checks too.
            assert_eq!(api.get("/readyz").status, 200);
            assert_unavailable(&api.log_in(MINA, PASSWORD), ANSWER_LIMIT);
        }
        assert_eq!(database_of(&api), "down");
        without_its_database_it_is_still_watched(&api);
        cluster.start();
        println!("ready {:?} after Postgres was back", wait_until_ready(&api));
        thread::sleep(Duration::from_millis(500));
        drop(outage);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });

    assert_eq!(api.log_in(MINA, PASSWORD).status, 200);
    assert_eq!(api.verify_token(&token).status, 200);
    assert!(!acknowledged.is_empty(), "nobody was registered");
    let addresses = acknowledged.iter().map(|(email, _)| email.as_str());
    let (codes, took) = mailbox.wait_for(addresses, Duration::from_secs(40));
    for (email, registration_token) in &acknowledged {
        api.verify(registration_token, codes[email].last().unwrap());
    }
    println!("{} acknowledged, the last mail came after {took:?}", acknowledged.len());
    let log = service.log();
    assert!(!log.contains("panic"), "{log}");
    service.stop();
}

#[test]
fn hallpass_ends_in_time_while_postgres_is_away_and_a_mail_cannot_be_noted() {
    let Some(cluster) = Cluster::start_new() else { return };
    let setup = Setup::on_sqlite()
        .with("DATABASE_URL", &cluster.fresh_schema())
        .with("HALLPASS_SHUTDOWN_TIMEOUT", "2s");
    let mode = Mode::PLAIN.fault("slow-content");
    let Some((setup, mailbox)) = Mailbox::server(setup, mode) else { return };
    let service = setup.start();
    service.api().register(MINA);
    mailbox.wait_for_text("Subject:");
    cluster.stop();
    service.wait_for_log("cannot store the conclusion of a job", 1);
    service.terminate();
    let (status, took) = service.wait(Duration::from_secs(12));
    assert!(status.success(), "{status}");
    println!("ended {took:?} after SIGTERM without Postgres");
}

#[test]
fn a_postgres_that_hangs_costs_503_and_nothing_else() {
    let Some(cluster) = Cluster::start_new() else { return };
    let setup = Setup::on_sqlite()
        .with("DATABASE_URL", &cluster.fresh_schema())
        .with("HALLPASS_SHUTDOWN_TIMEOUT", "2s");
    let service = setup.start();
    let (api, mailbox) = (service.api(), Mailbox::folder(&setup));
    let token = mailbox.new_account(&api, MINA);

    cluster.freeze();
    let (waiting, slow) = (api.clone(), api.clone());
    let waiting = thread::spawn(move || waiting.try_register("noah@example.com").unwrap());
    let slow = thread::spawn(move || slow.log_in(MINA, PASSWORD));
    thread::sleep(Duration::from_millis(500));
    let verified = api.verify_token(&token);
    assert_eq!(verified.status, 200, "{verified:?}");
    for path in ["/readyz", "/metrics"] {
        let watched = api.get(path);
        assert_eq!(watched.status, 200, "{watched:?}");
        assert!(watched.took < Duration::from_secs(4), "{path} took {:?}", watched.took);
    }
    wait_until("the end of patience with it", || database_of(&api) == "down");
    for answer in [waiting, slow].map(|answer| answer.join().unwrap()) {
        println!("503 after {:?}", answer.took);
        assert_unavailable(&answer, HANGS_LIMIT);
    }
    cluster.thaw();
    println!("ready {:?} after Postgres went on", wait_until_ready(&api));
    assert_eq!(api.log_in(MINA, PASSWORD).status, 200);

    cluster.freeze();
    thread::sleep(Duration::from_millis(1500));
    service.terminate();
    let (status, took) = service.wait(Duration::from_secs(10));
    assert!(status.success(), "{status}");
    println!("ended {took:?} after SIGTERM with a Postgres that hangs");
    cluster.thaw();
}

#[test]
fn an_instance_that_can_no_longer_check_tokens_is_not_ready() {
    let Some(cluster) = Cluster::start_new() else { return };
    let setup = Setup::on_sqlite()
        .with("DATABASE_URL", &cluster.fresh_schema())
        .with("HALLPASS_REVOCATIONS_MAX_AGE", "2s");
    let service = setup.start();
    let api = service.api();
    assert_eq!(api.get("/readyz").status, 200);
    cluster.stop();
    wait_until("the end of readiness", || api.get("/readyz").status == 503);
    wait_until("the loss of the database", || database_of(&api) == "down");
    let answer = api.get("/readyz");
    assert_unavailable(&answer, Duration::from_secs(1));
    assert_eq!(answer.body["components"]["revocations"], "stale", "{answer:?}");
    assert_eq!(answer.body["components"]["database"], "down", "{answer:?}");
    assert_eq!(api.get("/healthz").status, 200);
    cluster.start();
    wait_until("readiness", || api.get("/readyz").status == 200);
}

#[test]
fn a_locked_table_is_no_database_that_is_down() {
    let Some(cluster) = Cluster::start_new() else { return };
    let setup = Setup::on_sqlite().with("DATABASE_URL", &cluster.url());
    let service = setup.start();
    let api = service.api();
    let token = Mailbox::folder(&setup).new_account(&api, MINA);
    for table in ["users", "sessions", "signing_keys"] {
        let mut other = PgConnection::establish(&cluster.url()).unwrap();
        other
            .batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            .unwrap();
        let locked = Instant::now();
        while locked.elapsed() < Duration::from_secs(4) {
            assert_eq!(database_of(&api), "up", "{table} after {:?}", locked.elapsed());
            assert_eq!(api.verify_token(&token).status, 200);
            thread::sleep(Duration::from_millis(100));
        }
        let metrics = api.get_text("/metrics");
        for name in ["hallpass_database_writable 1", "hallpass_mails_waiting 0"] {
            assert!(metrics.lines().any(|line| line == name), "{table}: {metrics}");
        }
        other.batch_execute("ROLLBACK").unwrap();
        wait_until("the set to be current", || {
            let metrics = api.get_text("/metrics");
            let age = metrics.lines().find_map(|line| {
                line.strip_prefix("hallpass_revocations_age_seconds ")?.parse::<f64>().ok()
            });
            age.is_some_and(|age| age < 2.0)
        });
    }
}

#[test]
fn a_log_out_is_known_to_other_instances_while_users_are_locked() {
    let Some(cluster) = Cluster::start_new() else { return };
    let setup = Setup::on_sqlite().with("DATABASE_URL", &cluster.url());
    let service = setup.start();
    let api = service.api();
    let token = Mailbox::folder(&setup).new_account(&api, MINA);
    let mut other = PgConnection::establish(&cluster.url()).unwrap();
    other.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").unwrap();
    let now = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint";
    let end = format!("UPDATE sessions SET ended_at = {now}, end_reason = 'logged_out'");
    change_postgres(&cluster.url(), &end);
    wait_until("the end of the session", || api.verify_token(&token).status == 401);
    drop(other);
}
