//! TLS to Postgres (cargo feature `postgres-tls`): the server's certificate is checked down to its
//! name, and what cannot be checked is refused.
#![cfg(feature = "postgres-tls")]
#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "support/missing.rs"]
mod missing;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/scratch.rs"]
mod scratch;

use std::process::Command;

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types};
use postgres::Cluster;

#[derive(QueryableByName)]
struct Protection {
    #[diesel(sql_type = sql_types::Bool)]
    ssl: bool,
}

/// The plans of Postgres by default.
const PLAN_CACHE_MODE: &str = "auto";

fn verified(cluster: &Cluster, ca_of: &Cluster) -> String {
    format!("{}?sslmode=verify-full&sslrootcert={}", cluster.url(), ca_of.ca_file().display())
}

#[test]
fn verify_full_accepts_the_named_ca_and_encrypts() {
    let Some(cluster) = Cluster::start_new_with_tls() else { return };
    let mut connection = PgConnection::establish(&verified(&cluster, &cluster)).expect("connect");
    let protection: Protection =
        sql_query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            .get_result(&mut connection)
            .expect("ask for the state of this connection");
    assert!(protection.ssl);
}

#[test]
fn verify_full_refuses_a_foreign_ca_and_a_foreign_name() {
    let Some((cluster, stranger)) =
        Cluster::start_new_with_tls().zip(Cluster::start_new_with_tls())
    else {
        return;
    };
    let foreign_ca = PgConnection::establish(&verified(&cluster, &stranger)).err();
    let foreign_ca = foreign_ca.expect("a certificate of another CA was taken").to_string();
    assert!(foreign_ca.contains("certificate verify failed"), "{foreign_ca}");

    // The certificate speaks of localhost, not of its address.
    let by_address = verified(&cluster, &cluster).replace("@localhost:", "@127.0.0.1:");
    let foreign_name = PgConnection::establish(&by_address).err();
    let foreign_name = foreign_name.expect("a certificate of another name was taken").to_string();
    assert!(foreign_name.contains("does not match host name"), "{foreign_name}");
}

#[test]
fn a_server_that_takes_tls_only_refuses_clear_text() {
    let Some(cluster) = Cluster::start_new_with_tls() else { return };
    let refused = PgConnection::establish(&format!("{}?sslmode=disable", cluster.url())).err();
    assert!(refused.expect("clear text was taken").to_string().contains("no encryption"));
}

#[test]
fn hallpass_migrates_a_database_over_verified_tls() {
    let Some(cluster) = Cluster::start_new_with_tls() else { return };
    let home = tempfile::tempdir().expect("a temporary folder");
    let migrated = Command::new(env!("CARGO_BIN_EXE_hallpass"))
        .arg("migrate")
        .current_dir(home.path())
        .env("DATABASE_URL", verified(&cluster, &cluster))
        .output()
        .expect("run hallpass migrate");
    let told = String::from_utf8_lossy(&migrated.stderr);
    assert!(migrated.status.success(), "hallpass migrate: {told}");
    let mut connection = PgConnection::establish(&verified(&cluster, &cluster)).expect("connect");
    sql_query("SELECT count(*) FROM users").execute(&mut connection).expect("the table users");
}

/// Runs `hallpass migrate` where the machine trusts the authorities of a file.
fn migrate_with_system_certificates(ca_of: &Cluster, url: &str) -> std::process::Output {
    let home = tempfile::tempdir().expect("a temporary folder");
    Command::new(env!("CARGO_BIN_EXE_hallpass"))
        .arg("migrate")
        .current_dir(home.path())
        .env("DATABASE_URL", url)
        .env("SSL_CERT_FILE", ca_of.ca_file())
        .output()
        .expect("run hallpass migrate")
}

#[test]
fn the_authorities_of_the_machine_are_asked_by_their_name() {
    let Some((cluster, stranger)) =
        Cluster::start_new_with_tls().zip(Cluster::start_new_with_tls())
    else {
        return;
    };
    for query in ["sslrootcert=system", "sslmode=verify-full&sslrootcert=system"] {
        let url = format!("{}?{query}", cluster.url());
        let done = migrate_with_system_certificates(&cluster, &url);
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{query}: {told}");

        let done = migrate_with_system_certificates(&stranger, &url);
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(told.contains("certificate verify failed"), "{query}: {told}");
    }
    // Such a certificate says who, and only verify-full asks for it.
    let weak = format!("{}?sslmode=require&sslrootcert=system", cluster.url());
    let done = migrate_with_system_certificates(&cluster, &weak);
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(told.contains("verify-full"), "{told}");
}
