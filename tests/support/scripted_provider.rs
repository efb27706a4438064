//! A provider of social log-in whose every answer is scripted: OpenID Connect metadata, keys and
//! tokens, or the dialect of a provider without them. Each request is recorded.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hallpass::social::{IssuerName, ProviderSettings};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// An answer to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status and body.
    Reply(u16, String),
    /// A redirect to a path of the same server.
    Redirect(String),
    /// No response, with an open connection.
    Silence,
    /// A head, and then a byte now and then.
    Trickle,
    /// A body of 2 MiB.
    Huge,
}

impl Answer {
    /// Status 200 with JSON.
    pub fn json(value: &Value) -> Self {
        Self::Reply(200, value.to_string())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Method and path with query.
    pub line: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: String,
}

impl Recorded {
    /// A field of the form.
    pub fn field(&self, name: &str) -> Option<String> {
        parameter(&self.body, name)
    }

    /// A parameter of the URL.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let url = self.line.split(' ').nth(1)?;
        parameter(url.split_once('?')?.1, name)
    }
}

type Responder = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

#[derive(Default)]
struct Script {
    answers: HashMap<String, Responder>,
    requests: Vec<Recorded>,
}

/// The provider. It ends with the process of the tests.
pub struct ScriptedProvider {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl ScriptedProvider {
    /// Starts a provider that answers 404.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let script = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream.unwrap(), &script));
            }
        });
        Self { address, script }
    }

    /// Starts an OpenID Connect provider with metadata and these keys.
    pub fn openid(keys: &[&Key]) -> Self {
        let provider = Self::start();
        provider.on("/.well-known/openid-configuration", Answer::json(&provider.metadata()));
        provider.publish(keys);
        provider
    }

    /// The origin of the provider, which is its issuer.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Metadata as they should be.
    pub fn metadata(&self) -> Value {
        let issuer = self.issuer();
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/keys"),
        })
    }

    /// Publishes a key set.
    pub fn publish(&self, keys: &[&Key]) {
        let keys: Vec<&Value> = keys.iter().map(|key| &key.public).collect();
        self.on("/keys", Answer::json(&json!({ "keys": keys })));
    }

    /// Answers each code with an id token.
    pub fn grant(&self, id_token: &str) {
        self.on("/token", token_reply(id_token));
    }

    /// Answers one code with an id token.
    pub fn grant_code(&self, code: &str, id_token: &str) {
        self.on(&format!("/token {code}"), token_reply(id_token));
    }

    /// Sets the answer of a path.
    pub fn on(&self, path: &str, answer: Answer) {
        self.respond(path, move |_| answer.clone());
    }

    /// Sets the answer of a path, which depends on the request.
    pub fn respond(
        &self,
        path: &str,
        answer: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
    ) {
        self.script.lock().unwrap().answers.insert(path.to_owned(), Arc::new(answer));
    }

    /// Returns the settings of a service with this provider as `test`, which is not trusted with
    /// e-mail addresses. Native apps use the client id `ios`.
    pub fn settings(&self, return_url: &str) -> [(&'static str, String); 6] {
        [
            ("HALLPASS_SOCIAL_OIDC_TEST_ISSUER", self.issuer()),
            ("HALLPASS_SOCIAL_OIDC_TEST_CLIENT_ID", "web".to_owned()),
            ("HALLPASS_SOCIAL_OIDC_TEST_CLIENT_SECRET", "s3cret".to_owned()),
            ("HALLPASS_SOCIAL_OIDC_TEST_NATIVE_CLIENT_IDS", "ios".to_owned()),
            ("HALLPASS_SOCIAL_RETURN_URLS", return_url.to_owned()),
            ("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on".to_owned()),
        ]
    }

    /// Directs the URLs of a preset to this server. Their paths stay, and so does the issuer of a
    /// provider without metadata.
    pub fn stand_in_for(&self, settings: &mut ProviderSettings) {
        let moved = |url: &str| match url.trim_start_matches("https://").split_once('/') {
            Some((_, path)) => format!("{}/{path}", self.issuer()),
            None => self.issuer(),
        };
        if let Some(endpoints) = &mut settings.endpoints {
            endpoints.authorization = moved(&endpoints.authorization);
            endpoints.token = moved(&endpoints.token);
        } else {
            settings.issuer = match &settings.issuer {
                IssuerName::Fixed(issuer) => IssuerName::Fixed(moved(issuer)),
                IssuerName::Aliased { issuer, aliases } => {
                    IssuerName::Aliased { issuer: moved(issuer), aliases }
                }
                IssuerName::Tenants { template, discovery } => {
                    IssuerName::Tenants { template: moved(template), discovery: moved(discovery) }
                }
            };
        }
        settings.profile_url = settings.profile_url.as_deref().map(moved);
    }

    /// Requests to a path, in their order.
    pub fn requests(&self, path: &str) -> Vec<Recorded> {
        let requests = &self.script.lock().unwrap().requests;
        let is_to = |it: &&Recorded| path_of(&it.line) == path;
        requests.iter().filter(is_to).cloned().collect()
    }
}

fn token_reply(id_token: &str) -> Answer {
    Answer::json(&json!({"access_token": "at-1", "token_type": "Bearer", "id_token": id_token}))
}

fn parameter(form: &str, name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(form.as_bytes());
    fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn path_of(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default()
}

fn read_request(stream: &TcpStream) -> Option<Recorded> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(Recorded { line: line.trim_end().to_owned(), headers, body })
}

fn answer(mut stream: TcpStream, script: &Mutex<Script>) {
    let Some(request) = read_request(&stream) else { return };
    let answer = {
        let mut script = script.lock().unwrap();
        let path = path_of(&request.line);
        let of_code = request.field("code").map(|code| format!("{path} {code}"));
        let of_code = of_code.and_then(|key| script.answers.get(&key));
        let answer = of_code.or_else(|| script.answers.get(path)).cloned();
        script.requests.push(request.clone());
        answer
    };
    let (status, location, body) = match answer.map(|answer| answer(&request)) {
        None => (404, String::new(), "not found".to_owned()),
        Some(Answer::Reply(status, body)) => (status, String::new(), body),
        Some(Answer::Redirect(path)) => (302, format!("Location: {path}\r\n"), String::new()),
        Some(Answer::Huge) => (200, String::new(), " ".repeat(2 << 20) + "{}"),
        Some(Answer::Silence) => return std::thread::sleep(Duration::from_secs(5)),
        Some(Answer::Trickle) => {
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
            while stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
            return;
        }
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{location}Content-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let _gone = stream.write_all((head + &body).as_bytes());
}

/// A signing key of a provider.
pub struct Key {
    algorithm: &'static str,
    encoding: EncodingKey,
    /// The public key as JWK.
    pub public: Value,
}

impl Key {
    /// Makes a key of P-256.
    pub fn es256(kid: &str) -> Self {
        Self::es256_with_pem(kid).0
    }

    /// Makes a key of P-256, and its private key as PEM.
    pub fn es256_with_pem(kid: &str) -> (Self, String) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let encoding = EncodingKey::from_ec_der(private.as_ref());
        (Self::new(kid, "ES256", Algorithm::ES256, encoding), pem(private.as_ref()))
    }

    /// Makes a key of Ed25519.
    pub fn ed25519(kid: &str) -> Self {
        let private = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
        Self::new(kid, "EdDSA", Algorithm::EdDSA, EncodingKey::from_ed_der(private.as_ref()))
    }

    /// Makes a key of RSA with 2,048 bits.
    pub fn rs256(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = pem(der.as_ref());
        let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        Self::new(kid, "RS256", Algorithm::RS256, encoding)
    }

    fn new(kid: &str, name: &'static str, algorithm: Algorithm, encoding: EncodingKey) -> Self {
        let mut jwk = Jwk::from_encoding_key(&encoding, algorithm).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        Self { algorithm: name, encoding, public: serde_json::to_value(jwk).unwrap() }
    }

    /// The header of a token that this key signs.
    pub fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": self.algorithm, "kid": self.public["kid"]})
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_parts(&self.header(), &claims.to_string())
    }

    /// Signs claims, as a text, under any header.
    pub fn sign_parts(&self, header: &Value, claims: &str) -> String {
        self.sign_texts(&header.to_string(), claims)
    }

    /// Signs claims under a header, both as texts.
    pub fn sign_texts(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let algorithm = match self.algorithm {
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            _ => Algorithm::RS256,
        };
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// A part of a token.
pub fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A private key as PEM.
pub fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
