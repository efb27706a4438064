//! While Hallpass does not respond, or cannot validate a token, no request passes.

use std::thread;
use std::time::{Duration, Instant};

use crate::postgres::Cluster;
use crate::proxy::proxies::Kind;
use crate::proxy::setting::{Setting, bearer, behind_each_proxy};
use crate::service::Setup;

behind_each_proxy! {
    fn without_hallpass_the_application_is_closed(setting) {
        let token = bearer(&setting.log_in()["access_token"]);
        assert_eq!(setting.get("/orders", &[&token]).status, 200);
        setting.application.take();
        setting.stop_hallpass();
        for headers in [&[token.as_str()][..], &[]] {
            let answer = setting.get("/orders", headers);
            let expected = match setting.kind {
                Kind::Nginx | Kind::Envoy => 503,
                Kind::Caddy => 502,
                Kind::Traefik => 500,
            };
            assert_eq!(answer.status, expected, "{answer:?}");
            assert!(setting.application.take().is_empty());
        }
        // What needs no question is there.
        assert_eq!(setting.get("/public/", &[]).status, 200);
    }
}

fn without_an_answer_of_hallpass_no_request_passes(kind: Kind) {
    let Some(cluster) = kind.is_here().then(Cluster::start_new).flatten() else { return };
    let setup = Setup::on_sqlite()
        .with("DATABASE_URL", &cluster.fresh_schema())
        .with("HALLPASS_REVOCATIONS_MAX_AGE", "2s");
    let setting = Setting::new(kind, setup);
    let token = bearer(&setting.log_in()["access_token"]);
    assert_eq!(setting.get("/orders", &[&token]).status, 200);
    cluster.stop();
    let since = Instant::now();
    let answer = loop {
        setting.application.take();
        let answer = setting.get("/orders", &[&token]);
        if answer.status != 200 {
            break answer;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "still taken");
        thread::sleep(Duration::from_millis(100));
    };
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    setting.assert_refused(&answer, 503, "unavailable");
}

#[test]
fn what_hallpass_cannot_tell_nginx_does_not_guess() {
    without_an_answer_of_hallpass_no_request_passes(Kind::Nginx);
}

#[test]
fn what_hallpass_cannot_tell_caddy_does_not_guess() {
    without_an_answer_of_hallpass_no_request_passes(Kind::Caddy);
}

#[test]
fn what_hallpass_cannot_tell_envoy_does_not_guess() {
    without_an_answer_of_hallpass_no_request_passes(Kind::Envoy);
}

#[test]
fn what_hallpass_cannot_tell_traefik_does_not_guess() {
    without_an_answer_of_hallpass_no_request_passes(Kind::Traefik);
}
