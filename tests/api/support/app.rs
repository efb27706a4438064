//! A running service and the client that talks to it.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hallpass::app::App;
use hallpass::clock::ManualClock;
use hallpass::config::Config;
use hallpass::mail::transport::Transport;
use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::{Value, json};

use super::{Answer, PASSWORD, SECOND, World, contract, wait_for};

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    Client::builder()
        .timeout(Duration::from_secs(90))
        // Shorter than the service keeps connections, which would close one as it is used again.
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
});

/// A service on a port of its own. It stops when it is dropped.
pub struct TestApp {
    pub address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// A token pair.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub session: String,
}

impl TestApp {
    pub(super) fn start(config: Config, clock: Arc<ManualClock>, transport: Transport) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = App::build(&config, clock, Some(transport)).expect("the service starts");
                tell.send((app.address(), app.handle())).unwrap();
                app.run().await.expect("the service runs");
            });
        });
        let (address, handle) = told.recv().expect("the service starts");
        Self { address, handle, thread: Some(thread) }
    }

    /// The value of a line of `/metrics`.
    pub fn metric(&self, line: &str) -> f64 {
        self.optional_metric(line).unwrap_or_else(|| panic!("/metrics has no {line}"))
    }

    /// The value of a line of `/metrics` that may be missing.
    pub fn optional_metric(&self, line: &str) -> Option<f64> {
        let text = String::from_utf8(self.get("/metrics").is(200).body).unwrap();
        let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    }

    /// Sends any request and holds the answer against the document.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let answer = self.send_undocumented(method, path, headers, body);
        let asks_beforehand = |(name, _): &(&str, &str)| *name == "access-control-request-method";
        if method == "OPTIONS" && headers.iter().any(asks_beforehand) {
            contract::check_preflight(path, &answer);
        } else {
            contract::check(method, path, &answer);
        }
        answer
    }

    /// Sends any request, to what is not in the document: the Django REST adapter.
    pub fn send_undocumented(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let mut request = CLIENT.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.into();
        if !body.is_empty() {
            request = request.body(body);
        }
        Answer::from(request.send().expect("an answer"))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body)
    }

    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        self.send("POST", path, &headers, body.to_string())
    }

    /// Registers and returns the registration token.
    pub fn register(&self, email: &str) -> String {
        self.register_with(&json!({"email": email, "password": PASSWORD}))
    }

    pub fn register_with(&self, body: &Value) -> String {
        let answer = self.post("/v1/register", body);
        answer.is(202).text("registration_token")
    }

    /// Registers a user with a verified address and returns the tokens. Reads the user's first
    /// mail.
    pub fn person(&self, world: &World, email: &str) -> Tokens {
        let registration_token = self.register(email);
        let code = world.proof(email, 1).code;
        self.verify_code(&registration_token, &code).is(200).tokens()
    }

    pub fn verify_code(&self, registration_token: &str, code: &str) -> Answer {
        let body = json!({"registration_token": registration_token, "code": code});
        self.post("/v1/verify-email", &body)
    }

    pub fn verify_link(&self, token: &str, registration_token: &str) -> Answer {
        let body = json!({"token": token, "registration_token": registration_token});
        self.post("/v1/verify-email", &body)
    }

    pub fn verify_password(&self, token: &str, password: &str) -> Answer {
        self.post("/v1/verify-email", &json!({"token": token, "password": password}))
    }

    /// Requests the mail again, a second later: only the newer mail is valid.
    pub fn resend(&self, world: &World, email: &str) {
        world.advance(SECOND);
        self.post("/v1/verify-email/resend", &json!({"email": email})).is(202);
    }

    pub fn log_in(&self, username: &str, password: &str) -> Answer {
        self.post("/v1/token-auth", &json!({"username": username, "password": password}))
    }

    pub fn refresh(&self, token: &str) -> Answer {
        self.post("/v1/token-refresh", &json!({"refresh_token": token}))
    }

    pub fn revoke(&self, token: &str) -> Answer {
        self.post("/v1/token-revoke", &json!({"refresh_token": token}))
    }

    pub fn token_verify(&self, token: &str) -> Answer {
        settled(|| self.post("/v1/token-verify", &json!({"token": token})))
    }

    pub fn me(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        settled(|| self.send("GET", "/v1/me", &[("authorization", &bearer)], ""))
    }

    /// Sends a request with an access token, and a JSON body unless it is null.
    pub fn ask_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (headers, body) = if body.is_null() {
            (&headers[..1], String::new())
        } else {
            (&headers[..], body.to_string())
        };
        self.send(method, path, headers, body)
    }

    pub fn get_as(&self, token: &str, path: &str) -> Answer {
        settled(|| self.ask_as(token, "GET", path, &Value::Null))
    }

    pub fn delete_as(&self, token: &str, path: &str) -> Answer {
        self.ask_as(token, "DELETE", path, &Value::Null)
    }

    /// Returns the tokens of a new staff user.
    pub fn staff(&self, world: &World, email: &str) -> Tokens {
        self.raised(world, email, "is_staff = TRUE")
    }

    /// Returns the tokens of a new superuser.
    pub fn superuser(&self, world: &World, email: &str) -> Tokens {
        self.raised(world, email, "is_staff = TRUE, is_superuser = TRUE")
    }

    fn raised(&self, world: &World, email: &str, rights: &str) -> Tokens {
        self.person(world, email);
        world.execute(&format!("UPDATE users SET {rights} WHERE email = '{email}'"));
        self.log_in(email, PASSWORD).is(200).tokens()
    }
}

impl Tokens {
    /// The user id in the access token.
    pub fn user_id(&self) -> i64 {
        self.claims()["user_id"].as_i64().expect("a number")
    }

    /// The claims of the access token.
    pub fn claims(&self) -> Value {
        let claims = self.access.split('.').nth(1).expect("a JWT");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    }
}

/// Repeats a request while the revocation list is stale: it becomes so when a test moves the clock
/// by hours, until the next sync.
pub fn settled(mut ask: impl FnMut() -> Answer) -> Answer {
    wait_for("a service that knows what was revoked", || Some(ask()).filter(|it| it.status != 503))
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // The call itself stops the server; the thread waits for the rest.
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the service panicked");
        }
    }
}
