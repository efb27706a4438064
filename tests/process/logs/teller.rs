//! A client that keeps every secret that it sends or gets, to look for them in the log.

use std::cell::{Ref, RefCell};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use reqwest::{Method, redirect};
use serde_json::{Value, json};

use super::PASSWORD;
use crate::smtp::SmtpServer;

/// What must not be in a log.
#[derive(Clone, Default)]
pub struct Canaries {
    words: Vec<(String, String)>,
    codes: Vec<(String, String)>,
}

impl Canaries {
    pub fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 6, "{what} is too short to be looked for: {secret}");
        self.words.push((what.to_owned(), secret.to_lowercase()));
    }

    /// A few digits, which times have as well.
    pub fn add_code(&mut self, what: &str, code: &str) {
        self.codes.push((what.to_owned(), code.to_owned()));
    }

    pub fn assert_absent_in(&self, log: &str) {
        for line in log.lines() {
            let lower = line.to_lowercase();
            for (what, secret) in &self.words {
                assert!(!lower.contains(secret), "{what} is in the log: {line}");
            }
            let timeless = without_times(line);
            for (what, code) in &self.codes {
                let mut words = timeless.split(|c: char| !c.is_ascii_alphanumeric());
                assert!(words.all(|word| word != code), "{what} is in the log: {line}");
            }
        }
    }
}

fn without_times(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut event)) => {
            event.remove("timestamp");
            event.remove("micros");
            Value::Object(event).to_string()
        }
        _ => line.to_owned(),
    }
}

/// The tokens of a log-in.
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub session: String,
}

/// What a mail proves an address with.
pub struct Proof {
    pub code: String,
    pub token: String,
}

pub struct Teller {
    http: Client,
    base: String,
    address: SocketAddr,
    server: SmtpServer,
    canaries: RefCell<Canaries>,
    request_ids: RefCell<Vec<String>>,
}

/// The same client with headers of its own.
pub struct Holder<'a> {
    teller: &'a Teller,
    headers: Vec<(String, String)>,
}

impl Teller {
    pub fn new(address: SocketAddr, server: SmtpServer, canaries: Canaries) -> Self {
        let http = Client::builder()
            .timeout(Duration::from_secs(30))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let base = format!("http://{address}");
        let (canaries, request_ids) = (RefCell::new(canaries), RefCell::default());
        Self { http, base, address, server, canaries, request_ids }
    }

    pub fn canaries(&self) -> Ref<'_, Canaries> {
        self.canaries.borrow()
    }

    pub fn request_ids(&self) -> Vec<String> {
        self.request_ids.borrow().clone()
    }

    pub fn with(&self, headers: &[(&str, &str)]) -> Holder<'_> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Holder { teller: self, headers: headers.iter().map(owned).collect() }
    }

    pub fn holder(&self, access_token: &str) -> Holder<'_> {
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
        self.send("POST", path, &[("content-type".into(), "application/json".into())], body);
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
        let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        let done = self.send("POST", path, &[kind], form);
        assert_eq!(done.0, 200, "{path}: {}", done.1);
    }

    pub fn cookies(&self, headers: &[(&str, &str)], path: &str, body: &Value) -> String {
        let headers = self.with(headers).headers;
        let kind = ("content-type".to_owned(), "application/json".to_owned());
        let headers = [headers, vec![kind]].concat();
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

    /// Code and link of the newest mail to that person that asks for a proof.
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

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> (u16, String, Vec<String>) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request = request
            .header("x-forwarded-for", "203.0.113.77")
            .header("user-agent", "canary-agent/1.0")
            .body(body.to_owned());
        let response = request.send().unwrap();
        let (status, cookies) = (response.status().as_u16(), self.note_headers(&response));
        assert!(status < 500, "{path}: {status}");
        let text = response.text().unwrap();
        self.note_tokens(&serde_json::from_str(&text).unwrap_or_default());
        (status, text, cookies)
    }

    fn note_headers(&self, response: &Response) -> Vec<String> {
        let id = response.headers()["x-request-id"].to_str().unwrap();
        self.request_ids.borrow_mut().push(id.to_owned());
        let cookies = response.headers().get_all("set-cookie").iter();
        let cookies = cookies.map(|it| it.to_str().unwrap().split(';').next().unwrap().to_owned());
        let cookies: Vec<String> = cookies.filter(|cookie| !cookie.ends_with('=')).collect();
        for cookie in &cookies {
            self.note_token(cookie.split_once('=').unwrap().1);
        }
        cookies
    }

    /// Everything that an answer calls a token.
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

impl Holder<'_> {
    /// Sends JSON and takes any answer.
    pub fn any(&self, method: &str, path: &str, body: &Value) -> Value {
        self.answer(method, path, body).1
    }

    fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut headers = self.headers.clone();
        let mut text = String::new();
        if !body.is_null() {
            headers.push(("content-type".into(), "application/json".into()));
            text = body.to_string();
        }
        let (status, text, _) = self.teller.send(method, path, &headers, &text);
        (status, serde_json::from_str(&text).unwrap_or_default())
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

    pub fn refused(&self, method: &str, path: &str, body: &Value) {
        let (status, answer) = self.answer(method, path, body);
        assert!((400..500).contains(&status), "{method} {path}: {status} {answer}");
    }
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
