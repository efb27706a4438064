//! Postgres takes no writes: a standby, a role or database that is read-only, connections to a
//! server that has been replaced.

use std::fs;
use std::time::{Duration, Instant};

use super::assert_unavailable;
use crate::client::{Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::postgres::Cluster;
use crate::service::{Service, Setup};
use crate::sql::change_postgres;
use crate::waiting::wait_until;

const MINA: &str = "mina@example.com";
const ANSWER_LIMIT: Duration = Duration::from_secs(9);
/// Ends the connections of the service; a pool opens new ones.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";

fn metric(api: &Api, name: &str) -> String {
    let text = api.get_text("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).to_owned()
}

fn served(cluster: &Cluster) -> (Setup, Service, String) {
    let setup = Setup::on_sqlite().with("DATABASE_URL", &cluster.url());
    let service = setup.start();
    let token = Mailbox::folder(&setup).new_account(&service.api(), MINA);
    assert_eq!(service.api().get("/readyz").body["components"]["writes"], "possible");
    assert_eq!(metric(&service.api(), "hallpass_database_writable"), "1");
    (setup, service, token)
}

/// Reads go on, writes are 503, and everything says so.
fn writes_are_impossible(setup: &Setup, api: &Api, token: &str) {
    wait_until("the state", || api.get("/readyz").body["components"]["writes"] == "impossible");
    assert_unavailable(&api.log_in(MINA, PASSWORD), ANSWER_LIMIT);
    assert_eq!(api.get("/readyz").status, 200);
    assert_eq!(api.verify_token(token).status, 200);
    assert_eq!(api.send("GET", "/v1/me", token, &().into()).status, 200);
    assert_eq!(metric(api, "hallpass_database_writable"), "0");
    let report = setup.run(&["doctor"]);
    assert!(!report.success && report.stdout.contains("takes no writes"), "{}", report.stdout);
}

fn writes_are_possible_again(api: &Api) {
    let started = Instant::now();
    while api.log_in(MINA, PASSWORD).status != 200 {
        assert!(started.elapsed() < Duration::from_secs(10), "still refused");
    }
    println!("served {:?} after the server took writes again", started.elapsed());
    wait_until("the state", || api.get("/readyz").body["components"]["writes"] == "possible");
    assert_eq!(metric(api, "hallpass_database_writable"), "1");
}

#[test]
fn connections_to_a_server_that_is_read_only_are_replaced() {
    let Some(cluster) = Cluster::start_new() else { return };
    let (setup, service, token) = served(&cluster);
    let api = service.api();
    // New connections are read-only, and stay so whatever becomes of the database: as connections
    // to the old server do after a failover.
    change_postgres(
        &cluster.url(),
        "ALTER DATABASE postgres SET default_transaction_read_only = on",
    );
    change_postgres(&cluster.url(), TERMINATE);
    writes_are_impossible(&setup, &api, &token);
    let reset = "BEGIN READ WRITE; \
                 ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT";
    change_postgres(&cluster.url(), reset);
    writes_are_possible_again(&api);
    let log = service.stop_for_log();
    assert_eq!(log.matches("writes are impossible").count(), 1, "{log}");
    assert_eq!(log.matches("writes are possible again").count(), 1, "{log}");
    assert!(!log.contains("panic"), "{log}");
}

#[test]
fn a_standby_answers_reads_and_is_written_to_once_it_is_promoted() {
    let Some(cluster) = Cluster::start_new() else { return };
    let (setup, service, token) = served(&cluster);
    let api = service.api();
    cluster.stop();
    fs::write(cluster.folder().join("data/standby.signal"), "").unwrap();
    cluster.give(&cluster.folder().join("data/standby.signal"));
    cluster.start();
    writes_are_impossible(&setup, &api, &token);
    // An instance starts beside it, and checks tokens.
    let other = setup.start();
    assert_eq!(other.api().verify_token(&token).status, 200);
    change_postgres(&cluster.url(), "SELECT pg_promote()");
    writes_are_possible_again(&api);
    writes_are_possible_again(&other.api());
}

#[test]
fn connections_that_the_server_ended_cost_no_request() {
    let Some(cluster) = Cluster::start_new() else { return };
    let (_setup, service, _) = served(&cluster);
    for _ in 0..5 {
        change_postgres(&cluster.url(), TERMINATE);
        let answer = service.api().log_in(MINA, PASSWORD);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn a_url_with_several_hosts_leads_to_the_server_that_takes_writes() {
    let (Some(first), Some(second)) = (Cluster::start_new(), Cluster::start_new()) else { return };
    change_postgres(&first.url(), "ALTER DATABASE postgres SET default_transaction_read_only = on");
    let url = second.url();
    let own = format!("127.0.0.1:{}", second.port());
    assert!(url.contains(&own), "{url}");
    let both = url.replace(&own, &format!("127.0.0.1:{},{own}", first.port()));
    let separator = if both.contains('?') { '&' } else { '?' };
    let setup = Setup::on_sqlite()
        .with("DATABASE_URL", &format!("{both}{separator}target_session_attrs=read-write"));
    let service = setup.start();
    Mailbox::folder(&setup).new_account(&service.api(), MINA);
    assert!(
        service.log().contains(&format!("127.0.0.1:{},{own}", first.port())),
        "{}",
        service.log()
    );
}
