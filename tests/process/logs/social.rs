//! Log-in at another service, whose answers are scripted.

use std::collections::HashMap;

use hallpass::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::flows::PASSWORD;
use super::recording_client::{AuthorizedClient, RecordingClient, form};
use crate::scripted_provider::{Answer, Key, ScriptedProvider};
use crate::service::Setup;

const RETURN_TO: &str = "http://app.test/signed-in";
const CODE: &str = "canary-authorization-code";
const SUBJECT: &str = "canary-subject";

/// The provider and its key.
pub struct Provider {
    script: ScriptedProvider,
    key: Key,
}

impl Provider {
    pub fn start() -> Self {
        let key = Key::es256("k");
        let script = ScriptedProvider::openid(&[&key]);
        script.on("/userinfo", Answer::Reply(403, String::new()));
        Self { script, key }
    }

    /// The settings of a service that logs in there.
    pub fn named_in(&self, setup: Setup) -> Setup {
        [
            ("ISSUER", self.script.issuer().as_str()),
            ("CLIENT_ID", "web"),
            ("CLIENT_SECRET", "canary-client-secret"),
            ("TRUST_EMAIL", "on"),
            ("NATIVE_CLIENT_IDS", "ios"),
        ]
        .iter()
        .fold(setup, |setup, (name, value)| {
            setup.with(&format!("HALLPASS_SOCIAL_OIDC_TEST_{name}"), value)
        })
        .with("HALLPASS_SOCIAL_RETURN_URLS", RETURN_TO)
        .with("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on")
    }

    fn id_token(&self, client: &RecordingClient, audience: &str, nonce: &str) -> String {
        let now = SystemClock.now().seconds();
        let token = self.key.sign(&json!({
            "iss": self.script.issuer(), "sub": SUBJECT, "aud": audience, "iat": now,
            "exp": now + 300, "nonce": nonce, "email": "canaryfed@example.com",
            "email_verified": true,
        }));
        client.add_canary("an id token", &token);
        token
    }

    /// Starts a flow, and lets the provider answer its code. Returns the request that finishes it.
    fn begin(&self, client: &RecordingClient, holder: &AuthorizedClient<'_>) -> Value {
        let started = holder.post("/v1/social/test/start", &json!({"return_to": RETURN_TO}));
        let url = url::Url::parse(started["authorization_url"].as_str().unwrap()).unwrap();
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        for name in ["state", "nonce", "code_challenge"] {
            client.add_canary(name, &query[name]);
        }
        self.script.grant(&self.id_token(client, "web", &query["nonce"]));
        json!({"flow_token": started["flow_token"], "code": CODE, "state": query["state"]})
    }
}

/// Links an identity, logs in with it in a browser and in an app, and unlinks it.
pub fn identities(client: &RecordingClient, provider: &Provider) {
    let anyone = client.with(&[]);
    anyone.get("/v1/social/providers");
    let mina = client.log_in("canarymina@example.com", PASSWORD);
    let holder = client.holder(&mina.access);
    let finish = provider.begin(client, &holder);
    let state = finish["state"].as_str().unwrap();
    client.redirected(&format!(
        "/v1/social/test/callback?{}",
        form(&[("code", CODE), ("state", state)])
    ));
    holder.post("/v1/social/test/finish", &finish);
    let finish = provider.begin(client, &anyone);
    let state = finish["state"].as_str().unwrap();
    client.redirected_form("/v1/social/test/callback", &form(&[("code", CODE), ("state", state)]));
    anyone.post("/v1/social/test/finish", &finish);
    let mut other = provider.begin(client, &anyone);
    other["state"] = "canary-other-state".into();
    anyone.refused("POST", "/v1/social/test/finish", &other);
    let native = provider.id_token(client, "ios", "canary-nonce");
    let body = json!({"id_token": native, "nonce": "canary-nonce"});
    anyone.post("/v1/social/test/token", &body);
    anyone.refused("POST", "/v1/social/test/token", &body);
    let linked = holder.get("/v1/me/identities");
    let id = linked["identities"][0]["id"].as_str().unwrap();
    holder.call("DELETE", &format!("/v1/me/identities/{id}"), &Value::Null);
}
