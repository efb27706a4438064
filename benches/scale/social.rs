//! Log-in at a provider of this machine. Its answers are a part of what is measured, and the same
//! for few and for many users.

use std::sync::atomic::{AtomicU32, Ordering};

use hallpass::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::data;
use crate::requests::Call;
use crate::scripted_provider::{Key, ScriptedProvider};
use crate::service::{Service, text};

const RETURN_TO: &str = "https://app.example.com/in";

/// The provider. It has a user with the e-mail address of each account.
pub struct Provider {
    server: ScriptedProvider,
    key: Key,
    nonces: AtomicU32,
}

impl Provider {
    pub fn start() -> Self {
        let key = Key::es256("k");
        Self { server: ScriptedProvider::openid(&[&key]), key, nonces: AtomicU32::new(0) }
    }

    /// Returns the settings of a service that trusts it.
    pub fn settings(&self) -> [(&'static str, String); 6] {
        [
            ("HALLPASS_SOCIAL_OIDC_TEST_ISSUER", self.server.issuer()),
            ("HALLPASS_SOCIAL_OIDC_TEST_CLIENT_ID", "web".to_owned()),
            ("HALLPASS_SOCIAL_OIDC_TEST_NATIVE_CLIENT_IDS", "ios".to_owned()),
            ("HALLPASS_SOCIAL_OIDC_TEST_TRUST_EMAIL", "on".to_owned()),
            ("HALLPASS_SOCIAL_RETURN_URLS", RETURN_TO.to_owned()),
            ("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on".to_owned()),
        ]
    }

    /// Returns the request of a native app.
    pub fn present(&self, number: u32) -> Value {
        let nonce = format!("nonce-{}", self.nonces.fetch_add(1, Ordering::Relaxed));
        json!({"id_token": self.id_token(number, "ios", &nonce), "nonce": nonce})
    }

    fn id_token(&self, number: u32, audience: &str, nonce: &str) -> String {
        let email = data::email(number);
        let now = SystemClock.now().seconds();
        self.key.sign(&json!({
            "iss": self.server.issuer(), "sub": email, "aud": audience, "iat": now,
            "exp": now + 300, "nonce": nonce, "email": email, "email_verified": true,
        }))
    }
}

/// A flow that the user has come back from.
pub struct Flow {
    number: u32,
    token: String,
    state: String,
}

impl Flow {
    /// Starts a flow of a user.
    pub fn of(service: &Service, number: u32) -> Self {
        let started = service.ask(&start(number));
        let url = text(&started, "authorization_url");
        let (_, query) = url.split_once('?').unwrap();
        let parameter = |wanted: &str| -> String {
            let mut all = form_urlencoded::parse(query.as_bytes());
            all.find(|(name, _)| name == wanted).unwrap().1.into_owned()
        };
        let provider = service.provider();
        provider.server.grant(&provider.id_token(number, "web", &parameter("nonce")));
        Self { number, token: text(&started, "flow_token"), state: parameter("state") }
    }

    /// Returns the parameters that the provider adds to the redirect URI.
    pub fn response(&self) -> String {
        format!("code=c-1&state={}", self.state)
    }

    /// Returns the request that finishes the flow.
    pub fn finish(&self) -> Call {
        let body = json!({"flow_token": self.token, "code": "c-1", "state": self.state});
        Call::post("/v1/social/test/finish", body).of(self.number)
    }
}

/// Returns the request that starts a flow.
pub fn start(number: u32) -> Call {
    Call::post("/v1/social/test/start", json!({"return_to": RETURN_TO})).of(number)
}

/// Logs a user in, whose identity is linked from then on.
pub fn log_in(service: &Service, number: u32) -> Value {
    service.ask(&Flow::of(service, number).finish())
}
