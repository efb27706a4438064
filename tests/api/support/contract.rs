//! Checks every response in tests against the OpenAPI document: status, error code, headers, and
//! the body against its schema. A handler that deviates from the document fails a test.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use boon::{Compiler, SchemaIndex, Schemas};
use hallpass::http::code::Code;
use hallpass::http::oauth;
use hallpass::http::v1::services::forward_auth;
use serde_json::Value;

use super::Answer;

const DOCUMENT_URL: &str = "http://hallpass.test/openapi.json";

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&hallpass::http::openapi::document()).unwrap());

/// Compiled schemas by their position in the document.
static SCHEMAS: LazyLock<Mutex<(Schemas, HashMap<String, SchemaIndex>)>> =
    LazyLock::new(Mutex::default);

/// Panics if `answer` differs from the document.
pub fn check(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let place = format!("{method} {path}: {}", answer.shown());
    check_headers(&place, trimmed, answer);
    assert_ne!(answer.status, 500, "{place}");
    if answer.header("content-type") == Some("application/problem+json") {
        check_problem(&place, method, answer);
    }
    let Some((trimmed, operations)) = find_path(trimmed) else {
        return check_undocumented(&place, trimmed, answer);
    };
    let is_get = method == "HEAD" || forward_auth::is_asked_at(trimmed);
    let method_in_document = if is_get { "get" } else { &method.to_lowercase() };
    match operations.get(method_in_document) {
        Some(operation) => {
            let method = if is_get && method != "HEAD" { "GET" } else { method };
            check_operation(&place, method, trimmed, operation, answer);
        }
        None => assert_eq!((answer.status, answer.code().as_str()), not_allowed(method), "{place}"),
    }
}

/// Checks a preflight (Fetch standard, section 3.3.4). It is answered before routing, so the
/// document does not contain it.
pub fn check_preflight(path: &str, answer: &Answer) {
    if forward_auth::is_asked_at(path.split('?').next().unwrap_or_default()) {
        return check("OPTIONS", path, answer);
    }
    let place = format!("preflight of {path}: {}", answer.shown());
    check_headers(&place, path, answer);
    match answer.status {
        200 => assert!(answer.body.is_empty(), "{place}"),
        403 => {
            assert_eq!(answer.code(), "origin_rejected", "{place}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{place}");
            check_problem(&place, "OPTIONS", answer);
        }
        // Without permitted origins it is a method like any other.
        _ => check("OPTIONS", path, answer),
    }
}

/// Returns the path of the document that matches `path`, with its parameters.
fn find_path(path: &str) -> Option<(&'static str, &'static Value)> {
    let path = if forward_auth::is_asked_at(path) { forward_auth::PATH } else { path };
    let fits = |pattern: &str| {
        let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(part), Some(value)) if part.starts_with('{') && !value.is_empty() => {}
                (Some(part), Some(value)) if part == value => {}
                _ => return false,
            }
        }
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    paths.iter().find(|(pattern, _)| fits(pattern)).map(|(path, it)| (path.as_str(), it))
}

fn not_allowed(method: &str) -> (u16, &'static str) {
    (405, if method == "HEAD" { "" } else { "method_not_allowed" })
}

/// The challenge of a refused client secret.
pub const BASIC: &str = "Basic realm=\"hallpass\"";

fn check_headers(place: &str, path: &str, answer: &Answer) {
    let id = answer.header("x-request-id").unwrap_or_else(|| panic!("no X-Request-Id: {place}"));
    // A trusted proxy may choose it.
    assert!((1..=128).contains(&id.len()), "{place}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{place}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{place}");
    assert!(answer.header("cache-control").is_some(), "{place}");
    let asks_for_credentials = answer.header("www-authenticate").is_some();
    let should_ask = match answer.status {
        401 => !is_page(answer),
        // Without a body, the code is unknown.
        403 if answer.body.is_empty() => asks_for_credentials,
        403 => answer.code() == "permission_denied",
        _ => false,
    };
    assert_eq!(should_ask, asks_for_credentials, "{place}");
    // RFC 6750 section 3.1: an error code only where an access token was sent. RFC 6749 section
    // 5.2: a client secret is asked for again, at the endpoints that take one.
    if let Some(challenge) = answer.header("www-authenticate")
        && !answer.body.is_empty()
    {
        let is_about_access_token = answer.code().starts_with("token_");
        let expected = match answer.status {
            403 => "Bearer error=\"insufficient_scope\"",
            _ if is_about_access_token => "Bearer error=\"invalid_token\"",
            _ => "Bearer",
        };
        // The scope that an API key lacks.
        let challenge = match answer.status {
            403 => challenge.split(", scope=").next().unwrap_or_default(),
            _ => challenge,
        };
        let takes_client_secret = ["/v1/introspect", "/v1/revoke"].contains(&path);
        let is_about_client_secret = takes_client_secret
            && (is_about_access_token || answer.code() == "authentication_required");
        let may_be_basic = is_about_client_secret && challenge == BASIC;
        assert!(may_be_basic || challenge == expected, "{challenge}: {place}");
    }
    assert_eq!(
        [429, 503].contains(&answer.status) && !is_page(answer),
        answer.header("retry-after").is_some(),
        "{place}"
    );
    assert_eq!(answer.status == 405, answer.header("allow").is_some(), "{place}");
}

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

fn check_problem(place: &str, method: &str, answer: &Answer) {
    assert!(answer.status >= 400, "{place}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{place}");
    if method == "HEAD" {
        return;
    }
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status, "{place}");
    assert_eq!(problem["type"], format!("urn:hallpass:error:{}", answer.code()), "{place}");
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"), "{place}");
    let retry_after = problem.get("retry_after").map(ToString::to_string);
    assert_eq!(retry_after.as_deref(), answer.header("retry-after"), "{place}");
    validate(place, "/components/schemas/Problem", &problem);
}

/// Checks a response outside the API: a page, a part of one, or a 404.
fn check_undocumented(place: &str, path: &str, answer: &Answer) {
    let is_a_page = ["/verify-email", "/password-reset", "/not-me"].contains(&path)
        || path.starts_with("/docs");
    assert!(is_a_page || answer.status == 404, "{place}");
    let expected = match path.rsplit_once('.') {
        _ if answer.status == 308 => None,
        _ if answer.status >= 400 && !is_page(answer) => Some("application/problem+json"),
        Some((_, "css")) => Some("text/css; charset=utf-8"),
        Some((_, "js")) => Some("text/javascript; charset=utf-8"),
        Some((_, "png")) => Some("image/png"),
        _ => Some("text/html; charset=utf-8"),
    };
    assert_eq!(answer.header("content-type"), expected, "{place}");
}

fn check_operation(place: &str, method: &str, path: &str, operation: &Value, answer: &Answer) {
    let status = answer.status.to_string();
    if answer.status >= 400 && method != "HEAD" {
        let codes = operation["x-error-codes"].as_array().expect("codes");
        let code = Code::from_name(&answer.code()).unwrap_or_else(|| panic!("no code: {place}"));
        assert!(codes.contains(&code.name().into()), "the document lacks this code: {place}");
        let is_oauth = answer.json().get("error").is_some();
        assert!(!is_oauth || oauth::is_oauth(path), "{place}");
        let expected = if is_oauth { oauth::status_of(code) } else { code.status() };
        assert_eq!(expected.as_u16(), answer.status, "{place}");
    }
    let promised = operation["responses"]
        .get(&status)
        .unwrap_or_else(|| panic!("the document does not have this status: {place}"));
    let reference = promised["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    let promised = reference.map_or(promised, |it| DOCUMENT.pointer(it).expect("a response"));
    for (name, header) in promised["headers"].as_object().into_iter().flatten() {
        let there = answer.header(name).is_some();
        assert!(there || header["required"] != true, "{name} is missing: {place}");
    }
    let kind = answer.header("content-type");
    let Some(content) = promised["content"].as_object() else {
        assert!(answer.body.is_empty() && kind.is_none(), "a body is not promised: {place}");
        return;
    };
    let kind = kind.unwrap_or_else(|| panic!("no Content-Type: {place}"));
    // The document describes requests in JSON here; a form is answered as RFC 6749 says.
    let is_form = path == "/v1/token-refresh" && answer.status >= 400 && kind == "application/json";
    let kind = if is_form { "application/problem+json" } else { kind };
    assert!(content.contains_key(kind), "the document does not have this type: {place}");
    if method == "HEAD" {
        assert!(answer.body.is_empty(), "{place}");
        return;
    }
    if !kind.ends_with("json") {
        return;
    }
    let response = reference.map_or_else(
        || format!("/paths/{}/{}/responses/{status}", escape(path), method.to_lowercase()),
        str::to_owned,
    );
    let pointer = format!("{response}/content/{}/schema", escape(kind));
    validate(place, &pointer, &answer.json());
}

/// Escapes a key for a JSON pointer (RFC 6901) in a fragment.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn validate(place: &str, pointer: &str, body: &Value) {
    // A failed assertion of one test must not make others fail.
    let mut guard = SCHEMAS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (schemas, known) = &mut *guard;
    let index = *known.entry(pointer.to_owned()).or_insert_with(|| {
        let mut compiler = Compiler::new();
        compiler.add_resource(DOCUMENT_URL, DOCUMENT.clone()).unwrap();
        let url = format!("{DOCUMENT_URL}#{}", pointer.replace('+', "%2B"));
        compiler.compile(&url, schemas).unwrap_or_else(|error| panic!("{pointer}: {error:#}"))
    });
    let verdict = schemas.validate(body, index).map_err(|error| format!("{error}"));
    drop(guard);
    if let Err(error) = verdict {
        panic!("{place}\n{error}");
    }
}

#[test]
fn an_answer_that_the_document_does_not_have_is_noticed() {
    let headers = |status: u16, kind: &str| {
        let mut headers = reqwest::header::HeaderMap::new();
        let id = "00000000-0000-4000-8000-000000000000";
        for (name, value) in [
            ("x-request-id", id),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("content-type", kind),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        if let Some(error) = [(401, "invalid_token"), (403, "insufficient_scope")]
            .into_iter()
            .find_map(|(known, error)| (known == status).then_some(error))
        {
            let challenge = format!("Bearer error=\"{error}\"");
            headers.insert("www-authenticate", challenge.parse().unwrap());
        }
        headers
    };
    let problem = |status: u16, code: &str| {
        let kind = "application/problem+json";
        let body = serde_json::json!({
            "type": format!("urn:hallpass:error:{code}"), "title": "", "status": status,
            "detail": "", "code": code, "request_id": "00000000-0000-4000-8000-000000000000",
        });
        Answer { status, headers: headers(status, kind), body: body.to_string().into_bytes() }
    };
    let success = |status: u16, body: &str| {
        let headers = headers(status, "application/json");
        Answer { status, headers, body: body.as_bytes().to_vec() }
    };
    let page =
        |kind: &str| Answer { status: 200, headers: headers(200, kind), body: b"<p>".to_vec() };
    let passes = |path: &str, answer: Answer| {
        let checked = std::panic::AssertUnwindSafe(|| check("GET", path, &answer));
        std::panic::catch_unwind(checked).is_ok()
    };
    assert!(passes("/healthz", success(200, r#"{"status":"ok"}"#)));
    assert!(!passes("/healthz", success(200, r#"{"status":"bad"}"#)));
    assert!(!passes("/healthz", success(200, "{}")));
    assert!(!passes("/healthz", success(201, r#"{"status":"ok"}"#)));
    assert!(passes("/v1/me", problem(401, "token_expired")));
    assert!(!passes("/v1/me", problem(401, "code_invalid")));
    assert!(!passes("/v1/me", problem(403, "permission_denied")));
    assert!(passes("/v1/users", problem(403, "permission_denied")));
    assert!(!passes("/nothing", success(200, "{}")));
    assert!(passes("/verify-email", page("text/html; charset=utf-8")));
    assert!(!passes("/verify-email", page("text/plain")));
    assert!(!passes("/docs/swagger-ui.css", page("text/html; charset=utf-8")));
}
