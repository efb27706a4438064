//! One walk over everything that is answered: what a browser must be told stands in every answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, TestApp, World};

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
    .chain(DJANGO_FACE)
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

const DJANGO_FACE: [&str; 5] =
    ["/api-token-auth/", "/api-token-refresh/", "/api-token-verify/", "/users/", "/restricted/"];

fn assert_guarded(place: &str, answer: &Answer, https: bool) {
    let header = |name: &str| answer.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("x-content-type-options"), "nosniff", "{place}");
    let id = header("x-request-id");
    assert!(uuid::Uuid::parse_str(&id).is_ok(), "{place}: {id:?}");
    let policy = header("referrer-policy");
    let path = place.split(' ').nth(1).unwrap_or_default();
    let is_djangos = path == "/" || DJANGO_FACE.iter().any(|face| path.starts_with(face));
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
    assert_ne!(answer.status, 500, "{place}");
}

#[test]
fn every_answer_tells_browsers_what_they_must_not_do() {
    for https in [false, true] {
        let world = World::sqlite();
        let app = world.app_with(if https { &HTTPS } else { &[] });
        let answers = walk(&app);
        for (place, answer) in &answers {
            assert_guarded(place, answer, https);
        }
        let statuses: BTreeSet<u16> = answers.iter().map(|(_, answer)| answer.status).collect();
        for status in [200, 308, 400, 401, 404, 405, 415, 422] {
            assert!(statuses.contains(&status), "no {status} among {statuses:?}");
        }
    }
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

#[test]
fn a_success_with_tokens_is_not_stored_anywhere() {
    let world = World::sqlite();
    let app = world.app();
    let tokens = app.person(&world, "mina@example.com");
    let answer = app.post("/v1/token-refresh", &json!({"refresh_token": tokens.refresh})).is(200);
    assert_guarded("refresh", &answer, false);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = app.me(&tokens.access).is(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn what_somebody_logged_in_reads_is_not_stored_anywhere() {
    let world = World::sqlite();
    let app = world.app();
    let staff = app.staff(&world, "staff@example.com");
    let document: Value = serde_json::from_str(&hallpass::http::openapi::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let readable = paths.iter().filter(|(_, operations)| operations.get("get").is_some());
    let id = staff.user_id().to_string();
    for (path, _) in readable {
        let answer = app.get_as(&staff.access, &path.replace("{id}", &id));
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.shown());
        // Keys, and ids of sessions that count no more, are nobody's secret.
        let expected = match path.as_str() {
            "/.well-known/jwks.json" => "public, max-age=300",
            "/v1/revocations" => "no-cache",
            _ => "no-store",
        };
        assert_eq!(answer.header("cache-control"), Some(expected), "{path}");
    }
}
