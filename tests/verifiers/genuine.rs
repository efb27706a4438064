//! Tokens of a real Hallpass.

use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::client::{Answer, PASSWORD};
use crate::postgres;
use crate::service::{Service, Setup};
use crate::verifiers::examples::{for_each_language, refused};

const MAX_STALENESS: Duration = Duration::from_secs(4);
/// The examples ask once a second; the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(8);

/// A service with one account.
fn with_ada(setup: Setup) -> (Setup, Service) {
    // The issuer's name has the port in it, so it must be known before the start.
    let setup = setup.with("HALLPASS_BIND", &format!("127.0.0.1:{}", postgres::free_port()));
    let made = setup.run(&["create-superuser", "--username", "ada", "--password", PASSWORD]);
    assert!(made.success, "{}", made.stderr);
    let service = setup.start();
    (setup, service)
}

fn log_in(service: &Service) -> Answer {
    let answer = service.api().log_in("ada", PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn url(service: &Service) -> String {
    format!("http://{}", service.address())
}

/// Returns the token with another header or claims, and its own signature.
fn rewritten(token: &str, part: usize, change: impl FnOnce(&mut Value)) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&parts[part]).unwrap()).unwrap();
    change(&mut value);
    parts[part] = URL_SAFE_NO_PAD.encode(value.to_string());
    parts.join(".")
}

for_each_language! {
    fn a_token_counts_until_its_session_ends(language) {
        for setup in [Some(Setup::on_sqlite()), Setup::with_tables_on_postgres()].into_iter().flatten() {
            let (_setup, service) = with_ada(setup);
            let Some(example) = language.start(&url(&service), MAX_STALENESS) else { return };
            let (one, other) = (log_in(&service), log_in(&service));
            let token = one.text("access_token");
            assert_eq!(example.judge_when_ready(&token), (200, "ada".to_owned()));
            let none = rewritten(&token, 0, |header| header["alg"] = json!("none"));
            let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
            let staff = rewritten(&token, 1, |claims| claims["user_id"] = json!(2));
            for hostile in [none, unsigned, staff, format!("{token}x")] {
                assert_eq!(example.judge(&hostile), refused("token_invalid"), "{hostile}");
            }
            let body = json!({"refresh_token": one.text("refresh_token")});
            assert_eq!(service.api().post("/v1/token-revoke", &body).status, 204);
            let since = Instant::now();
            while example.judge(&token) != refused("token_revoked") {
                assert!(since.elapsed() < SOON, "still taken");
                thread::sleep(Duration::from_millis(50));
            }
            assert_eq!(example.judge(&other.text("access_token")).0, 200, "the other session");
        }
    }

    fn a_token_with_new_rights_counts_at_once(language) {
        for setup in [Some(Setup::on_sqlite()), Setup::with_tables_on_postgres()].into_iter().flatten() {
            let setup = setup.with("HALLPASS_AUDIENCE", "https://api.test, reports");
            let (setup, service) = with_ada(setup);
            let Some(example) = language.start_for(&url(&service), Some("reports"), MAX_STALENESS) else { return };
            let Some(other) = language.start_for(&url(&service), Some("others"), MAX_STALENESS) else { return };
            let mut pair = log_in(&service);
            let first = pair.text("access_token");
            assert_eq!(example.judge_when_ready(&first).0, 200);
            assert_eq!(other.judge_when_ready(&first), refused("token_invalid"), "another audience");
            for role in ["editor", "admin"] {
                let old = pair.text("access_token");
                let done = setup.run(&["users", "roles", "ada", role]);
                assert!(done.success, "{}", done.stderr);
                // Within the second of the change, mostly.
                pair = service.api().post("/v1/token-refresh", &json!({"refresh_token": pair.text("refresh_token")}));
                assert_eq!(pair.status, 200, "{pair:?}");
                let since = Instant::now();
                while example.judge(&old) != refused("token_revoked") {
                    assert!(since.elapsed() < SOON, "still taken");
                    thread::sleep(Duration::from_millis(50));
                }
                assert_eq!(example.judge(&pair.text("access_token")), (200, "ada".to_owned()), "{role}");
            }
        }
    }

    fn without_hallpass_it_says_so_after_a_while(language) {
        let setup = Setup::on_sqlite();
        let (_setup, service) = with_ada(setup);
        let Some(example) = language.start(&url(&service), MAX_STALENESS) else { return };
        let token = log_in(&service).text("access_token");
        assert_eq!(example.judge_when_ready(&token).0, 200);
        service.kill();
        assert_eq!(example.judge(&token).0, 200, "known to be good a moment ago");
        let since = Instant::now();
        while example.judge(&token) != refused("unavailable") {
            assert!(since.elapsed() < MAX_STALENESS + SOON, "still taken");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn a_token_expires(language) {
        let setup = Setup::on_sqlite().with("HALLPASS_ACCESS_TOKEN_TTL", "1s");
        let (_setup, service) = with_ada(setup);
        let Some(example) = language.start(&url(&service), MAX_STALENESS) else { return };
        let token = log_in(&service).text("access_token");
        assert_eq!(example.judge_when_ready(&token).0, 200);
        let since = Instant::now();
        while example.judge(&token) != refused("token_expired") {
            assert!(since.elapsed() < Duration::from_secs(6) + SOON, "still taken");
            thread::sleep(Duration::from_millis(100));
        }
        assert!(since.elapsed() > Duration::from_secs(4), "clocks may differ by 5 seconds");
    }
}
