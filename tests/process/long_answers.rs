//! Answers that grow with the number of users or of revocations, and that cost no more memory then.

use std::net::TcpStream;
use std::thread;

use hallpass::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::data::exports::{begun_at, rest};
use crate::both::on_both;
use crate::client::PASSWORD;
use crate::service::{Service, Setup};
use crate::sql::change;
use crate::support::at_once;

const MANY: usize = 50_000;

/// A database with a superuser and no other user.
fn with_admin(setup: Setup) -> Setup {
    // SQLite keeps 2 MB of the file for each connection.
    let setup = setup.with("HALLPASS_DATABASE_POOL", "2");
    assert!(
        setup.run(&["create-superuser", "--username", "admin", "--password", PASSWORD]).success
    );
    setup
}

/// A table `n` of these numbers, for a statement that inserts a row for each.
fn numbers(from: usize, to: usize) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {})",
        to - 1
    )
}

/// A service whose revocation list has so many entries of the last minutes.
fn with_revocations(setup: &Setup) -> Service {
    let (now, numbers) = (SystemClock.now().micros(), numbers(100_000, 100_000 + MANY));
    // Each synchronization reads those of the last minute again.
    let earlier = now - 100_000_000;
    change(
        setup,
        &format!(
            "INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, expires_at, ended_at, \
         device, network) {numbers} SELECT '01900000-0000-7000-8000-000000' || i, 1, 'pwd', {now}, \
         {now}, {now}, {earlier} - 1000 * (i - 100000), '', '' FROM n"
        ),
    );
    setup.start()
}

/// Asks for all of these at once, reads the first bytes of each, then the rest. Returns the bodies,
/// and by how much the peak of the memory grew, in KiB.
fn read_at_once(service: &Service, paths: &[&str], authorization: &str) -> (Vec<String>, u64) {
    let before = service.peak_resident_kib();
    let streams: Vec<TcpStream> = thread::scope(|scope| {
        let begin = |path| scope.spawn(move || begun_at(service, path, authorization));
        let threads: Vec<_> = paths.iter().copied().map(begin).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let bodies = streams.into_iter().map(rest).collect();
    let grown = service.peak_resident_kib() - before;
    println!("{} times {}: {grown} KiB more than {before}", paths.len(), paths[0]);
    (bodies, grown)
}

#[cfg(feature = "drf-jwt")]
on_both! {
    fn the_list_of_users_of_the_adapter_costs_little_memory(setup) {
        let setup = with_admin(setup);
        let insert_users = |from, to| change(&setup, &format!(
            "INSERT INTO users (username, username_norm, email, email_norm, email_verified, \
             password_hash, is_active, is_staff, is_superuser, locale, created_at, updated_at) \
             {} SELECT 'user' || i, 'user' || i, 'user' || i || '@example.com', \
             'user' || i || '@example.com', TRUE, '!', TRUE, FALSE, FALSE, 'en', 0, 0 FROM n",
            numbers(from, to)
        ));
        let few = MANY / 50;
        insert_users(0, few);
        let service = setup.start();
        let log_in = json!({"username": "admin", "password": PASSWORD});
        let token = service.api().post("/api-token-auth/", &log_in).text("token");
        let authorization = format!("JWT {token}");
        // Threads, connections and the program's pages that each such list needs.
        read_at_once(&service, &["/users/"; 3], &authorization);
        insert_users(few, MANY);
        let (lists, grown) = read_at_once(&service, &["/users/"; 3], &authorization);
        for list in &lists {
            assert_eq!(list.matches("\"username\":").count(), MANY + 1);
            assert!(list.ends_with("]\r\n0\r\n\r\n"));
        }
        assert!(grown < 16 * 1024, "{grown} KiB more");
    }
}

on_both! {
    fn a_long_revocation_list_is_held_once_for_all_clients(setup) {
        let setup = with_admin(setup);
        let service = with_revocations(&setup);
        let (whole, beginning) = ("/v1/revocations", "/v1/revocations?since=0");
        read_at_once(&service, &[whole], "");
        let paths = [&[whole; 8][..], &[beginning; 8]].concat();
        let (lists, grown) = read_at_once(&service, &paths, "");
        assert!(lists.iter().all(|list| list.matches("session_id").count() == MANY));
        assert!(grown < 16 * 1024, "{grown} KiB more");
    }

    fn a_log_out_does_not_copy_a_long_revocation_list(setup) {
        let setup = with_admin(setup);
        let service = with_revocations(&setup);
        // As many at a time as there are log-outs, which need the same threads and connections.
        let sessions: Vec<[String; 4]> = at_once(8, |_| {
            let api = service.api();
            [(); 4].map(|()| api.log_in("admin", PASSWORD).text("refresh_token"))
        });
        read_at_once(&service, &["/v1/revocations"], "");
        let before = service.peak_resident_kib();
        at_once(8, |number| {
            let api = service.api();
            for token in &sessions[number] {
                let body = json!({"refresh_token": token});
                assert_eq!(api.post("/v1/token-revoke", &body).status, 204);
            }
        });
        let grown = service.peak_resident_kib() - before;
        println!("32 log-outs: {grown} KiB more than {before}");
        assert!(grown < 6 * 1024, "{grown} KiB more");
    }
}
