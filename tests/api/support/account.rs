//! Requests of a user about the own account.

use hallpass::mail::envelope::Mail;
use serde_json::{Value, json};

use super::app::settled;
use super::{Answer, PASSWORD, TestApp, Tokens, World, wait_for};

/// Returns status and error code of each answer.
pub fn statuses(answers: &[Answer]) -> Vec<(u16, String)> {
    answers.iter().map(|it| (it.status, it.code())).collect()
}

impl TestApp {
    /// Checks that no token of a pair is valid.
    #[track_caller]
    pub fn assert_revoked(&self, tokens: &Tokens) {
        self.token_verify(&tokens.access).refused(401, "token_revoked");
        self.me(&tokens.access).refused(401, "token_revoked");
        self.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
    }

    /// Sends a request with an access token and, unless it is null, a JSON body.
    pub fn as_holder(&self, method: &str, path: &str, access: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {access}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (headers, body) = match body {
            Value::Null => (&headers[..1], String::new()),
            body => (&headers[..], body.to_string()),
        };
        settled(|| self.send(method, path, headers, body.clone()))
    }

    /// Registers a user with an address that belonged to another before; the `number`th mail of its
    /// kind to it.
    pub fn person_again(&self, world: &World, email: &str, number: usize) -> Tokens {
        let registration_token = self.register(email);
        let code = world.proof_about(email, VERIFY, number).code;
        self.verify_code(&registration_token, &code).is(200).tokens()
    }

    /// Logs in with the `User-Agent` `agent`.
    pub fn log_in_on(&self, agent: &str, username: &str) -> Answer {
        let body = json!({"username": username, "password": PASSWORD});
        self.post_with("/v1/token-auth", &[("user-agent", agent)], &body)
    }

    pub fn ask_reset(&self, email: &str) -> Answer {
        self.post("/v1/password-reset", &json!({"email": email}))
    }

    pub fn reset_by_link(&self, token: &str, new: &str) -> Answer {
        self.post("/v1/password-reset/confirm", &json!({"token": token, "new_password": new}))
    }

    pub fn reset_by_code(&self, email: &str, code: &str, new: &str) -> Answer {
        let body = json!({"email": email, "code": code, "new_password": new});
        self.post("/v1/password-reset/confirm", &body)
    }

    /// Changes the password, with the current one if given.
    pub fn change_password(&self, access: &str, current: Option<&str>, new: &str) -> Answer {
        let body = match current {
            Some(current) => json!({"current_password": current, "new_password": new}),
            None => json!({"new_password": new}),
        };
        self.as_holder("POST", "/v1/password-change", access, &body)
    }

    /// Requests a change of the address, with the password.
    pub fn change_email(&self, access: &str, new: &str) -> Answer {
        let body = json!({"new_email": new, "password": PASSWORD});
        self.as_holder("POST", "/v1/me/email", access, &body)
    }

    /// Changes the address, with the code of the first such mail to it.
    pub fn move_to(&self, world: &World, access: &str, new: &str) -> Tokens {
        let waiting = self.change_email(access, new).is(202).text("registration_token");
        let code = world.proof_about(new, CONFIRM, 1).code;
        self.verify_code(&waiting, &code).is(200).tokens()
    }

    /// Creates an API key as a superuser and returns its id and its secret.
    pub fn api_key(&self, root: &Tokens, scopes: &[&str]) -> (String, String) {
        let body = json!({"name": "a service", "scopes": scopes});
        let created = self.as_holder("POST", "/v1/api-keys", &root.access, &body).is(201);
        let id = created.json()["api_key"]["id"].as_str().expect("an id").to_owned();
        (id, created.text("secret"))
    }

    pub fn not_me(&self, token: &str) -> Answer {
        self.post("/v1/not-me", &json!({"token": token}))
    }

    /// Posts a form, as the built-in pages do.
    pub fn post_form(&self, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
        let body: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = [headers, &[("content-type", "application/x-www-form-urlencoded")]].concat();
        self.send("POST", path, &headers, body)
    }
}

/// Parts of the subjects of mails.
pub const VERIFY: &str = "Verify your email address";
pub const RESET: &str = "Choose a new password";
pub const CONFIRM: &str = "Confirm your new email address";
pub const NEW_DEVICE: &str = "new login";
pub const PASSWORD_CHANGED: &str = "the password of your";
pub const CHANGE_REQUESTED: &str = "is about to change";
pub const EMAIL_CHANGED: &str = "the email address of your Hallpass account was changed";
pub const SESSION_ENDED: &str = "we ended a session";

impl World {
    /// Returns the mails to that address so far whose subject contains `about`.
    pub fn mails_about(&self, person: &str, about: &str) -> Vec<Mail> {
        let mails = self.mails_so_far(person);
        mails.into_iter().filter(|mail| mail.subject.contains(about)).collect()
    }

    /// Returns the `number`th mail, counted from 1, whose subject contains `about`.
    pub fn mail_about(&self, person: &str, about: &str, number: usize) -> Mail {
        wait_for(about, || self.mails_about(person, about).into_iter().nth(number - 1))
    }

    /// Returns code and link of that mail.
    pub fn proof_about(&self, person: &str, about: &str, number: usize) -> super::Proof {
        super::proof_in(&self.mail_about(person, about, number)).expect("a code and a link")
    }

    /// Returns the token of that mail's link.
    pub fn link_about(&self, person: &str, about: &str, number: usize) -> String {
        super::link_token(&self.mail_about(person, about, number))
    }

    /// Waits until every queued mail is sent or dropped.
    pub fn settle_mail(&self) {
        wait_for("the mail to be through", || {
            (self.count("outbox WHERE status = 'queued'") == 0).then_some(())
        });
    }
}
