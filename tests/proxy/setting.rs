//! Setting of the proxy tests: a proxy, a Hallpass with one account, and an application.

use serde_json::{Value, json};

use crate::postgres;
use crate::proxy::application::Application;
use crate::proxy::proxies::{Kind, Places, Proxy};
use crate::proxy::wire::{self, Answer};
use crate::service::{Service, Setup};

/// Percent-encoded in headers, which carry no such letters.
pub const USERNAME: &str = "홍길동";
pub const USERNAME_IN_HEADER: &str = "%ED%99%8D%EA%B8%B8%EB%8F%99";
/// Without an address.
pub const ANONYMOUS: &str = "nobody";
pub const EMAIL: &str = "gildong@example.com";
const PASSWORD: &str = "plum tree at dusk";

/// The running setting.
pub struct Setting {
    pub kind: Kind,
    pub application: Application,
    places: Places,
    hallpass: Option<Service>,
    _proxy: Proxy,
    _setup: Setup,
}

impl Setting {
    pub fn new(kind: Kind, setup: Setup) -> Self {
        let port = postgres::free_port();
        let setup = setup
            .with("HALLPASS_PUBLIC_URL", &format!("http://127.0.0.1:{port}"))
            .with("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")
            // Other ports of this machine are foreign, as they are in production.
            .with("HALLPASS_CORS_ORIGINS", "none");
        for account in
            [["--username", USERNAME, "--email", EMAIL].as_slice(), &["--username", ANONYMOUS]]
        {
            let made =
                setup.run(&[&["create-superuser", "--password", PASSWORD], account].concat());
            assert!(made.success, "{}", made.stderr);
        }
        let hallpass = setup.start();
        let application = Application::start();
        let places = Places {
            proxy: ([127, 0, 0, 1], port).into(),
            redirecting: ([127, 0, 0, 1], postgres::free_port()).into(),
            hallpass: hallpass.address(),
            application: application.address,
        };
        let proxy = kind.start(&places);
        Self { kind, application, places, hallpass: Some(hallpass), _proxy: proxy, _setup: setup }
    }

    /// The public origin: that of the proxy.
    pub fn origin(&self) -> String {
        format!("http://{}", self.places.proxy)
    }

    pub fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.send("GET", path, headers, b"")
    }

    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let headers: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
        wire::send(self.places.proxy, method, path, &headers, body)
    }

    /// Sends a request to the port for HTTP without TLS.
    pub fn get_without_tls(&self, path: &str, headers: &[String]) -> Answer {
        wire::send(self.places.redirecting, "GET", path, headers, b"")
    }

    /// Calls Hallpass through the proxy.
    pub fn post_json(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let length = format!("Content-Length: {}", body.len());
        let origin = format!("Origin: {}", self.origin());
        let headers = ["Content-Type: application/json", &origin, &length];
        self.send("POST", path, &headers, body.as_bytes())
    }

    /// The answer to a log-in.
    pub fn log_in(&self) -> Value {
        self.log_in_as(EMAIL)
    }

    pub fn log_in_as(&self, username: &str) -> Value {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = self.post_json("/v1/token-auth", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The same in cookie mode: the cookies, as a browser would send them.
    pub fn log_in_with_cookie(&self) -> String {
        let body = json!({"username": EMAIL, "password": PASSWORD, "use_cookie": true});
        let answer = self.post_json("/v1/token-auth", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        let pairs: Vec<&str> = set.map(|(_, value)| value.split(';').next().unwrap()).collect();
        pairs.join("; ")
    }

    /// Ends Hallpass; the proxy goes on.
    pub fn stop_hallpass(&mut self) {
        self.hallpass.take().unwrap().kill();
    }

    /// Lets Hallpass do nothing, as a busy machine does.
    pub fn pause_hallpass(&self) {
        self.hallpass.as_ref().unwrap().pause();
    }

    pub fn resume_hallpass(&self) {
        self.hallpass.as_ref().unwrap().resume();
    }

    /// Asserts that the request is refused and does not reach the application.
    pub fn assert_refused(&self, answer: &Answer, status: u16, code: &str) {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.body.contains(&format!("\"code\":\"{code}\"")), "{answer:?}");
        assert!(self.application.take().is_empty());
    }
}

/// A header line with an access token.
pub fn bearer(token: &Value) -> String {
    format!("Authorization: Bearer {}", token.as_str().unwrap())
}

/// Makes eight tests of one function: with each proxy, on SQLite and on Postgres.
macro_rules! behind_each_proxy {
    ($($(#[$meta:meta])* fn $name:ident($setting:ident) $story:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every story needs everything")]
            use super::*;
            use crate::proxy::proxies::Kind;
            use crate::service::Setup;

            fn story(kind: Kind, setup: Option<Setup>) {
                let Some(setup) = setup else { return };
                #[allow(unused_mut, reason = "only some stories stop something")]
                let mut $setting = crate::proxy::setting::Setting::new(kind, setup);
                $story
            }

            #[test]
            fn nginx_and_sqlite() {
                if Kind::Nginx.is_here() { story(Kind::Nginx, Some(Setup::on_sqlite())) }
            }

            #[test]
            fn nginx_and_postgres() {
                if Kind::Nginx.is_here() { story(Kind::Nginx, Setup::with_tables_on_postgres()) }
            }

            #[test]
            fn caddy_and_sqlite() {
                if Kind::Caddy.is_here() { story(Kind::Caddy, Some(Setup::on_sqlite())) }
            }

            #[test]
            fn caddy_and_postgres() {
                if Kind::Caddy.is_here() { story(Kind::Caddy, Setup::with_tables_on_postgres()) }
            }

            #[test]
            fn envoy_and_sqlite() {
                if Kind::Envoy.is_here() { story(Kind::Envoy, Some(Setup::on_sqlite())) }
            }

            #[test]
            fn envoy_and_postgres() {
                if Kind::Envoy.is_here() { story(Kind::Envoy, Setup::with_tables_on_postgres()) }
            }

            #[test]
            fn traefik_and_sqlite() {
                if Kind::Traefik.is_here() { story(Kind::Traefik, Some(Setup::on_sqlite())) }
            }

            #[test]
            fn traefik_and_postgres() {
                if Kind::Traefik.is_here() { story(Kind::Traefik, Setup::with_tables_on_postgres()) }
            }
        }
    )*};
}
pub(crate) use behind_each_proxy;
