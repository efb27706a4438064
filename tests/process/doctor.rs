//! `hallpass doctor`: good results, warnings and failures.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::both::on_both;
use crate::database::Database;
use crate::postgres::free_port;
use crate::scripted_provider::{Answer, Key, ScriptedProvider};
use crate::scripted_smtp::{Act, ScriptedServer};
use crate::service::Setup;

fn line<'a>(output: &'a str, name: &str) -> &'a str {
    let found = output
        .lines()
        .find(|line| line.get(5..).is_some_and(|it| it.starts_with(&format!("{name}:"))));
    found.unwrap_or_else(|| panic!("no {name} in:\n{output}"))
}

fn is_well(setup: &Setup) {
    let before = setup.run(&["doctor"]);
    assert!(!before.stdout.contains("ok   database"), "{}", before.stdout);
    assert!(setup.run(&["migrate"]).success);
    let report = setup.run(&["doctor"]);
    assert!(report.success, "{}{}", report.stdout, report.stderr);
    for name in [
        "settings",
        "database",
        "keys",
        "mail",
        "mail queue",
        "identities",
        "browsers",
        "proxies",
        "social log-in",
    ] {
        assert!(line(&report.stdout, name).starts_with("ok   "), "{}", report.stdout);
    }
    assert!(line(&report.stdout, "public URL").starts_with("warn "), "{}", report.stdout);
    assert!(!setup.folder().join("data/secret").exists(), "it looks, and makes nothing");
}

#[test]
fn keys_that_no_secret_here_can_open_are_a_failure() {
    let setup = Setup::on_sqlite();
    setup.start().stop();
    fs::remove_file(setup.folder().join("data/secret")).unwrap();
    let report = setup.run(&["doctor"]);
    assert!(!report.success);
    assert!(line(&report.stdout, "keys").starts_with("FAIL "), "{}", report.stdout);
    assert!(!setup.folder().join("data/secret").exists());
}

#[test]
fn a_service_on_sqlite_is_well() {
    is_well(&Setup::on_sqlite().with("HALLPASS_BCRYPT_COST", "10"));
}

#[test]
fn a_service_on_postgres_is_well() {
    let Some(setup) = Setup::on_postgres() else { return };
    let setup = setup.with("HALLPASS_BCRYPT_COST", "10");
    is_well(&setup);
    assert!(setup.run(&["doctor"]).stdout.contains("its clock and ours are"));
}

on_both! {
    fn identities_whose_provider_is_not_configured_are_counted(setup) {
        let setup = setup
            .with("HALLPASS_BCRYPT_COST", "10")
            .with("HALLPASS_SOCIAL_RETURN_URLS", "https://app.example.com/in")
            .with("HALLPASS_SOCIAL_GITHUB_CLIENT_ID", "x")
            .with("HALLPASS_SOCIAL_GITHUB_CLIENT_SECRET", "x");
        let admin = ["create-superuser", "--username", "admin", "--password", "quiet river stone"];
        assert!(setup.run(&admin).success);
        let database = Database::at(&setup.database_url());
        for (number, issuer) in
            ["https://github.com", "https://a.example", "https://b.example", "https://b.example"]
                .into_iter()
                .enumerate()
        {
            database.execute(&format!(
                "INSERT INTO identities (id, user_id, provider, issuer, subject, created_at) \
                 SELECT 'i{number}', id, 'x', '{issuer}', 's{number}', 0 FROM users"
            ));
        }
        let report = setup.run(&["doctor"]).stdout;
        let told = line(&report, "identities");
        assert!(told.starts_with("warn "), "{told}");
        assert!(told.contains("1 of https://a.example, 2 of https://b.example have no"), "{told}");
        assert!(!told.contains("github"), "{told}");
    }
}

#[test]
fn a_provider_of_social_log_in_is_asked_and_its_redirect_uri_told() {
    let issuer = format!("http://127.0.0.1:{}/realm", free_port());
    let setup = Setup::on_sqlite()
        .with("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on")
        .with("HALLPASS_SOCIAL_RETURN_URLS", "https://app.example.com/in")
        .with("HALLPASS_SOCIAL_GITHUB_CLIENT_ID", "x")
        .with("HALLPASS_SOCIAL_GITHUB_CLIENT_SECRET", "x");
    let report = setup.run(&["doctor"]);
    let told = line(&report.stdout, "social log-in");
    assert!(told.starts_with("ok   "), "{}", report.stdout);
    assert!(told.ends_with("/v1/social/github/callback"), "{told}");
    let setup = setup
        .with("HALLPASS_SOCIAL_OIDC_BIG_CO_ISSUER", &issuer)
        .with("HALLPASS_SOCIAL_OIDC_BIG_CO_CLIENT_ID", "x");
    let report = setup.run(&["doctor"]);
    assert!(!report.success);
    assert!(line(&report.stdout, "social log-in").starts_with("FAIL "), "{}", report.stdout);
    let told = report.stdout.lines().find(|line| line.contains("big-co")).unwrap();
    assert!(told.contains("/v1/social/big-co/callback; metadata: "), "{told}");
}

#[test]
fn what_is_wrong_with_the_metadata_of_a_provider_is_explained() {
    let provider = ScriptedProvider::openid(&[&Key::es256("k")]);
    let setup = Setup::on_sqlite()
        .with("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on")
        .with("HALLPASS_SOCIAL_RETURN_URLS", "https://app.example.com/in")
        .with("HALLPASS_SOCIAL_OIDC_TEST_ISSUER", &provider.issuer())
        .with("HALLPASS_SOCIAL_OIDC_TEST_CLIENT_ID", "x");
    let report = setup.run(&["doctor"]);
    assert!(line(&report.stdout, "social log-in").starts_with("ok   "), "{}", report.stdout);
    let url = "/.well-known/openid-configuration";
    let metadata = |name: &str, value: Value| {
        let mut metadata = provider.metadata();
        metadata[name] = value;
        Answer::json(&metadata)
    };
    for (path, answer, told, kind) in [
        (url, metadata("issuer", json!("https://other.example")), "the issuer is", "FAIL "),
        (url, Answer::Reply(404, String::new()), "metadata: status 404", "FAIL "),
        (url, Answer::Reply(200, "<html>".to_owned()), "metadata: ", "FAIL "),
        (url, metadata("jwks_uri", json!("file:///keys")), "is not an https URL", "FAIL "),
        (url, metadata("code_challenge_methods_supported", json!(["plain"])), "PKCE", "warn "),
        (
            url,
            metadata("id_token_signing_alg_values_supported", json!(["HS256"])),
            "signs id tokens with none of",
            "warn ",
        ),
        ("/keys", Answer::json(&json!({"keys": []})), "key set: has no key", "FAIL "),
    ] {
        provider.on(url, Answer::json(&provider.metadata()));
        provider.on(path, answer);
        let report = setup.run(&["doctor"]).stdout;
        let line = line(&report, "social log-in");
        assert!(line.starts_with(kind) && line.contains(told), "{told}: {report}");
    }
}

#[test]
fn each_fault_is_explained() {
    let setup =
        Setup::on_sqlite().with("HALLPASS_SMTP_URL", &format!("smtp://127.0.0.1:{}", free_port()));
    assert!(setup.run(&["migrate"]).success);
    setup.start().stop();
    let report = setup.with("HALLPASS_SECRET", "another secret than before").run(&["doctor"]);
    assert!(!report.success);
    for name in ["passwords", "keys", "mail"] {
        assert!(line(&report.stdout, name).starts_with("FAIL "), "{}", report.stdout);
    }
    assert!(report.stdout.contains("another HALLPASS_SECRET"), "{}", report.stdout);
    assert!(report.stderr.contains("3 of these"), "{}", report.stderr);
}

#[test]
fn a_missing_proxy_setting_is_a_warning_in_production() {
    let proxies = |setup: &Setup| line(&setup.run(&["doctor"]).stdout, "proxies").to_owned();
    let setup = Setup::on_sqlite();
    assert!(setup.run(&["migrate"]).success);
    assert!(proxies(&setup).starts_with("ok "), "{}", proxies(&setup));
    let setup = setup
        .with("HALLPASS_ENV", "production")
        .with("HALLPASS_SECRET", "3f9a1c07d5e84b62a0c9e7f1b8d24635")
        .with("HALLPASS_PUBLIC_URL", "https://auth.example.com")
        .with("HALLPASS_LIMITS", "on")
        .with("HALLPASS_BCRYPT_COST", "10");
    let report = proxies(&setup);
    assert!(report.starts_with("warn "), "{report}");
    assert!(report.contains("HALLPASS_TRUSTED_PROXIES"), "{report}");
    let setup = setup.with("HALLPASS_TRUSTED_PROXIES", "192.0.2.7");
    let report = proxies(&setup);
    assert!(report.starts_with("ok "), "{report}");
    assert!(report.contains("192.0.2.7"), "{report}");
}

/// Takes connections and never says a word.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn servers_that_say_nothing_are_not_waited_for_without_end() {
    let ((_postgres, database), (_smtp, mail)) = (silent(), silent());
    // With a limit of its own libpq waits for longer than the doctor does.
    let url = format!("postgres://u@127.0.0.1:{database}/d?connect_timeout=300");
    let setup = Setup::on_sqlite()
        .with("DATABASE_URL", &url)
        .with("HALLPASS_SMTP_URL", &format!("smtp://127.0.0.1:{mail}"));
    let report = setup.run_within(&["doctor"], Duration::from_secs(60));
    assert!(!report.success);
    assert!(report.took < Duration::from_secs(40), "it took {:?}", report.took);
    for name in ["database", "mail"] {
        assert!(line(&report.stdout, name).starts_with("FAIL "), "{}", report.stdout);
    }
    assert!(line(&report.stdout, "database").contains("no answer within"), "{}", report.stdout);
    // What asks no server is looked at, and what was not reached is told as well.
    for name in ["settings", "browsers", "proxies", "social log-in"] {
        let line = line(&report.stdout, name);
        assert!(!line.contains("not looked at"), "{line}");
    }
    assert!(line(&report.stdout, "keys").contains("not looked at: see the database"));
}

#[test]
fn a_mail_server_that_admits_no_further_connection_is_a_warning() {
    let server = ScriptedServer::start(|said| match said.line {
        "" => Act::Bye(b"421 4.7.0 Error: too many connections from 127.0.0.1"),
        _ => Act::Usual,
    });
    let setup = Setup::on_sqlite()
        .with("HALLPASS_BCRYPT_COST", "10")
        .with("HALLPASS_SMTP_URL", &server.url())
        .with("HALLPASS_SMTP_CONNECTIONS", "3");
    assert!(setup.run(&["migrate"]).success);
    let report = setup.run(&["doctor"]);
    let mail = line(&report.stdout, "mail");
    assert!(mail.starts_with("warn ") && mail.contains("421"), "{mail}");
    assert!(mail.contains("HALLPASS_SMTP_CONNECTIONS (3)"), "{mail}");
    assert!(report.success, "{}", report.stdout);
}

#[test]
fn a_mail_server_that_admits_fewer_connections_is_a_warning() {
    let server = ScriptedServer::start(|_| Act::Usual);
    let setup = Setup::on_sqlite()
        .with("HALLPASS_BCRYPT_COST", "10")
        .with("HALLPASS_SMTP_URL", &server.url())
        .with("HALLPASS_SMTP_CONNECTIONS", "3");
    assert!(setup.run(&["migrate"]).success);
    for (admitted, told) in [(3, "ok   "), (2, "warn ")] {
        server.admit(admitted);
        let report = setup.run(&["doctor"]);
        let mail = line(&report.stdout, "mail");
        assert!(mail.starts_with(told), "{mail}");
        let number = "it admits 2 of 3 (HALLPASS_SMTP_CONNECTIONS)";
        assert_eq!(mail.contains(number), admitted == 2, "{mail}");
        assert!(report.success, "{}", report.stdout);
    }
}

#[test]
fn a_file_that_the_first_start_cannot_make() {
    let setup = Setup::on_sqlite();
    setup.write("data", "this is a file");
    for setup in [setup, Setup::on_sqlite().with("DATABASE_URL", "sqlite:///proc/x/a.db")] {
        let report = setup.run(&["doctor"]);
        let database = line(&report.stdout, "database");
        assert!(!report.success);
        assert!(database.starts_with("FAIL ") && database.contains("cannot be made"), "{database}");
        assert!(!setup.run(&["serve"]).success);
    }
    let setup = Setup::on_sqlite();
    assert!(line(&setup.run(&["doctor"]).stdout, "database").contains("the first start makes it"));
    assert!(!setup.folder().join("data/hallpass.db").exists());
    let mut left = fs::read_dir(setup.folder()).unwrap().map(|it| it.unwrap().file_name());
    assert!(!left.any(|it| it.to_string_lossy().contains("doctor")));
}

#[test]
fn a_mail_server_without_tls_on_the_port_is_a_failure() {
    let server = ScriptedServer::start(|_| Act::Usual);
    let url = server.url().replace("smtp://", "smtps://");
    let report = Setup::on_sqlite().with("HALLPASS_SMTP_URL", &url).run(&["doctor"]);
    let mail = line(&report.stdout, "mail");
    assert!(mail.starts_with("FAIL ") && mail.contains("without TLS on this port"), "{mail}");
}

#[test]
fn a_collection_of_breached_passwords_that_does_not_answer_is_a_warning() {
    let url = format!("http://127.0.0.1:{}/range", free_port());
    let report = Setup::on_sqlite().with("HALLPASS_BREACHED_PASSWORDS_URL", &url).run(&["doctor"]);
    let told = line(&report.stdout, "breached passwords");
    assert!(told.starts_with("warn ") && told.contains(&url), "{told}");
}
