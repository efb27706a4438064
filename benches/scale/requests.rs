//! Requests of the benchmark: every operation of the OpenAPI document under its id, and the Django
//! adapter.

use serde_json::{Value, json};

use crate::data;
use crate::service::{PASSWORD, Service, text};
use crate::social::{self, Flow};

const NEW_PASSWORD: &str = "pear tree at dawn";

/// A kind of request.
pub struct Operation {
    /// Its id in the document.
    pub name: &'static str,
    /// Does what has to be done before, and returns the request.
    pub prepare: fn(&mut Service) -> Call,
}

/// A request and the status of its answer.
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub body: Value,
    pub authorization: Option<String>,
    /// The IP address of the client.
    pub from: String,
    pub status: u16,
}

impl Call {
    fn new(method: &'static str, path: impl Into<String>, body: Value, status: u16) -> Self {
        let from = "10.0.0.1".to_owned();
        Self { method, path: path.into(), body, authorization: None, from, status }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path, Value::Null, 200)
    }

    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new("POST", path, body, 200)
    }

    pub fn log_in(username: &str) -> Self {
        Self::post("/v1/token-auth", json!({"username": username, "password": PASSWORD}))
    }

    pub fn django_log_in(username: &str) -> Self {
        Self::post("/api-token-auth/", json!({"username": username, "password": PASSWORD}))
    }

    /// A form.
    fn form(path: impl Into<String>, form: String) -> Self {
        Self::new("POST", path, Value::String(form), 200)
    }

    fn patch(path: impl Into<String>, body: Value) -> Self {
        Self::new("PATCH", path, body, 200)
    }

    fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path, Value::Null, 204)
    }

    /// From where a user logged in before.
    pub fn of(self, number: u32) -> Self {
        Self { from: data::ip_address(number), ..self }
    }

    /// From a network of its own: one network may order few mails.
    fn of_stranger(self, address: &str) -> Self {
        Self { from: data::ip_address_of(address), ..self }
    }

    fn bearer(self, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..self }
    }

    fn jwt(self, token: &str) -> Self {
        Self { authorization: Some(format!("JWT {token}")), ..self }
    }

    fn answered(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

macro_rules! operations {
    ($($name:literal: |$service:ident| $prepare:expr;)*) => {
        /// Returns every operation.
        pub fn operations() -> Vec<Operation> {
            vec![$(Operation { name: $name, prepare: |$service| $prepare }),*]
        }
    };
}

operations! {
    "register": |service| register(&service.stranger());
    "verifyEmail": |service| {
        let address = service.stranger();
        let registration = service.ask(&register(&address));
        let code = code(&service.mail(&address, ""));
        let token = text(&registration, "registration_token");
        let body = json!({"registration_token": token, "code": code});
        Call::post("/v1/verify-email", body).of_stranger(&address)
    };
    "resendVerification": |service| {
        let address = service.stranger();
        service.ask(&register(&address));
        service.mail(&address, "");
        let call = Call::post("/v1/verify-email/resend", json!({"email": address}));
        call.of_stranger(&address).answered(202)
    };
    "tokenAuth": |service| {
        let number = service.person();
        Call::log_in(&data::username(number)).of(number)
    };
    "tokenRefresh": |service| refresh_token(service, "/v1/token-refresh");
    "tokenVerify": |service| {
        let number = service.person();
        Call::post("/v1/token-verify", json!({"token": service.access(number)}))
    };
    "tokenRevoke": |service| refresh_token(service, "/v1/token-revoke").answered(204);
    "requestPasswordReset": |service| ask_reset(service.person());
    "confirmPasswordReset": |service| {
        let number = service.victim();
        service.ask(&ask_reset(number));
        let email = data::email(number);
        let code = code(&service.mail(&email, "/password-reset?token="));
        let body = json!({"email": email, "code": code, "new_password": NEW_PASSWORD});
        Call::post("/v1/password-reset/confirm", body).of(number).answered(204)
    };
    "changePassword": |service| {
        let number = service.victim();
        let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
        Call::post("/v1/password-change", body).of(number).bearer(&service.access(number)).answered(204)
    };
    "passwordPolicy": |_service| Call::get("/v1/password-policy");
    "getMe": |service| as_person(service, Call::get("/v1/me"));
    "updateMe": |service| as_person(service, Call::patch("/v1/me", json!({"locale": "ko"})));
    "deleteMe": |service| {
        let number = service.victim();
        Call::delete("/v1/me").of(number).bearer(&service.access(number))
    };
    "exportMe": |service| as_person(service, Call::get("/v1/me/export"));
    "changeEmail": |service| {
        let body = json!({"new_email": service.stranger()});
        as_person(service, Call::post("/v1/me/email", body).answered(202))
    };
    "listProviders": |_service| Call::get("/v1/social/providers");
    "startSocialLogin": |service| social::start(service.person());
    "socialCallback": |service| {
        let number = service.person();
        let response = Flow::of(service, number).response();
        Call::get(format!("/v1/social/test/callback?{response}")).of(number).answered(303)
    };
    "socialFormCallback": |service| {
        let number = service.person();
        let response = Flow::of(service, number).response();
        Call::form("/v1/social/test/callback", response).of(number).answered(303)
    };
    "finishSocialLogin": |service| {
        let number = service.person();
        social::log_in(service, number);
        Flow::of(service, number).finish()
    };
    "socialToken": |service| {
        let number = service.person();
        social::log_in(service, number);
        let body = service.provider().present(number);
        Call::post("/v1/social/test/token", body).of(number)
    };
    "listIdentities": |service| {
        let number = service.person();
        let access = text(&social::log_in(service, number), "access_token");
        Call::get("/v1/me/identities").of(number).bearer(&access)
    };
    "unlinkIdentity": |service| {
        let number = service.victim();
        let access = text(&social::log_in(service, number), "access_token");
        let list = service.ask(&Call::get("/v1/me/identities").of(number).bearer(&access));
        let id = text(&list["identities"][0], "id");
        Call::delete(format!("/v1/me/identities/{id}")).of(number).bearer(&access)
    };
    "listSessions": |service| as_person(service, Call::get("/v1/me/sessions"));
    "endSession": |service| {
        let number = service.person();
        let other = text(&service.log_in(number), "session_id");
        let access = service.access(number);
        Call::delete(format!("/v1/me/sessions/{other}")).of(number).bearer(&access)
    };
    "endOtherSessions": |service| as_person(service, Call::delete("/v1/me/sessions"));
    "listMyEvents": |service| as_person(service, Call::get("/v1/me/events"));
    "reportNotMe": |service| {
        let number = service.victim();
        service.ask(&Call::log_in(&data::username(number)).of(number + 1));
        let mail = service.mail(&data::email(number), "/not-me?token=");
        let (_, rest) = mail.split_once("/not-me?token=").unwrap();
        let token = rest.split_whitespace().next().unwrap();
        Call::post("/v1/not-me", json!({"token": token})).answered(204)
    };
    "listUsers": |service| as_staff(service, Call::get("/v1/users"));
    "listUsers by beginning": |service| {
        let number = service.person();
        as_staff(service, Call::get(format!("/v1/users?search={}", data::username(number))))
    };
    "createUser": |service| {
        let body = json!({"email": service.stranger()});
        as_staff(service, Call::post("/v1/users", body).answered(201))
    };
    "getUser": |service| {
        let path = user_path(service.person());
        as_staff(service, Call::get(path))
    };
    "updateUser": |service| {
        let path = user_path(service.victim());
        as_staff(service, Call::patch(path, json!({"is_active": false})))
    };
    "deleteUser": |service| {
        let path = user_path(service.victim());
        as_staff(service, Call::delete(path))
    };
    "endUserSessions": |service| {
        let path = user_path(service.victim());
        as_staff(service, Call::delete(format!("{path}/sessions")))
    };
    "listUserEvents": |service| {
        let path = user_path(service.person());
        as_staff(service, Call::get(format!("{path}/events")))
    };
    "listApiKeys": |service| as_staff(service, Call::get("/v1/api-keys"));
    "createApiKey": |service| {
        let body = json!({"name": "benchmark", "scopes": ["introspect"]});
        as_staff(service, Call::post("/v1/api-keys", body).answered(201))
    };
    "revokeApiKey": |service| {
        let body = json!({"name": "benchmark", "scopes": ["introspect"]});
        let create = as_staff(service, Call::post("/v1/api-keys", body).answered(201));
        let created = service.ask(&create);
        let id = created["api_key"]["id"].as_str().unwrap().to_owned();
        as_staff(service, Call::delete(format!("/v1/api-keys/{id}")))
    };
    "forwardAuth": |service| as_person(service, Call::get("/v1/forward-auth"));
    "introspectToken": |service| {
        let (form, key) = token_form(service, "introspect");
        Call::form("/v1/introspect", form).bearer(&key)
    };
    "revokeToken": |service| {
        let (form, key) = token_form(service, "revoke");
        Call::form("/v1/revoke", form).bearer(&key)
    };
    "listRevocations": |_service| Call::get("/v1/revocations");
    "jwks": |_service| Call::get("/.well-known/jwks.json");
    "openidConfiguration": |_service| Call::get("/.well-known/openid-configuration");
    "authorizationServerMetadata": |_service| Call::get("/.well-known/oauth-authorization-server");
    "publicConfig": |_service| Call::get("/v1/config");
    "healthz": |_service| Call::get("/healthz");
    "readyz": |_service| Call::get("/readyz");
    "metrics": |_service| Call::get("/metrics");
    "openapi": |_service| Call::get("/openapi.json");
    "openapi30": |_service| Call::get("/openapi-3.0.json");
    "POST /api-token-auth/": |service| {
        let number = service.person();
        Call::django_log_in(&data::username(number)).of(number)
    };
    "POST /api-token-verify/": |service| django_token(service, "/api-token-verify/");
    "POST /api-token-refresh/": |service| django_token(service, "/api-token-refresh/");
    "GET /restricted/": |service| as_django_user(service, Call::get("/restricted/"));
    "GET /": |service| as_django_user(service, Call::get("/"));
    // To staff it lists all users, as the reference does.
    "GET /users/ (own)": |service| as_django_user(service, Call::get("/users/"));
    "POST /users/": |service| {
        let email = service.stranger();
        let username = email.split('@').next().unwrap();
        let body = json!({"username": username, "email": email, "is_staff": false});
        as_django_staff(service, Call::post("/users/", body).answered(201))
    };
    "GET /users/N/": |service| {
        let path = django_path(service.person());
        as_django_staff(service, Call::get(path))
    };
    "PUT /users/N/": |service| {
        let number = service.victim();
        let body = json!({
            "username": data::username(number), "email": service.stranger(), "is_staff": false,
        });
        as_django_staff(service, Call::new("PUT", django_path(number), body, 200))
    };
    "PATCH /users/N/": |service| {
        let path = django_path(service.victim());
        let body = json!({"email": service.stranger()});
        as_django_staff(service, Call::patch(path, body))
    };
    "DELETE /users/N/": |service| {
        let path = django_path(service.victim());
        as_django_staff(service, Call::delete(path))
    };
}

fn register(address: &str) -> Call {
    let body = json!({"email": address, "password": PASSWORD});
    Call::post("/v1/register", body).of_stranger(address).answered(202)
}

fn ask_reset(number: u32) -> Call {
    let body = json!({"email": data::email(number)});
    Call::post("/v1/password-reset", body).of(number).answered(202)
}

fn refresh_token(service: &mut Service, path: &str) -> Call {
    let number = service.person();
    let token = text(&service.log_in(number), "refresh_token");
    Call::post(path, json!({"refresh_token": token})).of(number)
}

/// Returns a form with an access token, and the secret of an API key with that scope.
fn token_form(service: &mut Service, scope: &str) -> (String, String) {
    let number = service.person();
    let form = format!("token={}", service.access(number));
    let body = json!({"name": "benchmark", "scopes": [scope]});
    let create = as_staff(service, Call::post("/v1/api-keys", body).answered(201));
    (form, text(&service.ask(&create), "secret"))
}

fn django_token(service: &mut Service, path: &str) -> Call {
    let number = service.person();
    Call::post(path, json!({"token": service.django(number)})).of(number)
}

fn as_person(service: &mut Service, call: Call) -> Call {
    let number = service.person();
    call.of(number).bearer(&service.access(number))
}

fn as_staff(service: &mut Service, call: Call) -> Call {
    call.bearer(&service.staff().access)
}

fn as_django_user(service: &mut Service, call: Call) -> Call {
    let number = service.person();
    call.of(number).jwt(&service.django(number))
}

fn as_django_staff(service: &mut Service, call: Call) -> Call {
    call.jwt(&service.staff().django)
}

fn user_path(number: u32) -> String {
    format!("/v1/users/{}", data::user_id(number))
}

fn django_path(number: u32) -> String {
    format!("/users/{}/", data::user_id(number))
}

/// Returns the code of a mail, which stands in a line of its own.
fn code(mail: &str) -> String {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    mail.lines().map(str::trim).find(is_code).expect("a code").to_owned()
}
