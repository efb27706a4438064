//! An issuer that signs what no Hallpass would: it has the keys, so that only the check in question
//! can refuse a token.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::dev::ServerHandle;
use actix_web::http::header::{ETAG, IF_NONE_MATCH};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// State and counters of the server.
#[derive(Default)]
struct Shown {
    keys: Mutex<Vec<Value>>,
    /// `None` is answered with 503.
    revocations: Mutex<Option<Value>>,
    key_fetches: AtomicUsize,
    unchanged_polls: AtomicUsize,
}

/// The running issuer.
pub struct Issuer {
    pub url: String,
    shown: Arc<Shown>,
    server: ServerHandle,
}

/// A key with its name.
pub struct Key {
    pair: EcdsaKeyPair,
    pub kid: String,
}

impl Key {
    pub fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { pair, kid: kid.to_owned() }
    }

    pub fn jwk(&self) -> Value {
        // 4, then both coordinates.
        let point = self.pair.public_key().as_ref();
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": coordinate(&point[1..33]), "y": coordinate(&point[33..])
        })
    }

    /// Signs whatever it is given.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The header that its tokens have.
    pub fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "at+jwt", "kid": self.kid})
    }
}

/// The part of a token that is signed.
pub fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the examples look at the same clock")]
    let now = SystemTime::now();
    i64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Issuer {
    /// Starts an issuer with this key and an empty revocation list.
    pub fn start(key: &Key) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shown = Arc::new(Shown::default());
        let data = web::Data::from(Arc::clone(&shown));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            rt::System::new().block_on(async move {
                let app = move || {
                    App::new()
                        .app_data(data.clone())
                        .route("/.well-known/jwks.json", web::get().to(keys))
                        .route("/v1/revocations", web::get().to(revocations))
                };
                let server = HttpServer::new(app).workers(1).disable_signals();
                let server = server.listen(listener).unwrap().run();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        let issuer = Self { url, shown, server: told.recv().unwrap() };
        issuer.publish(&[key]);
        issuer.revoke(&json!([]), &json!([]));
        issuer
    }

    /// Claims that count.
    pub fn claims(&self) -> Value {
        let now = now();
        json!({
            "iss": self.url, "aud": self.url, "sub": "7", "iat": now, "exp": now + 300,
            "jti": "a token", "sid": "a session", "user_id": 7, "username": "ada", "email": "",
            "email_verified": false, "is_staff": false, "amr": ["pwd"], "auth_time": now
        })
    }

    pub fn publish(&self, keys: &[&Key]) {
        *self.shown.keys.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    pub fn revoke(&self, sessions: &Value, users: &Value) {
        let list = json!({"sessions": sessions, "users": users, "window": 910});
        *self.shown.revocations.lock().unwrap() = Some(list);
    }

    /// Responds 503 to requests for the revocation list.
    pub fn lose_revocations(&self) {
        *self.shown.revocations.lock().unwrap() = None;
    }

    pub fn key_fetches(&self) -> usize {
        self.shown.key_fetches.load(Ordering::Relaxed)
    }

    /// Polls that were answered with 304.
    pub fn unchanged_polls(&self) -> usize {
        self.shown.unchanged_polls.load(Ordering::Relaxed)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // The order is given at once; its thread does the rest.
        drop(self.server.stop(false));
    }
}

async fn keys(shown: web::Data<Shown>) -> HttpResponse {
    shown.key_fetches.fetch_add(1, Ordering::Relaxed);
    HttpResponse::Ok().json(json!({"keys": *shown.keys.lock().unwrap()}))
}

async fn revocations(request: HttpRequest, shown: web::Data<Shown>) -> HttpResponse {
    let Some(list) = shown.revocations.lock().unwrap().clone() else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(list.to_string()));
    if request.headers().get(IF_NONE_MATCH).is_some_and(|known| *known == *etag) {
        shown.unchanged_polls.fetch_add(1, Ordering::Relaxed);
        return HttpResponse::NotModified().insert_header((ETAG, etag)).finish();
    }
    HttpResponse::Ok().insert_header((ETAG, etag)).json(list)
}
