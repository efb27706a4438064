//! The surface of the service: configuration, health, methods, paths, headers.

use hallpass::http::v1::services::forward_auth;
use serde_json::{Value, json};

use crate::HAS_DOCS;
use crate::support::{PASSWORD, World, on_both};

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];

fn document() -> Value {
    serde_json::from_str(&hallpass::http::openapi::document()).unwrap()
}

on_both! {
    fn the_service_is_alive_and_ready(world) {
        let app = world.app();
        assert_eq!(app.get("/healthz").is(200).json(), json!({"status": "ok"}));
        let components = json!({
            "service": "serving", "database": "up", "writes": "possible",
            "revocations": "current", "keys": "loaded",
        });
        let ready = app.get("/readyz").is(200).json();
        assert_eq!(ready, json!({"status": "ok", "components": components}));
    }

    fn every_path_is_answered_with_and_without_a_final_slash(world) {
        let app = world.app();
        for (path, operations) in document()["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                let method = method.to_uppercase();
                let ask = |path: &str| app.send(&method, path, &[], "");
                let (one, other) = (ask(path), ask(&format!("{path}/")));
                assert_ne!(one.status, 404, "{path}");
                assert_eq!((one.status, one.code()), (other.status, other.code()), "{path}");
            }
        }
        let body = json!({"email": "mina@example.com", "password": PASSWORD});
        app.post("/v1/register/", &body).is(202);
    }

    fn a_path_tells_its_methods(world) {
        let app = world.app();
        let document = document();
        // What a proxy asks about has any method.
        let paths = document["paths"].as_object().unwrap().iter();
        for (path, operations) in paths.filter(|(path, _)| !forward_auth::is_asked_at(path)) {
            let allowed: Vec<String> =
                operations.as_object().unwrap().keys().map(|it| it.to_uppercase()).collect();
            for method in METHODS {
                let is_allowed = allowed.iter().any(|it| it == method)
                    || (method == "HEAD" && allowed.iter().any(|it| it == "GET"));
                if is_allowed {
                    continue;
                }
                let answer = app.send(method, path, &[], "");
                assert_eq!(answer.status, 405, "{method} {path}");
                let told: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
                for one in &allowed {
                    assert!(told.contains(&one.as_str()), "{path}: {told:?}");
                }
                assert_eq!(told.contains(&"HEAD"), told.contains(&"GET"), "{path}: {told:?}");
            }
        }
        // The pages, which the document does not have.
        let pages = ["/verify-email", "/password-reset", "/not-me"];
        for path in pages.into_iter().chain(HAS_DOCS.then_some("/docs/")) {
            let allow = if path == "/docs/" { "GET, HEAD" } else { "GET, HEAD, POST" };
            for method in METHODS.into_iter().filter(|it| !allow.split(", ").any(|one| one == *it)) {
                let answer = app.send_undocumented(method, path, &[], "");
                assert_eq!(answer.status, 405, "{method} {path}");
                assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
            }
        }
    }

    fn head_answers_with_the_headers_of_get(world) {
        let app = world.app();
        for path in ["/healthz", "/readyz", "/v1/config", "/.well-known/jwks.json", "/v1/me"] {
            let (get, head) = (app.get(path), app.send("HEAD", path, &[], ""));
            assert_eq!(get.status, head.status, "{path}");
            assert!(head.body.is_empty(), "{path}");
            for name in ["content-type", "cache-control", "www-authenticate", "content-length"] {
                assert_eq!(get.header(name), head.header(name), "{path}: {name}");
            }
        }
    }

    fn what_is_not_there_is_not_found(world) {
        let app = world.app_with(&[("HALLPASS_DRF_JWT", "off")]);
        for path in [
            "/", "/v1", "/v1/", "/v2/register", "/v1/register/x", "/V1/register", "/v1//register",
            "/v1/register//", "/%00", "/v1/%72egister%2f", "/../etc/passwd",
            "/api-token-auth/", "/users/", "/restricted/",
            // What lies in the working folder, in the data folder, and where debuggers are found.
            "/.git/config", "/.git/HEAD", "/.env", "/Cargo.toml", "/src/main.rs",
            "/hallpass.db", "/data/hallpass.db", "/test.db", "/secret", "/data/secret",
            "/debug", "/debug/pprof/", "/actuator", "/server-status", "/trace", "/admin",
        ] {
            for method in ["GET", "POST", "DELETE"] {
                app.send(method, path, &[], "").refused(404, "not_found");
            }
        }
        for file in ["..%2fCargo.toml", "%2e%2e%2fCargo.toml", ".git/config", "%2fetc%2fpasswd"] {
            app.get(&format!("/docs/{file}")).refused(404, "not_found");
        }
    }

    fn the_configuration_tells_a_front_end_what_it_needs(world) {
        let app = world.app_with(&[
            ("HALLPASS_SERVICE_NAME", "Plum"),
            ("HALLPASS_EMAIL_VERIFICATION", "optional"),
            ("HALLPASS_VERIFY_EMAIL_PROOF", "link"),
            ("HALLPASS_ACCESS_TOKEN_TTL", "2m"),
            ("HALLPASS_REFRESH_TOKEN_TTL", "1d"),
            ("HALLPASS_SESSION_TTL", "2d"),
            ("HALLPASS_REFRESH_GRACE", "10s"),
        ]);
        let mut config = app.get("/v1/config").is(200).json();
        config["password_policy"].take();
        assert_eq!(config, json!({
            "service_name": "Plum", "issuer": "http://auth.test", "audience": ["http://auth.test"],
            "registration": "open", "email_domains_allowed": [], "email_domains_denied": [],
            "email_verification": "optional", "verify_email_proof": "link",
            "password_policy": null, "access_token_expires_in": 120,
            "refresh_token_expires_in": 86_400, "session_expires_in": 172_800,
            "refresh_grace": 10, "registration_expires_in": 86_400,
            "password_reset_expires_in": 1_800, "email_change_expires_in": 3_600,
            "reauth_window": 300, "metadata_max_bytes": 4_096,
            "languages": ["en", "ko"], "social_providers": [],
        }));
        let body = json!({"email": "mina@example.com", "password": PASSWORD});
        let pair = app.post("/v1/register", &body).is(201).json();
        assert_eq!((&pair["expires_in"], &pair["refresh_expires_in"]), (&json!(120), &json!(86_400)));
        let mail = world.mails_to("mina@example.com", 1).swap_remove(0);
        assert!(mail.subject.contains("Plum"), "{}", mail.subject);
    }
}

on_both! {
    fn no_request_that_is_safe_changes_what_is_stored(world) {
        let app = world.app();
        let staff = app.staff(&world, "staff@example.com");
        let id = staff.user_id().to_string();
        let stored = || {
            let mut rows = world.rows_with("");
            // The export is recorded.
            rows.retain(|row| !(row.starts_with("events: ") && row.contains("export")));
            rows.sort();
            rows
        };
        let link = |path: &str| format!("{path}?token=none");
        let document = document();
        let paths = document["paths"].as_object().unwrap().iter();
        let documented = paths.filter(|(_, operations)| operations.get("get").is_some());
        let documented = documented.map(|(path, _)| path.replace("{id}", &id));
        let pages = ["/verify-email", "/password-reset", "/not-me"].map(link);
        let paths: Vec<String> = documented.chain(pages).chain(["/docs/".to_owned()]).collect();
        assert!(paths.len() >= 20, "{paths:?}");
        world.settle_mail();
        let before = stored();
        for path in &paths {
            for method in ["GET", "HEAD", "OPTIONS"] {
                let bearer = format!("Bearer {}", staff.access);
                app.send_undocumented(method, path, &[("authorization", &bearer)], "");
                assert_eq!(stored(), before, "{method} {path}");
            }
        }
    }
}

#[test]
fn the_document_is_served_as_it_is_committed() {
    let app = World::sqlite().app();
    let served = app.get("/openapi.json").is(200);
    assert_eq!(served.json(), document());
    assert!(served.body.len() < include_bytes!("../../../openapi/openapi.json").len() * 2 / 3);
    for path in ["/openapi.json", "/openapi-3.0.json"] {
        let plain = app.get(path).is(200);
        assert_eq!(plain.header("content-encoding"), None);
        assert!(plain.header("vary").unwrap().to_lowercase().contains("accept-encoding"));
        let ask =
            |accept| app.send_undocumented("GET", path, &[("accept-encoding", accept)], "").is(200);
        let packed = ask("gzip, deflate, br");
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert_eq!(packed.body[..2], [0x1f, 0x8b]);
        assert!(packed.body.len() * 5 < plain.body.len(), "{}", packed.body.len());
        for accept in ["identity", "br", "gzip;q=0", "gzip;q=0.1, identity"] {
            let answer = ask(accept);
            assert_eq!(answer.header("content-encoding"), None, "{accept}");
            assert_eq!(answer.body, plain.body);
        }
    }
    let older: Value = app.get("/openapi-3.0.json").is(200).json();
    assert_eq!(older["openapi"], "3.0.3");
}

#[test]
fn every_request_has_an_id_of_its_own() {
    let app = World::sqlite().app();
    let chosen = [("x-request-id", "chosen by the client")];
    let ids = [0; 3].map(|_| {
        app.send("GET", "/healthz", &chosen, "").header("x-request-id").unwrap().to_owned()
    });
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

#[test]
fn responses_tell_browsers_to_stay_with_https_where_there_is_https() {
    let world = World::sqlite();
    let plain = world.app().get("/healthz");
    assert_eq!(plain.header("strict-transport-security"), None);
    let secure = world.app_with(&[("HALLPASS_PUBLIC_URL", "https://auth.test")]).get("/healthz");
    assert!(secure.header("strict-transport-security").unwrap().starts_with("max-age="));
}

#[test]
#[cfg(feature = "docs-ui")]
fn the_documentation_is_served_from_inside_the_binary() {
    let app = World::sqlite().app();
    let moved = app.get("/docs").is(308);
    assert_eq!(moved.header("location"), Some("docs/"));
    let page = app.get("/docs/").is(200);
    assert!(page.header("content-security-policy").is_some());
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains("swagger-ui"));
    // Nothing is fetched from elsewhere.
    assert!(!page.contains("://"), "{page}");
    let named = page.split(['"', '\'']).skip(1).step_by(2);
    assert!(!named.clone().any(|it| it.starts_with("//")), "{page}");
    assert!(named.filter(|it| it.starts_with("./")).count() >= 3, "{page}");
    for file in ["index.html", "swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"] {
        app.get(&format!("/docs/{file}")).is(200);
    }
    app.get("/docs/nothing").refused(404, "not_found");
}
