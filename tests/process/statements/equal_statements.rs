//! Requests about known and unknown users execute the same statements in the same order, so that
//! their responses take equal time on any machine. `tests/timing` measures the times.

use serde_json::{Value, json};

use crate::both::on_both;
use crate::client::{Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::scripted_provider::{Key, ScriptedProvider};
use crate::service::{Service, Setup};
use crate::waiting::wait_until;

const RETURN_TO: &str = "https://app.test/in";
const NONCE: &str = "nonce-of-the-app";

/// A service that logs its statements, with a provider that is not trusted with e-mail addresses.
struct Site {
    service: Service,
    api: Api,
    provider: ScriptedProvider,
    key: Key,
    now: u64,
    _setup: Setup,
}

/// A user that requests are about.
#[derive(Clone, Copy)]
struct Subject {
    name: &'static str,
    /// The network of the requests, so that neither uses the limits of another.
    network: &'static str,
}

impl Subject {
    fn email(self) -> String {
        format!("{}@example.com", self.name)
    }
}

/// A request about a user, and the status of its response.
type Question = (&'static str, u16, fn(&Site, Subject) -> (String, Value));

const QUESTIONS: [Question; 8] = [
    ("log-in by address", 401, |_, it| log_in(&it.email())),
    ("log-in by name", 401, |_, it| log_in(it.name)),
    ("registration", 202, |_, it| {
        ("/v1/register".to_owned(), json!({"email": it.email(), "password": PASSWORD}))
    }),
    ("resend", 202, |_, it| ("/v1/verify-email/resend".to_owned(), json!({"email": it.email()}))),
    ("reset", 202, |_, it| ("/v1/password-reset".to_owned(), json!({"email": it.email()}))),
    ("wrong code of a reset", 401, |_, it| {
        let body = json!({"email": it.email(), "code": "000000", "new_password": PASSWORD});
        ("/v1/password-reset/confirm".to_owned(), body)
    }),
    ("social finish", 202, |site, it| ("/v1/social/test/finish".to_owned(), site.flow_of(it))),
    ("social token", 202, |site, it| {
        let id_token = site.id_token(it, "ios", NONCE);
        ("/v1/social/test/token".to_owned(), json!({"id_token": id_token, "nonce": NONCE}))
    }),
];

fn log_in(name: &str) -> (String, Value) {
    ("/v1/token-auth".to_owned(), json!({"username": name, "password": "not the right one"}))
}

impl Site {
    fn start(setup: Setup) -> Self {
        let key = Key::es256("k");
        let provider = ScriptedProvider::openid(&[&key]);
        let settings = provider.settings(RETURN_TO);
        let setup = settings.iter().fold(setup, |setup, (name, value)| setup.with(name, value));
        let setup = setup
            .with("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")
            .with("HALLPASS_LIMITS", "on")
            .with("HALLPASS_LIMIT_MAIL_HOURLY", "20")
            .with("HALLPASS_LIMIT_MAIL_DAILY", "100")
            .with("HALLPASS_LOG_FORMAT", "json")
            .with("HALLPASS_LOG", "info,hallpass::http=debug,hallpass::store=trace");
        let service = setup.start();
        let api = service.api();
        Mailbox::folder(&setup).new_account(&api, &KNOWN.email());
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Self { service, api, provider, key, now, _setup: setup }
    }

    fn id_token(&self, it: Subject, audience: &str, nonce: &str) -> String {
        self.key.sign(&json!({
            "iss": self.provider.issuer(), "sub": it.name, "aud": audience, "iat": self.now,
            "exp": self.now + 300, "nonce": nonce, "email": it.email(), "email_verified": true,
        }))
    }

    /// Starts a flow that the user has come back from, and returns the request that finishes it.
    fn flow_of(&self, it: Subject) -> Value {
        let headers = [("x-forwarded-for", it.network)];
        let body = json!({"return_to": RETURN_TO});
        let started = self.api.post_with("/v1/social/test/start", &headers, &body);
        let url = url::Url::parse(&started.text("authorization_url")).unwrap();
        let parameter = |wanted: &str| -> String {
            url.query_pairs().find(|(name, _)| name == wanted).unwrap().1.into_owned()
        };
        self.provider.grant_code(it.name, &self.id_token(it, "web", &parameter("nonce")));
        let flow_token = started.text("flow_token");
        json!({"flow_token": flow_token, "code": it.name, "state": parameter("state")})
    }

    /// The status of the response to a request, and the statements that it executed.
    fn ask(&self, id: &str, it: Subject, (path, body): &(String, Value)) -> (u16, Vec<String>) {
        let headers = [("x-forwarded-for", it.network), ("x-request-id", id)];
        let status = self.api.post_with(path, &headers, body).status;
        // The last line of a request tells its status.
        let mut lines = Vec::new();
        wait_until("the end of the request in the log", || {
            lines = self.lines_of(id);
            lines.iter().any(|line| line["status"].is_u64())
        });
        let statements = lines.iter().filter_map(|line| line["sql"].as_str());
        (status, statements.filter(|sql| is_work(sql)).map(str::to_owned).collect())
    }

    fn lines_of(&self, id: &str) -> Vec<Value> {
        let log = self.service.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["span"]["request_id"] == id).collect()
    }
}

/// Returns whether a statement belongs to the request rather than to the check of its connection.
fn is_work(sql: &str) -> bool {
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|it| sql.starts_with(it))
        && !sql.contains("transaction_read_only")
}

const KNOWN: Subject = Subject { name: "person-1", network: "192.0.2.1" };
const UNKNOWN: Subject = Subject { name: "nobody-1", network: "198.51.100.1" };
/// The first user of a question: statements that a service executes once are executed for it.
const FIRST: Subject = Subject { name: "nobody-0", network: "203.0.113.1" };

on_both! {
    fn requests_about_known_and_unknown_users_execute_the_same_statements(setup) {
        let site = Site::start(setup);
        let mut faults = Vec::new();
        for (number, (name, status, question)) in QUESTIONS.iter().enumerate() {
            let ask = |who: &str, it: Subject| {
                site.ask(&format!("{who}-{number}"), it, &question(&site, it))
            };
            ask("first", FIRST);
            let (known, unknown) = (ask("known", KNOWN), ask("unknown", UNKNOWN));
            println!("{name}: {} statements", known.1.len());
            assert_eq!((known.0, unknown.0), (*status, *status), "{name}");
            assert!(known.1.len() > 1, "{name}: no statements in the log");
            if known != unknown {
                faults.push(format!("{name}: {known:#?}\n{unknown:#?}"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    fn the_log_has_no_values_of_statements(setup) {
        let site = Site::start(setup);
        let log = site.service.stop_for_log();
        assert!(log.contains("\"sql\":\"INSERT INTO"), "no statements");
        for value in [KNOWN.email().as_str(), "binds", PASSWORD, "hpr_"] {
            assert!(!log.contains(value), "{value} in {log}");
        }
    }
}
