//! Log-in at other services: the whole flow over HTTP, against a provider whose answers are
//! scripted and against a real one.

mod accounts;
mod callback;
mod dialects;
mod hostile;
mod linking;
mod native;
mod outages;
mod races;
mod real_provider;
mod registration_rules;
mod sessions;

use std::collections::HashMap;

use hallpass::config::Config;
use serde_json::{Value, json};

use crate::scripted_provider::{Key, ScriptedProvider};
use crate::support::{Answer, TestApp, Tokens, World};

pub const MINA: &str = "mina@example.com";
pub const RETURN_TO: &str = "https://app.test/in?x=1";
pub const CLIENT: &str = "client-1";
pub const CODE: &str = "code-1";

/// A service with a provider that is trusted with e-mail addresses (`test`), the same one without
/// that trust (`doubtful`), and the provider itself.
pub struct Site {
    pub app: TestApp,
    pub provider: ScriptedProvider,
    pub key: Key,
    now: i64,
}

/// A flow that was started.
#[derive(Clone)]
pub struct Flow {
    pub provider: String,
    pub token: String,
    /// The parameters of the authorization request.
    pub query: HashMap<String, String>,
}

/// The parameters of a URL.
pub fn parameters(url: &str) -> HashMap<String, String> {
    let (_, query) = url.split_once('?').unwrap_or_default();
    let query = query.trim_end_matches('#');
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl Site {
    pub fn new(world: &World) -> Self {
        Self::with(world, &[])
    }

    pub fn with(world: &World, settings: &[(&str, &str)]) -> Self {
        let key = Key::es256("k");
        let provider = ScriptedProvider::openid(&[&key]);
        // Its scopes do not allow the profile, unless a test says otherwise.
        provider.on("/userinfo", crate::scripted_provider::Answer::Reply(403, String::new()));
        let app = Self::another(world, &provider, settings);
        Self { app, provider, key, now: world.now() }
    }

    /// A service beside others with the same provider.
    pub fn another(
        world: &World,
        provider: &ScriptedProvider,
        settings: &[(&str, &str)],
    ) -> TestApp {
        world.app_of(Self::config(world, provider, settings))
    }

    /// The same site with a service that has these settings besides.
    pub fn beside(self, world: &World, settings: &[(String, String)]) -> Self {
        let settings: Vec<_> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        Self { app: Self::another(world, &self.provider, &settings), ..self }
    }

    /// The configuration of a service with this provider.
    pub fn config(world: &World, provider: &ScriptedProvider, settings: &[(&str, &str)]) -> Config {
        let issuer = provider.issuer();
        let base = [
            ("HALLPASS_SOCIAL_OIDC_TEST_ISSUER", issuer.as_str()),
            ("HALLPASS_SOCIAL_OIDC_TEST_CLIENT_ID", CLIENT),
            ("HALLPASS_SOCIAL_OIDC_TEST_CLIENT_SECRET", "s3cret"),
            ("HALLPASS_SOCIAL_OIDC_TEST_TRUST_EMAIL", "on"),
            ("HALLPASS_SOCIAL_OIDC_TEST_DISPLAY_NAME", "Test"),
            ("HALLPASS_SOCIAL_TEST_NATIVE_CLIENT_IDS", ""),
            ("HALLPASS_SOCIAL_OIDC_TEST_NATIVE_CLIENT_IDS", "ios,android"),
            ("HALLPASS_SOCIAL_OIDC_DOUBTFUL_ISSUER", issuer.as_str()),
            ("HALLPASS_SOCIAL_OIDC_DOUBTFUL_CLIENT_ID", CLIENT),
            ("HALLPASS_SOCIAL_OIDC_DOUBTFUL_CLIENT_SECRET", "s3cret"),
            ("HALLPASS_SOCIAL_RETURN_URLS", "https://app.test/in?x=1,myapp://in"),
            ("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on"),
        ];
        let base: Vec<_> = base.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        world.config(&[&base[..], settings].concat())
    }

    pub fn start(&self, provider: &str) -> Flow {
        self.start_with(provider, &[], &json!({"return_to": RETURN_TO}))
    }

    pub fn start_with(&self, provider: &str, headers: &[(&str, &str)], body: &Value) -> Flow {
        let path = format!("/v1/social/{provider}/start");
        let started = self.app.post_with(&path, headers, body).is(200);
        let query = parameters(&started.text("authorization_url"));
        Flow { provider: provider.to_owned(), token: started.text("flow_token"), query }
    }

    pub fn start_as(&self, tokens: &Tokens, provider: &str) -> Flow {
        let bearer = format!("Bearer {}", tokens.access);
        let body = json!({"return_to": RETURN_TO});
        self.start_with(provider, &[("authorization", &bearer)], &body)
    }

    /// Claims for a flow as they should be, about the user `subject`.
    pub fn claims(&self, flow: &Flow, subject: &str) -> Value {
        json!({
            "iss": self.provider.issuer(), "sub": subject, "aud": CLIENT, "iat": self.now,
            "exp": self.now + 300, "nonce": flow.query["nonce"],
            "email": format!("{subject}@example.com"), "email_verified": true, "name": "A Name",
        })
    }

    /// Lets the provider answer the next code with these claims.
    pub fn grant(&self, claims: &Value) {
        self.provider.grant(&self.key.sign(claims));
    }

    pub fn finish(&self, flow: &Flow) -> Answer {
        self.finish_with(flow, &[], &json!({}))
    }

    pub fn finish_as(&self, tokens: &Tokens, flow: &Flow) -> Answer {
        let bearer = format!("Bearer {}", tokens.access);
        self.finish_with(flow, &[("authorization", &bearer)], &json!({}))
    }

    /// Finishes a flow with fields in the place of the right ones.
    pub fn finish_with(&self, flow: &Flow, headers: &[(&str, &str)], fields: &Value) -> Answer {
        finish_at(&self.app, flow, headers, fields)
    }

    /// The whole flow of a user whose address the provider has verified.
    pub fn log_in(&self, subject: &str) -> Answer {
        self.log_in_at("test", subject)
    }

    pub fn log_in_at(&self, provider: &str, subject: &str) -> Answer {
        let flow = self.start(provider);
        self.grant(&self.claims(&flow, subject));
        self.finish(&flow)
    }

    /// The whole flow with another value of a claim.
    pub fn log_in_with(&self, provider: &str, subject: &str, changes: &[(&str, Value)]) -> Answer {
        let flow = self.start(provider);
        self.grant(&with(self.claims(&flow, subject), changes));
        self.finish(&flow)
    }

    /// Links the identity `subject` to the account of `tokens`.
    pub fn link(&self, tokens: &Tokens, subject: &str) -> Answer {
        let flow = self.start_as(tokens, "test");
        self.grant(&self.claims(&flow, subject));
        self.finish_as(tokens, &flow)
    }

    pub fn identities(&self, tokens: &Tokens) -> Vec<Value> {
        let list = self.app.get_as(&tokens.access, "/v1/me/identities").is(200).json();
        list["identities"].as_array().unwrap().clone()
    }
}

/// Finishes a flow at a service.
pub fn finish_at(app: &TestApp, flow: &Flow, headers: &[(&str, &str)], fields: &Value) -> Answer {
    let mut body = json!({"flow_token": flow.token, "code": CODE, "state": flow.query["state"]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    finish_with_body(app, flow, headers, &body)
}

/// Finishes a flow with this request.
fn finish_with_body(app: &TestApp, flow: &Flow, headers: &[(&str, &str)], body: &Value) -> Answer {
    app.post_with(&format!("/v1/social/{}/finish", flow.provider), headers, body)
}

/// Claims with changes; null removes a claim.
pub fn with(mut claims: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(*name)),
            value => claims[*name] = value.clone(),
        }
    }
    claims
}
