//! HTTP client of the process tests.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

/// Accepted by the policy.
pub const PASSWORD: &str = "plum tree at dusk";

/// A client of one service.
#[derive(Clone)]
pub struct Api {
    base: String,
    http: Client,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<u64>,
    pub body: Value,
    pub took: Duration,
}

impl Answer {
    /// A text of the body.
    pub fn text(&self, name: &str) -> String {
        let text = self.body[name].as_str();
        text.unwrap_or_else(|| panic!("no {name} in {self:?}")).to_owned()
    }
}

impl Api {
    pub fn at(address: SocketAddr) -> Self {
        // Each call comes on a connection of its own, so none meets one that just died.
        let http = Client::builder()
            .timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .unwrap();
        Self { base: format!("http://{address}"), http }
    }

    pub fn get(&self, path: &str) -> Answer {
        let started = Instant::now();
        let response = self.http.get(format!("{}{path}", self.base)).send().unwrap();
        answer(response, started)
    }

    /// The same service over connections that are kept.
    pub fn kept_alive(self) -> Self {
        Self { http: Client::builder().no_proxy().build().unwrap(), ..self }
    }

    pub fn get_text(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.base)).send().unwrap().text().unwrap()
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).unwrap()
    }

    /// Sends a POST. An error means that there was no response.
    /// The same with header fields.
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let request =
            self.http.post(format!("{}{path}", self.base)).header(CONTENT_TYPE, "application/json");
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let started = Instant::now();
        answer(request.body(body.to_string()).send().unwrap(), started)
    }

    pub fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Answer> {
        let started = Instant::now();
        let response = self.http.post(format!("{}{path}", self.base)).json(body).send()?;
        Ok(answer(response, started))
    }

    /// Sends a request with an access token.
    pub fn send(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        self.try_send(method, path, token, body).unwrap()
    }

    /// Sends a request. An error means that there was no response.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> reqwest::Result<Answer> {
        let started = Instant::now();
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        Ok(answer(request.bearer_auth(token).json(body).send()?, started))
    }

    pub fn try_register(&self, email: &str) -> reqwest::Result<Answer> {
        self.try_post("/v1/register", &json!({"email": email, "password": PASSWORD}))
    }

    /// Registers and returns the registration token.
    pub fn register(&self, email: &str) -> String {
        let answer = self.try_register(email).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.text("registration_token")
    }

    /// Verifies an address and returns the access token.
    pub fn verify(&self, registration_token: &str, code: &str) -> String {
        let body = json!({"registration_token": registration_token, "code": code});
        let answer = self.post("/v1/verify-email", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("access_token")
    }

    pub fn verify_token(&self, token: &str) -> Answer {
        self.post("/v1/token-verify", &json!({"token": token}))
    }

    pub fn refresh(&self, token: &str) -> Answer {
        self.try_refresh(token).unwrap()
    }

    pub fn try_refresh(&self, token: &str) -> reqwest::Result<Answer> {
        self.try_post("/v1/token-refresh", &json!({"refresh_token": token}))
    }

    pub fn log_in(&self, username: &str, password: &str) -> Answer {
        self.post("/v1/token-auth", &json!({"username": username, "password": password}))
    }
}

fn answer(response: Response, started: Instant) -> Answer {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    Answer {
        status: response.status().as_u16(),
        content_type: header(CONTENT_TYPE).unwrap_or_default().to_owned(),
        retry_after: header(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()),
        body: response.json().unwrap_or_default(),
        took: started.elapsed(),
    }
}
