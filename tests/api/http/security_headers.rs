//! Security headers of every kind of response.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::raw::Raw;
use crate::support::{Answer, PASSWORD, TestApp, Tokens, World, on_both};
use crate::{HAS_DOCS, HAS_DRF};

const ORIGIN: &str = "https://app.example";
const HTTPS: [(&str, &str); 5] = [
    ("HALLPASS_PUBLIC_URL", "https://auth.test"),
    ("HALLPASS_ENV", "production"),
    ("HALLPASS_BCRYPT_COST", "10"),
    ("HALLPASS_LIMITS", "on"),
    ("HALLPASS_CORS_ORIGINS", ORIGIN),
];

/// Every answer worth a look: each operation of the document, without and with a body, and all that
/// the document does not have.
fn walk(app: &TestApp) -> Vec<(String, Answer)> {
    let document: Value = serde_json::from_str(&hallpass::http::openapi::document()).unwrap();
    let mut asked: Vec<(String, String, &str)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "1");
        for method in operations.as_object().unwrap().keys() {
            asked.push((method.to_uppercase(), path.clone(), ""));
            asked.push((method.to_uppercase(), path.clone(), "{}"));
        }
        asked.push(("HEAD".into(), path.clone(), ""));
        asked.push(("BREW".into(), path, ""));
    }
    for path in [
        "/",
        "/nothing",
        "/%ff",
        "/docs",
        "/docs/",
        "/docs/index.html",
        "/docs/swagger-ui.css",
        "/docs/none",
        "/verify-email",
        "/verify-email?token=a",
        "/password-reset?token=a",
        "/not-me?token=a",
        "/users/1/",
    ]
    .into_iter()
    .chain(DJANGO_PATHS)
    {
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE"] {
            asked.push((method.into(), path.into(), ""));
        }
        asked.push(("POST".into(), path.into(), "{}"));
    }
    asked
        .into_iter()
        .map(|(method, path, body)| {
            let json = [("content-type", "application/json")];
            let headers = if body.is_empty() { &[][..] } else { &json[..] };
            (
                format!("{method} {path} {body}"),
                app.send_undocumented(&method, &path, headers, body),
            )
        })
        .collect()
}

const DJANGO_PATHS: [&str; 5] =
    ["/api-token-auth/", "/api-token-refresh/", "/api-token-verify/", "/users/", "/restricted/"];

/// Holds an answer to what a browser must be told with each one.
pub fn assert_guarded(place: &str, answer: &Answer, https: bool) {
    let header = |name: &str| answer.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("x-content-type-options"), "nosniff", "{place}");
    let id = header("x-request-id");
    assert!(uuid::Uuid::parse_str(&id).is_ok(), "{place}: {id:?}");
    let policy = header("referrer-policy");
    let path = place.split(' ').nth(1).unwrap_or_default();
    let is_djangos = path == "/" || DJANGO_PATHS.iter().any(|it| path.starts_with(it));
    assert!(policy == "no-referrer" || is_djangos && policy == "same-origin", "{place}: {policy}");
    assert!(!header("cache-control").is_empty(), "{place}");
    let hsts = if https { "max-age=31536000" } else { "" };
    assert_eq!(header("strict-transport-security"), hsts, "{place}");
    for name in ["server", "x-powered-by"] {
        assert_eq!(header(name), "", "{place}");
    }
    if header("content-type").starts_with("text/html") {
        let policy = header("content-security-policy");
        let directives: Vec<&str> = policy.split("; ").collect();
        // Swagger UI is made of files; it is all that may be loaded, and from here only.
        let loads =
            if place.contains("/docs") { "default-src 'self'" } else { "default-src 'none'" };
        for wanted in [loads, "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(directives.contains(&wanted), "{place}: no {wanted} in {policy:?}");
        }
        // Without one of their own, objects and scripts fall back to the default.
        for absent in ["object-src", "script-src"] {
            assert!(!policy.contains(absent), "{place}: {policy:?}");
        }
    }
    if answer.status >= 400 && answer.header("content-type") == Some("application/problem+json") {
        assert_eq!(header("cache-control"), "no-store", "{place}");
    }
}

#[test]
fn every_answer_tells_browsers_what_they_must_not_do() {
    for https in [false, true] {
        let world = World::sqlite();
        let app = world.app_with(if https { &HTTPS } else { &[] });
        let answers = walk(&app);
        for (place, answer) in &answers {
            assert_guarded(place, answer, https);
            assert_ne!(answer.status, 500, "{place}");
            // No response redirects: neither to https, nor to a place of the request.
            let is_docs = place.split(' ').nth(1) == Some("/docs");
            assert!(!(300..400).contains(&answer.status) || is_docs, "{place}");
            let elsewhere = answer.header("location").is_some_and(|it| it != "docs/");
            assert!(!elsewhere || answer.status == 201, "{place}");
        }
        let statuses: BTreeSet<u16> = answers.iter().map(|(_, answer)| answer.status).collect();
        let redirect = HAS_DOCS.then_some(308);
        for status in [200, 400, 401, 404, 405, 415, 422].into_iter().chain(redirect) {
            assert!(statuses.contains(&status), "no {status} among {statuses:?}");
        }
    }
}

#[test]
fn development_tells_no_more_of_a_fault_than_production() {
    let faults = |env: &str| -> Vec<(String, u16, Value)> {
        let world = World::sqlite();
        let mut settings = HTTPS;
        settings[1].1 = env;
        let app = world.app_with(&settings);
        let mut answers = walk(&app);
        let log_in = json!({"username": "mina", "password": "wrong"}).to_string();
        world.alter("ALTER TABLE limits RENAME TO lost");
        let place = "POST /v1/token-auth without a database".to_owned();
        answers.push((place, app.send("POST", "/v1/token-auth", &[JSON], log_in)));
        let problems = answers.into_iter().filter(|(_, answer)| answer.status >= 400);
        let told = problems.map(|(place, answer)| {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if let Some(id) = body.get_mut("request_id") {
                id.take();
            }
            (place, answer.status, body)
        });
        told.collect()
    };
    let (development, production) = (faults("development"), faults("production"));
    assert!(production.len() > 100 && production.iter().any(|it| it.1 == 503));
    assert_eq!(development, production);
}

#[test]
fn what_cors_answers_by_itself_is_guarded_as_well() {
    let world = World::sqlite();
    let app = world.app_with(&HTTPS);
    for origin in [ORIGIN, "https://evil.example", "null"] {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        for path in ["/v1/token-auth", "/none"] {
            let answer = app.send_undocumented("OPTIONS", path, &headers, "");
            assert_guarded(&format!("OPTIONS {path} from {origin}"), &answer, true);
            let answer = app.send_undocumented("GET", path, &[("origin", origin)], "");
            assert_guarded(&format!("GET {path} from {origin}"), &answer, true);
        }
    }
}

/// The statuses that each area has to be seen with, whatever makes it answer so. 500 is a story of
/// its own.
const AREAS: [(&str, &[u16]); 3] = [
    ("api", &[200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 431, 503]),
    ("adapter", &[200, 201, 204, 400, 401, 403, 404, 405, 406, 413, 415, 429, 503]),
    ("pages", &[200, 401, 405, 413, 422, 429, 503]),
];

/// Asks one service for every status and holds each answer.
struct Asker<'a> {
    app: &'a TestApp,
    https: bool,
    seen: BTreeMap<&'static str, BTreeSet<u16>>,
}

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

impl Asker<'_> {
    fn see(&mut self, area: &'static str, place: &str, answer: &Answer) {
        assert_guarded(place, answer, self.https);
        if answer.status >= 500 {
            // Neither what is missing, nor what database missed it.
            let told = String::from_utf8_lossy(&answer.body).to_lowercase();
            for word in ["lost", "limits", "table", "relation", "sql", "postgres"] {
                assert!(!told.contains(word), "{place}: {told}");
            }
        }
        self.seen.entry(area).or_default().insert(answer.status);
    }

    fn ask(
        &mut self,
        area: &'static str,
        asked: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let (method, path) = asked.split_once(' ').unwrap();
        let answer = self.app.send_undocumented(method, path, headers, body);
        self.see(area, &format!("{asked} {body:.40}"), &answer);
        answer
    }

    fn raw(&mut self, area: &'static str, asked: &str, headers: &str) {
        let mut raw = Raw::to(self.app);
        raw.send(format!("{asked} HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));
        self.see(area, asked, &raw.answer().expect("an answer"));
    }

    fn api(&mut self, user: &Tokens, staff: &Tokens) {
        let bearer = |tokens: &Tokens| format!("Bearer {}", tokens.access);
        let (user, as_staff) = (bearer(user), bearer(staff));
        let (user, as_staff) =
            (("authorization", user.as_str()), ("authorization", as_staff.as_str()));
        let long = json!({"token": "x".repeat(20_000)}).to_string();
        let made = r#"{"email":"made@example.com","password":"plum tree at dusk"}"#;
        for (asked, headers, body) in [
            ("GET /v1/me", &[user][..], ""),
            ("POST /v1/users", &[as_staff, JSON], made),
            ("POST /v1/users", &[as_staff, JSON], made),
            ("POST /v1/password-reset", &[JSON], r#"{"email":"none@example.com"}"#),
            ("POST /v1/token-revoke", &[JSON], r#"{"refresh_token":"hpr_none"}"#),
            ("GET /v1/revocations", &[("if-none-match", "*")], ""),
            ("POST /v1/token-verify", &[JSON], "{"),
            ("POST /v1/token-verify", &[JSON], r#"{"token":"none"}"#),
            ("POST /v1/token-verify", &[JSON], &long),
            ("POST /v1/token-verify", &[FORM], "token=none"),
            ("POST /v1/token-verify", &[JSON], "{}"),
            ("GET /v1/users", &[user], ""),
            (
                "POST /v1/token-auth",
                &[JSON, ("origin", "https://evil.example")],
                r#"{"username":"a","password":"b","use_cookie":true}"#,
            ),
            ("GET /v1/users/999", &[as_staff], ""),
            ("PUT /v1/me", &[user], ""),
        ] {
            self.ask("api", asked, headers, body);
        }
        self.raw("api", "GET /healthz", &"X-A: b\r\n".repeat(100));
        self.raw("api", "GET /healthz", "X : b\r\n");
    }

    fn adapter(&mut self, user: &str, staff: &str) {
        let header = |token: &str| format!("JWT {token}");
        let (user, staff) = (header(user), header(staff));
        let (user, staff) = (("authorization", user.as_str()), ("authorization", staff.as_str()));
        let long = json!({"token": "x".repeat(1_100_000)}).to_string();
        let made = r#"{"username":"made"}"#;
        let answer = self.ask("adapter", "POST /users/", &[staff, JSON], made).is(201).json();
        let url = url::Url::parse(answer["url"].as_str().unwrap()).unwrap();
        self.ask("adapter", &format!("DELETE {}", url.path()), &[staff], "");
        for (asked, headers, body) in [
            ("GET /users/", &[user][..], ""),
            ("POST /users/", &[user, JSON], made),
            ("POST /users/", &[staff, JSON], "{}"),
            ("GET /restricted/", &[], ""),
            ("GET /users/999/", &[staff], ""),
            ("DELETE /users/", &[staff], ""),
            ("GET /users/", &[staff, ("accept", "image/png")], ""),
            ("POST /api-token-verify/", &[JSON], &long),
            ("POST /api-token-verify/", &[("content-type", "text/plain")], "x"),
        ] {
            self.ask("adapter", asked, headers, body);
        }
    }

    fn pages(&mut self, link: &str) {
        let long = "x".repeat(20_000);
        let short = format!("token={link}&password=short");
        for (asked, headers, body) in [
            ("GET /password-reset?token=none", &[][..], ""),
            (&format!("GET /password-reset?token={link}"), &[], ""),
            ("POST /password-reset", &[FORM], &short),
            ("POST /password-reset", &[FORM], "token=none&password=plum+tree+at+dusk"),
            ("POST /password-reset", &[FORM], "\0=%ff&token"),
            ("POST /password-reset", &[FORM], &long),
            ("POST /password-reset", &[JSON], "{}"),
            ("DELETE /password-reset", &[], ""),
        ] {
            self.ask("pages", asked, headers, body);
        }
    }

    /// Goes beyond the bounds of one name and of one network.
    fn beyond_the_limits(&mut self) {
        let body = r#"{"username":"nobody@example.com","password":"wrong"}"#;
        while self.ask("api", "POST /v1/token-auth", &[JSON], body).status == 401 {}
        self.ask("adapter", "POST /api-token-auth/", &[JSON], body);
        let form = "token=none&password=plum+tree+at+dusk";
        while self.ask("pages", "POST /verify-email", &[FORM], form).status == 401 {}
    }

    fn without_a_database(&mut self) {
        let body = r#"{"username":"nobody@example.com","password":"wrong"}"#;
        self.ask("api", "POST /v1/token-auth", &[JSON], body);
        self.ask("adapter", "POST /api-token-auth/", &[JSON], body);
        let form = "token=none&password=plum+tree+at+dusk";
        self.ask("pages", "POST /verify-email", &[FORM], form);
    }
}

/// A success that no cache may keep.
fn assert_not_stored(place: &str, answer: &Answer) {
    assert_guarded(place, answer, false);
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{place}");
}

on_both! {
    fn every_refusal_of_api_adapter_and_pages_is_guarded(world) {
        let app = world.app_with(&HTTPS);
        let user = app.person(&world, "mina@example.com");
        let staff = app.staff(&world, "staff@example.com");
        app.ask_reset("mina@example.com").is(202);
        let link = world.link_about("mina@example.com", crate::support::account::RESET, 1);
        let django_token = |name: &str| {
            let body = json!({"username": name, "password": PASSWORD}).to_string();
            app.send_undocumented("POST", "/api-token-auth/", &[JSON], body).is(200).text("token")
        };
        let django = HAS_DRF
            .then(|| ["mina@example.com", "staff@example.com"].map(django_token));
        let mut asker = Asker { app: &app, https: true, seen: BTreeMap::new() };
        asker.api(&user, &staff);
        if let Some([of_user, of_staff]) = &django {
            asker.adapter(of_user, of_staff);
        }
        asker.pages(&link);
        asker.beyond_the_limits();
        world.alter("ALTER TABLE limits RENAME TO lost");
        asker.without_a_database();
        for (area, statuses) in AREAS.into_iter().filter(|it| HAS_DRF || it.0 != "adapter") {
            let seen = &asker.seen[area];
            let missing: Vec<u16> =
                statuses.iter().copied().filter(|it| !seen.contains(it)).collect();
            assert_eq!(missing, [0; 0], "of {area} only {seen:?}");
        }
    }

    fn a_success_with_tokens_is_not_stored_anywhere(world) {
        let app = world.app_with(&[("HALLPASS_CORS_ORIGINS", ORIGIN)]);
        let registration = app.register("mina@example.com");
        let code = world.proof("mina@example.com", 1).code;
        let verified = app.verify_code(&registration, &code).is(200);
        let tokens = verified.tokens();
        let by_name = |body: Value| {
            let mut body = body;
            body["username"] = "mina@example.com".into();
            body["password"] = PASSWORD.into();
            body
        };
        let page = [("origin", ORIGIN)];
        let adapter = |path: &str, body: &Value| {
            app.send_undocumented("POST", path, &[JSON], body.to_string()).is(200)
        };
        let log_in = |body: Value| app.post_with("/v1/token-auth", &page, &by_name(body)).is(200);
        let other = json!({"email": "b@example.com", "password": PASSWORD});
        for (place, answer) in [
            ("POST /v1/verify-email", verified),
            ("POST /v1/register", app.post("/v1/register", &other).is(202)),
            ("POST /v1/token-auth", log_in(json!({}))),
            ("POST /v1/token-auth by cookie", log_in(json!({"use_cookie": true}))),
            ("POST /v1/token-refresh", app.refresh(&tokens.refresh).is(200)),
            ("POST /v1/token-verify", app.token_verify(&tokens.access).is(200)),
            ("POST /v1/me/email", app.change_email(&tokens.access, "new@example.com").is(202)),
        ] {
            assert_not_stored(place, &answer);
        }
        let root = app.superuser(&world, "root@example.com");
        let key = json!({"name": "a service", "scopes": ["introspect"]});
        let locale = json!({"locale": "ko"});
        let account = json!({"email": "made@example.com", "password": PASSWORD});
        let path = format!("/v1/users/{}", tokens.user_id());
        for (method, path, body, status) in [
            ("POST", "/v1/api-keys", &key, 201),
            ("POST", "/v1/users", &account, 201),
            ("PATCH", path.as_str(), &locale, 200),
            ("PATCH", "/v1/me", &locale, 200),
        ] {
            let answer = app.ask_as(&root.access, method, path, body).is(status);
            assert_not_stored(&format!("{method} {path}"), &answer);
        }
        if HAS_DRF {
            let log_in = adapter("/api-token-auth/", &by_name(json!({})));
            assert_not_stored("POST /api-token-auth/", &log_in);
            let again = json!({"token": log_in.text("token")});
            for path in ["/api-token-refresh/", "/api-token-verify/"] {
                assert_not_stored(&format!("POST {path}"), &adapter(path, &again));
            }
            let jwt = format!("JWT {}", log_in.text("token"));
            let own = format!("/users/{}/", tokens.user_id());
            for path in ["/", "/restricted/", "/users/", own.as_str()] {
                let headers = [("authorization", jwt.as_str())];
                let answer = app.send_undocumented("GET", path, &headers, "").is(200);
                assert_not_stored(&format!("GET {path}"), &answer);
            }
        }
        let optional = world.app_with(&[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let body = json!({"email": "c@example.com", "password": PASSWORD});
        let answer = optional.post("/v1/register", &body).is(201);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn responses_to_a_user_are_not_stored_by_caches() {
    let world = World::sqlite();
    let app = world.app();
    let staff = app.superuser(&world, "staff@example.com");
    let document: Value = serde_json::from_str(&hallpass::http::openapi::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let readable = paths.iter().filter(|(_, operations)| operations.get("get").is_some());
    let id = staff.user_id().to_string();
    for (path, _) in readable {
        let answer = app.get_as(&staff.access, &path.replace("{id}", &id));
        // There is no flow that a provider could answer.
        let is_read = (200..300).contains(&answer.status) || path.contains("{provider}");
        assert!(is_read, "{path}: {}", answer.shown());
        // Keys, and ids of ended sessions, are no secrets.
        let expected = match path.as_str() {
            path if path.starts_with("/.well-known/") => "public, max-age=300",
            "/v1/revocations" => "no-cache",
            _ => "no-store",
        };
        assert_eq!(answer.header("cache-control"), Some(expected), "{path}");
    }
}
