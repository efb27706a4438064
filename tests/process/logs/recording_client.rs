//! A client that keeps every secret that it sends or gets, to look for them in the log.

use std::cell::{Ref, RefCell};
use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use reqwest::{Method, redirect};
use serde_json::{Value, json};

use super::canaries::Canaries;
use super::flows::PASSWORD;
use crate::smtp::SmtpServer;

/// A header of a request: name and value.
type Header = (String, String);

/// Status, body and cookies of an answer.
type Exchanged = (u16, String, Vec<String>);

/// The tokens of a log-in.
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub session: String,
}

/// Evidence from a mail.
pub struct Proof {
    pub code: String,
    pub token: String,
}

/// A request as its answer names it.
#[derive(Clone, Debug)]
pub struct Answered {
    pub request_id: String,
    pub method: String,
    pub status: u16,
}

pub struct RecordingClient {
    http: Client,
    base: String,
    address: SocketAddr,
    server: SmtpServer,
    canaries: RefCell<Canaries>,
    answered: RefCell<Vec<Answered>>,
    /// Method and path of what succeeded.
    done: RefCell<HashSet<(String, String)>>,
}

/// The same client with headers of its own.
pub struct AuthorizedClient<'a> {
    client: &'a RecordingClient,
    headers: Vec<Header>,
}

impl RecordingClient {
    pub fn new(address: SocketAddr, server: SmtpServer, canaries: Canaries) -> Self {
        let http = Client::builder()
            .timeout(Duration::from_secs(30))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let base = format!("http://{address}");
        let (canaries, answered) = (RefCell::new(canaries), RefCell::default());
        let done = RefCell::default();
        Self { http, base, address, server, canaries, answered, done }
    }

    pub fn canaries(&self) -> Ref<'_, Canaries> {
        self.canaries.borrow()
    }

    pub fn add_canary(&self, what: &str, secret: &str) {
        self.canaries.borrow_mut().add(what, secret);
    }

    /// The operations of the document that did not succeed once.
    pub fn missing_operations(&self) -> Vec<String> {
        let document = self.with(&[]).get("/openapi.json");
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            operations.extend(methods.as_object().unwrap().keys().map(|it| (it, path)));
        }
        assert!(operations.len() > 30, "{operations:?}");
        let done = self.done.borrow();
        operations.retain(|(method, template)| {
            !done.iter().any(|(known, path)| {
                known.eq_ignore_ascii_case(method) && is_path_of(path, template)
            })
        });
        operations.into_iter().map(|(method, path)| format!("{method} {path}")).collect()
    }

    pub fn answered(&self) -> Vec<Answered> {
        self.answered.borrow().clone()
    }

    pub fn with(&self, headers: &[(&str, &str)]) -> AuthorizedClient<'_> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        AuthorizedClient { client: self, headers: headers.iter().map(owned).collect() }
    }

    pub fn holder(&self, access_token: &str) -> AuthorizedClient<'_> {
        self.with(&[("authorization", &format!("Bearer {access_token}"))])
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.with(&[]).post(path, body)
    }

    pub fn refused(&self, method: &str, path: &str, body: &Value) {
        self.with(&[]).refused(method, path, body);
    }

    /// Posts what is meant to be JSON.
    pub fn raw(&self, path: &str, body: &str) {
        self.send("POST", path, &[json_type()], body);
    }

    /// Sends what is not even HTTP, and waits for the end.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = [0; 4096];
        let _ = stream.read(&mut answer);
    }

    /// Opens a built-in page with its token and sends its form.
    pub fn page(&self, path: &str, token: &str, form: &str) {
        let shown = self.send("GET", &format!("{path}?token={token}"), &[], "");
        assert_eq!(shown.0, 200, "{path}");
        let done = self.send("POST", path, &[form_type()], form);
        assert_eq!(done.0, 200, "{path}: {}", done.1);
    }

    /// Follows a link that answers with a redirection.
    pub fn redirected(&self, path: &str) {
        let (status, text, _) = self.send("GET", path, &[], "");
        assert_eq!(status, 303, "{path}: {text}");
    }

    /// Sends a form that is answered with a redirection.
    pub fn redirected_form(&self, path: &str, form: &str) {
        let (status, text, _) = self.send("POST", path, &[form_type()], form);
        assert_eq!(status, 303, "{path}: {text}");
    }

    /// Sends a form with credentials.
    pub fn form(&self, path: &str, authorization: &str, form: &str) {
        let headers = [form_type(), ("authorization".to_owned(), authorization.to_owned())];
        let (status, text, _) = self.send("POST", path, &headers, form);
        assert_eq!(status, 200, "{path}: {text}");
    }

    pub fn cookies(&self, headers: &[(&str, &str)], path: &str, body: &Value) -> String {
        let headers = [self.with(headers).headers, vec![json_type()]].concat();
        let (status, text, cookies) = self.send("POST", path, &headers, &body.to_string());
        assert_eq!(status, 200, "{path}: {text}");
        assert!(!cookies.is_empty(), "{path} sets no cookie");
        cookies.join("; ")
    }

    pub fn register(&self, name: &str) -> String {
        let email = format!("{name}@example.com");
        let answer = self.post("/v1/register", &json!({"email": email, "password": PASSWORD}));
        answer["registration_token"].as_str().unwrap().to_owned()
    }

    pub fn log_in(&self, username: &str, password: &str) -> Tokens {
        let body = json!({"username": username, "password": password});
        let pair = self.post("/v1/token-auth", &body);
        let text = |name: &str| pair[name].as_str().unwrap().to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        Tokens { access, refresh, session: text("session_id") }
    }

    /// Returns code and link of the newest verification mail to that user.
    pub fn proof(&self, name: &str) -> Proof {
        self.proof_with(name, "/verify-email?token=")
    }

    /// The same of a mail that lets them choose a new password, by code as well.
    pub fn reset_proof(&self, name: &str) -> Proof {
        self.proof_with(name, "/password-reset?token=")
    }

    /// The token of the newest mail to that person with such a link.
    pub fn mail(&self, name: &str, link: &str) -> String {
        self.mail_about(name, link, "")
    }

    /// The same, of a mail that says `word`.
    pub fn mail_about(&self, name: &str, link: &str, word: &str) -> String {
        self.wait_for(name, link, |text| token_after(text, link).filter(|_| text.contains(word)))
    }

    fn proof_with(&self, name: &str, link: &str) -> Proof {
        let proof = self.wait_for(name, link, |text| {
            Some(Proof { code: code_in(text)?, token: token_after(text, link)? })
        });
        self.canaries.borrow_mut().add_code("a code", &proof.code);
        proof
    }

    fn wait_for<T>(&self, name: &str, link: &str, read: impl Fn(&str) -> Option<T>) -> T {
        let to = format!("{name}@example.com");
        let started = Instant::now();
        loop {
            let mails = self.server.mails();
            for mail in &mails {
                if let Some(token) = mail.text.split_once("token=").map(|(_, rest)| rest) {
                    let token = token.split_whitespace().next().unwrap();
                    self.canaries.borrow_mut().add("a token of a mail", token);
                }
            }
            let mut own = mails.iter().rev().filter(|mail| mail.to.contains(&to));
            if let Some(found) = own.find_map(|mail| read(&mail.text)) {
                return found;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "no mail with {link} to {name}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a request that the service is able to answer.
    fn send(&self, method: &str, path: &str, headers: &[Header], body: &str) -> Exchanged {
        let answer = self.exchange(method, path, headers, body);
        assert!(answer.0 < 500, "{path}: {}", answer.0);
        answer
    }

    fn exchange(&self, method: &str, path: &str, headers: &[Header], body: &str) -> Exchanged {
        let verb = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(verb, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request = request
            .header("x-forwarded-for", "203.0.113.77")
            .header("user-agent", "canary-agent/1.0")
            .body(body.to_owned());
        let response = request.send().unwrap();
        let (status, cookies) = (response.status().as_u16(), self.note_headers(method, &response));
        let text = response.text().unwrap();
        if status < 400 {
            let path = path.split('?').next().unwrap();
            self.done.borrow_mut().insert((method.to_owned(), path.to_owned()));
        }
        self.note_tokens(&serde_json::from_str(&text).unwrap_or_default());
        (status, text, cookies)
    }

    fn note_headers(&self, method: &str, response: &Response) -> Vec<String> {
        self.answered.borrow_mut().push(Answered {
            request_id: response.headers()["x-request-id"].to_str().unwrap().to_owned(),
            method: method.to_owned(),
            status: response.status().as_u16(),
        });
        let cookies = response.headers().get_all("set-cookie").iter();
        let cookies = cookies.map(|it| it.to_str().unwrap().split(';').next().unwrap().to_owned());
        let cookies: Vec<String> = cookies.filter(|cookie| !cookie.ends_with('=')).collect();
        for cookie in &cookies {
            self.note_token(cookie.split_once('=').unwrap().1);
        }
        cookies
    }

    /// Records every token of a response.
    fn note_tokens(&self, answer: &Value) {
        for (name, value) in answer.as_object().into_iter().flatten() {
            if let (true, Some(token)) = (name.ends_with("token"), value.as_str()) {
                self.note_token(token);
            }
        }
    }

    /// A token, and of a JWT its payload and its signature.
    fn note_token(&self, token: &str) {
        let mut canaries = self.canaries.borrow_mut();
        canaries.add("a token", token);
        for part in token.split('.').skip(1) {
            canaries.add("a part of a token", part);
        }
    }
}

impl AuthorizedClient<'_> {
    /// Sends JSON and takes any answer.
    pub fn any(&self, method: &str, path: &str, body: &Value) -> Value {
        self.answer(method, path, body).1
    }

    fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (headers, text) = self.request(body);
        let (status, text, _) = self.client.send(method, path, &headers, &text);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Headers and body.
    fn request(&self, body: &Value) -> (Vec<Header>, String) {
        let mut headers = self.headers.clone();
        if body.is_null() {
            return (headers, String::new());
        }
        headers.push(json_type());
        (headers, body.to_string())
    }

    pub fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.answer(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    pub fn get(&self, path: &str) -> Value {
        self.call("GET", path, &Value::Null)
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, body)
    }

    /// Sends JSON and is told that the service cannot do it.
    pub fn fails(&self, expected: u16, method: &str, path: &str, body: &Value) {
        let (headers, text) = self.request(body);
        let (status, answer, _) = self.client.exchange(method, path, &headers, &text);
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }

    pub fn refused(&self, method: &str, path: &str, body: &Value) {
        let (status, answer) = self.answer(method, path, body);
        assert!((400..500).contains(&status), "{method} {path}: {status} {answer}");
    }
}

fn form_type() -> Header {
    ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())
}

fn json_type() -> Header {
    ("content-type".to_owned(), "application/json".to_owned())
}

/// Returns whether a path matches this template of the document.
fn is_path_of(path: &str, template: &str) -> bool {
    let is_one = |(part, known): (&str, &str)| part == known || known.starts_with('{');
    path.split('/').count() == template.split('/').count()
        && path.split('/').zip(template.split('/')).all(is_one)
}

/// A form, as browsers send it.
pub fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The header of a log-in by name and password (RFC 7617).
pub fn basic(name: &str, password: &str) -> String {
    use base64::Engine as _;
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    format!("Basic {login}")
}

fn code_in(text: &str) -> Option<String> {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    text.lines().map(str::trim).find(is_code).map(str::to_owned)
}

fn token_after(text: &str, link: &str) -> Option<String> {
    let (_, rest) = text.split_once(link)?;
    rest.split_whitespace().next().map(str::to_owned)
}
