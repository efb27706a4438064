//! The whole flow at implementations of OpenID Connect that share no code with this one.

use hallpass::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::{MINA, RETURN_TO, parameters};
use crate::real_provider::RealProvider;
use crate::support::{Answer, TestApp, Tokens, World, on_both};

const REDIRECT_URI: &str = "http://auth.test/v1/social/real/callback";

on_both! {
    fn a_certified_provider_logs_users_in_over_http(world) {
        if let Some(provider) = RealProvider::oidc_provider(REDIRECT_URI) {
            Site::new(&world, provider).log_users_in(&world);
        }
    }

    fn a_provider_of_authlib_logs_users_in_over_http(world) {
        if let Some(provider) = RealProvider::authlib(REDIRECT_URI) {
            Site::new(&world, provider).log_users_in(&world);
        }
    }
}

/// A service and the provider that it knows as `real`.
struct Site {
    app: TestApp,
    provider: RealProvider,
}

impl Site {
    fn new(world: &World, provider: RealProvider) -> Self {
        // The provider has no other clock.
        world.clock.set(SystemClock.now());
        let app = world.app_with(&[
            ("HALLPASS_SOCIAL_OIDC_REAL_ISSUER", provider.issuer()),
            ("HALLPASS_SOCIAL_OIDC_REAL_CLIENT_ID", provider.client_id()),
            ("HALLPASS_SOCIAL_OIDC_REAL_CLIENT_SECRET", provider.client_secret()),
            ("HALLPASS_SOCIAL_OIDC_REAL_TRUST_EMAIL", "example.com"),
            ("HALLPASS_SOCIAL_RETURN_URLS", RETURN_TO),
            ("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on"),
        ]);
        Self { app, provider }
    }

    /// The way of the browser to the provider and back: the request that finishes it, or `error`.
    fn visit(&mut self, headers: &[(&str, &str)], login: &str) -> Value {
        let body = json!({"return_to": RETURN_TO});
        let started = self.app.post_with("/v1/social/real/start", headers, &body).is(200);
        let redirected = self.provider.log_in(&started.text("authorization_url"), login);
        let path = redirected.strip_prefix("http://auth.test").expect("the redirect URI");
        let passed_on = self.app.get(path).is(303);
        let page = parameters(passed_on.header("location").unwrap());
        if let Some(error) = page.get("error") {
            assert_eq!(page.len(), 3, "x, error and state: {page:?}");
            return json!({ "error": error });
        }
        json!({
            "flow_token": started.text("flow_token"), "code": page["code"], "state": page["state"],
            "iss": page["iss"],
        })
    }

    /// The whole flow, whose end is repeated.
    fn log_in(&mut self, login: &str) -> Answer {
        let body = self.visit(&[], login);
        let first = self.app.post("/v1/social/real/finish", &body);
        let again = self.app.post("/v1/social/real/finish", &body);
        let session = |answer: &Answer| (answer.status, answer.json().get("session_id").cloned());
        assert_eq!(session(&first), session(&again));
        first
    }

    fn link(&mut self, tokens: &Tokens, login: &str) -> Answer {
        let bearer = format!("Bearer {}", tokens.access);
        let headers = [("authorization", bearer.as_str())];
        let body = self.visit(&headers, login);
        self.app.post_with("/v1/social/real/finish", &headers, &body)
    }

    fn log_users_in(&mut self, world: &World) {
        let mina = self.log_in("mina").is(200).tokens();
        assert_eq!(mina.claims()["email"], MINA);
        assert_eq!(self.log_in("mina").is(200).tokens().user_id(), mina.user_id());
        // An address that the provider has not verified, from its userinfo endpoint.
        let ravi = self.log_in("unverified-ravi").is(202).text("registration_token");
        let code = world.proof("unverified-ravi@example.com", 1).code;
        let ravi = self.app.verify_code(&ravi, &code).is(200).tokens();
        assert_eq!(self.log_in("unverified-ravi").is(200).tokens().user_id(), ravi.user_id());
        // A user who is logged in links a second identity.
        self.link(&mina, "mina-at-work").is(200);
        assert_eq!(self.log_in("mina-at-work").is(200).tokens().user_id(), mina.user_id());
        self.link(&ravi, "mina-at-work").refused(409, "identity_conflict");
        // A user who refuses is sent back without a code.
        assert_eq!(self.visit(&[], "refusing-eve"), json!({"error": "access_denied"}));
        assert_eq!((world.count("users"), world.count("identities")), (2, 3));
    }
}
