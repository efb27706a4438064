//! The client of providers of social log-in, against providers that break every rule and against
//! stand-ins that speak the documented dialects.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]

mod dialects;
mod hostile_answers;
mod hostile_tokens;
#[path = "../support/real_provider.rs"]
mod implementations;
#[path = "../support/missing.rs"]
mod missing;
mod real_provider;
#[path = "../support/scripted_provider.rs"]
mod scripted_provider;
#[path = "../support/smtp.rs"]
mod smtp;

use std::time::Duration;

use hallpass::domain::{Identity, SecretText, UtcTime};
use hallpass::social::{
    AuthorizationRequest, Callback, ClientSecret, CodeResponse, EmailTrust, Preset, Provider,
    ProviderError, ProviderSettings, SocialSettings,
};
use serde_json::{Value, json};

use scripted_provider::ScriptedProvider;

const NOW: i64 = 1_800_000_000;
const CLIENT: &str = "client-1";
const NONCE: &str = "nonce-of-this-flow";
const REQUEST: AuthorizationRequest<'static> = AuthorizationRequest {
    redirect_uri: "https://auth.example.com/v1/social/test/callback",
    state: "state-of-this-flow",
    nonce: NONCE,
    code_verifier: "verifier-of-this-flow-with-43-characters-ok",
};

fn now() -> UtcTime {
    UtcTime::from_seconds(NOW)
}

fn later(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(NOW + seconds)
}

fn secret() -> ClientSecret {
    ClientSecret::Fixed(SecretText::from("s3cret/+".to_owned()))
}

/// Settings under which the stand-ins of this machine can be reached.
fn social() -> SocialSettings {
    SocialSettings {
        providers: Vec::new(),
        return_urls: Vec::new(),
        callback: Callback::Service,
        allow_private: true,
        timeout: Duration::from_millis(500),
    }
}

/// The client of a provider that is known by its issuer only.
fn generic(provider: &ScriptedProvider) -> ProviderSettings {
    let mut settings =
        Preset::generic("test".to_owned(), provider.issuer(), CLIENT.to_owned(), secret());
    settings.email_trust = EmailTrust::Verified;
    settings.native_client_ids = vec!["ios".to_owned(), "android".to_owned()];
    settings
}

fn client(settings: ProviderSettings) -> Provider {
    Provider::new(settings, &social())
}

/// Claims as they should be.
fn claims(provider: &ScriptedProvider) -> Value {
    json!({
        "iss": provider.issuer(), "sub": "248289761001", "aud": CLIENT, "exp": NOW + 300,
        "iat": NOW, "nonce": NONCE, "email": "mina@example.com", "email_verified": true, "name": "Mina",
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn redeem(client: &Provider) -> Result<Identity, ProviderError> {
    redeem_at(client, now())
}

fn redeem_at(client: &Provider, now: UtcTime) -> Result<Identity, ProviderError> {
    client.redeem(&CodeResponse { code: "code-1", request: REQUEST }, now)
}

/// The parameters of an authorization URL.
fn parameters(url: &str) -> std::collections::HashMap<String, String> {
    url::Url::parse(url).unwrap().query_pairs().into_owned().collect()
}
