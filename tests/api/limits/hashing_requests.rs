//! The requests that hash a password.

use serde_json::{Value, json};

use crate::support::account::RESET;
use crate::support::{Answer, PASSWORD, TestApp, Tokens, World, link_token};

/// A request that hashes a password.
pub struct Request {
    method: &'static str,
    path: &'static str,
    authorization: Option<String>,
    body: Value,
}

impl Request {
    fn new(path: &'static str, body: Value) -> Self {
        Self { method: "POST", path, authorization: None, body }
    }

    fn by(self, user: &Tokens) -> Self {
        Self { authorization: Some(format!("Bearer {}", user.access)), ..self }
    }

    pub fn send(&self, app: &TestApp, from: &str) -> Answer {
        let mut headers = vec![("x-forwarded-for", from), ("content-type", "application/json")];
        headers.extend(self.authorization.as_deref().map(|value| ("authorization", value)));
        app.send_undocumented(self.method, self.path, &headers, self.body.to_string())
    }
}

/// Prepares a request about the e-mail address that succeeds, at a service that is not loaded.
pub type Prepare = fn(&World, &TestApp, &Tokens, &str) -> Request;

/// Every request that hashes a password, in each of its forms. The first is for any mode of
/// verification.
pub const THAT_HASH: [(&str, Prepare); 12] = [
    ("registration", |_, _, _, email| {
        Request::new("/v1/register", json!({"email": email, "password": PASSWORD}))
    }),
    ("log-in", |world, quiet, _, email| {
        quiet.person(world, email);
        Request::new("/v1/token-auth", json!({"username": email, "password": PASSWORD}))
    }),
    ("log-in at the Django REST adapter", |world, quiet, _, email| {
        quiet.person(world, email);
        Request::new("/api-token-auth/", json!({"username": email, "password": PASSWORD}))
    }),
    ("verification with link and password", |world, quiet, _, email| {
        quiet.register(email);
        let link = world.proof(email, 1).link_token;
        Request::new("/v1/verify-email", json!({"token": link, "password": PASSWORD}))
    }),
    ("reset with a link", |world, quiet, _, email| {
        quiet.person(world, email);
        quiet.ask_reset(email).is(202);
        let link = world.link_about(email, RESET, 1);
        reset(json!({"token": link, "new_password": NEW_PASSWORD}))
    }),
    ("reset with a code", |world, quiet, _, email| {
        quiet.person(world, email);
        quiet.ask_reset(email).is(202);
        let code = world.proof_about(email, RESET, 1).code;
        reset(json!({"email": email, "code": code, "new_password": NEW_PASSWORD}))
    }),
    ("acceptance of an invitation", |world, quiet, root, email| {
        quiet.as_holder("POST", "/v1/users", &root.access, &json!({"email": email})).is(201);
        let link = link_token(&world.mails_to(email, 1)[0]);
        reset(json!({"token": link, "new_password": NEW_PASSWORD}))
    }),
    ("change of the e-mail address", |world, quiet, _, email| {
        let body = json!({"new_email": format!("x{email}"), "password": PASSWORD});
        Request::new("/v1/me/email", body).by(&quiet.person(world, email))
    }),
    ("change of the password", |world, quiet, _, email| {
        let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
        Request::new("/v1/password-change", body).by(&quiet.person(world, email))
    }),
    ("deletion of the account", |world, quiet, _, email| {
        let user = quiet.person(world, email);
        let body = json!({"password": PASSWORD});
        Request { method: "DELETE", ..Request::new("/v1/me", body).by(&user) }
    }),
    ("account made by staff", |_, _, root, email| {
        Request::new("/v1/users", json!({"email": email, "password": PASSWORD})).by(root)
    }),
    ("API key", |_, _, root, email| {
        let body = json!({"name": email, "scopes": ["introspect"], "password": PASSWORD});
        Request::new("/v1/api-keys", body).by(root)
    }),
];

const NEW_PASSWORD: &str = "plum tree at dusk";

fn reset(body: Value) -> Request {
    Request::new("/v1/password-reset/confirm", body)
}
