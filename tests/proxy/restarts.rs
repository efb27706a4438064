//! Instances that end, and connections that end, while people use them through nginx: no request is
//! lost.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::postgres::free_port;
use crate::proxy::proxies::{self, Kind};
use crate::proxy::setting::Setting;
use crate::service::{Service, Setup};

const PASSWORD: &str = "plum tree at dusk";
const CLIENTS: usize = 8;

/// Two instances on one database, each at a port of its own, and one account.
fn instances(first: Setup) -> [Setup; 2] {
    let first = first.with("HALLPASS_SECRET", "a secret of tests, shared by all instances");
    let account = ["create-superuser", "--username", "mina", "--password", PASSWORD];
    let made = first.run(&account);
    assert!(made.success, "{}", made.stderr);
    let second = Setup::on_sqlite()
        .with("DATABASE_URL", &first.database_url())
        .with("HALLPASS_SECRET", first.setting("HALLPASS_SECRET"));
    [first, second].map(|setup| {
        setup
            .with("HALLPASS_BIND", &format!("127.0.0.1:{}", free_port()))
            .with("HALLPASS_PUBLIC_URL", "http://auth.test")
            .with("HALLPASS_SESSIONS_PER_USER", "100")
            .with("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")
            .with("HALLPASS_SHUTDOWN_DELAY", "1s")
    })
}

/// Logs in, refreshes and verifies until it is told to stop; returns how many requests were
/// answered.
fn use_it(origin: &str, is_enough: &AtomicBool) -> usize {
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let mut count = 0;
    let mut post = |path: &str, body: &Value| -> Value {
        let answer = client.post(format!("{origin}{path}")).json(body).send();
        let answer = answer.unwrap_or_else(|error| panic!("{path}, after {count}: {error:?}"));
        assert_eq!(answer.status(), 200, "{path}, after {count}: {:?}", answer.text());
        count += 1;
        answer.json().unwrap()
    };
    while !is_enough.load(Ordering::Relaxed) {
        let body = json!({"username": "mina", "password": PASSWORD});
        let pair = post("/v1/token-auth", &body);
        for _ in 0..10 {
            post("/v1/token-verify", &json!({"token": pair["access_token"]}));
        }
        post("/v1/token-refresh", &json!({"refresh_token": pair["refresh_token"]}));
    }
    count
}

fn restart(setup: &Setup, running: &mut Option<Service>) {
    running.take().unwrap().stop();
    *running = Some(setup.start());
    // The others go on for a moment.
    thread::sleep(Duration::from_millis(300));
}

fn a_rolling_restart_loses_no_request(setup: Setup) {
    let setups = instances(setup);
    let mut services = setups.each_ref().map(|setup| Some(setup.start()));
    let address = |service: &Option<Service>| service.as_ref().unwrap().address();
    let proxy: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let addresses = services.each_ref().map(address);
    let _nginx = proxies::start_before_instances(proxy, addresses);
    let (origin, is_enough) = (format!("http://{proxy}"), AtomicBool::new(false));
    let count: usize = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| use_it(&origin, &is_enough))).collect();
        thread::sleep(Duration::from_millis(500));
        for _ in 0..2 {
            for (setup, service) in setups.iter().zip(&mut services) {
                restart(setup, service);
            }
        }
        is_enough.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    println!("{count} requests over four restarts");
    assert!(count > 200, "only {count} requests");
}

#[test]
fn a_rolling_restart_behind_nginx_loses_no_request_on_postgres() {
    let Some(setup) = Kind::Nginx.is_here().then(Setup::on_postgres).flatten() else { return };
    a_rolling_restart_loses_no_request(setup);
}

#[test]
fn a_rolling_restart_behind_nginx_loses_no_request_on_sqlite() {
    if Kind::Nginx.is_here() {
        a_rolling_restart_loses_no_request(Setup::on_sqlite());
    }
}

/// With the five seconds that the HTTP library has by default, many of these were answered 502.
#[test]
fn a_service_that_pauses_when_connections_have_been_idle_loses_no_request() {
    if !Kind::Nginx.is_here() {
        return;
    }
    let setting = Setting::new(Kind::Nginx, Setup::on_sqlite());
    let token = setting.log_in()["access_token"].clone();
    let verify = || setting.post_json("/v1/token-verify", &json!({"token": token})).status;
    let all = || -> Vec<u16> {
        thread::scope(|scope| {
            let asked: Vec<_> = (0..32).map(|_| scope.spawn(verify)).collect();
            asked.into_iter().map(|it| it.join().unwrap()).collect()
        })
    };
    assert_eq!(all(), [200; 32]);
    thread::sleep(Duration::from_millis(4700));
    setting.pause_hallpass();
    let answers = thread::scope(|scope| {
        let asked = scope.spawn(all);
        thread::sleep(Duration::from_millis(600));
        setting.resume_hallpass();
        asked.join().unwrap()
    });
    assert_eq!(answers, [200; 32]);
}
