//! Refusals and warnings in production.

use super::*;
use crate::config::readers::database_url_in;

#[test]
fn a_public_address_makes_unsafe_settings_faults() {
    assert_eq!(faulty(&PRODUCTION), Vec::<String>::new());
    assert_eq!(
        faulty(&[("HALLPASS_BIND", "0.0.0.0:8000")]),
        ["HALLPASS_PUBLIC_URL", "HALLPASS_SECRET"]
    );
    for (name, value) in [
        ("HALLPASS_PUBLIC_URL", "http://auth.example.com"),
        ("HALLPASS_SECRET", "short"),
        ("HALLPASS_BCRYPT_COST", "9"),
        ("HALLPASS_LIMITS", "off"),
        ("HALLPASS_LIMITS", "report"),
        ("HALLPASS_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0"),
        ("HALLPASS_TRUSTED_PROXIES", "::/0"),
        ("HALLPASS_TRUSTED_PROXIES", "2000::/3"),
        (
            "HALLPASS_TRUSTED_PROXIES",
            "1.0.0.0/8,2.0.0.0/7,4.0.0.0/6,8.0.0.0/5,16.0.0.0/4,32.0.0.0/3",
        ),
        ("HALLPASS_TRUSTED_PROXIES", "0.0.0.0/1,10.0.0.0/8,128.0.0.0/1"),
        ("HALLPASS_VERIFY_EMAIL_URL", "http://app.example.com/verify#{token}"),
        ("HALLPASS_PASSWORD_RESET_URL", "http://192.0.2.7/reset#{token}"),
        ("HALLPASS_NOT_ME_URL", "http://localhost.example.com/not-me#{token}"),
    ] {
        let mut values = PRODUCTION.to_vec();
        values.retain(|(other, _)| *other != name);
        values.push((name, value));
        assert_eq!(faulty(&values), [name]);
        values.push(("HALLPASS_ENV", "development"));
        values.retain(|pair| *pair != ("HALLPASS_ENV", "production"));
        assert_eq!(faulty(&values), Vec::<String>::new(), "{name} is fine in development");
    }
}

#[test]
fn development_that_others_may_reach_is_warned_about() {
    let warnings = |bind| {
        let values = [("HALLPASS_ENV", "development"), ("HALLPASS_BIND", bind)];
        read(&values).unwrap().warnings
    };
    assert_eq!(warnings("127.0.0.1:8000"), Vec::<String>::new());
    for bind in ["0.0.0.0:8000", "192.0.2.7:8000", "[::]:8000"] {
        let warnings = warnings(bind);
        assert!(warnings.len() == 1 && warnings[0].contains(bind), "{warnings:?}");
    }
}

#[test]
fn a_setting_without_its_value_is_refused_in_production() {
    for name in ["DATABASE_URL", "DATABASE_URL_FILE", "HALLPASS_LOG"] {
        let values = [&PRODUCTION[..], &[(name, "")]].concat();
        assert_eq!(faulty(&values), [name]);
        assert!(read(&[(name, "")]).is_ok(), "{name}");
    }
    // Settings of other programs.
    let values = [&PRODUCTION[..], &[("HALLPASS_TEST_EMPTY", ""), ("PATH", "")]].concat();
    assert!(faulty(&values).is_empty());
}

#[test]
fn a_file_as_the_database_is_a_warning_in_production() {
    let is_warned = |values: &[(&str, &str)]| {
        read(values).unwrap().warnings.iter().any(|it| it.contains("the database is a file"))
    };
    let postgres = [&PRODUCTION[..], &[("DATABASE_URL", "postgres://u@localhost/d")]].concat();
    assert!(is_warned(&PRODUCTION) && !is_warned(&postgres) && !is_warned(&[]));
}

#[test]
fn mail_that_leaves_the_machine_needs_a_sender() {
    let mut values = PRODUCTION.to_vec();
    values.push(("HALLPASS_SMTP_URL", "smtps://u:p@mail.example.com"));
    assert_eq!(faulty(&values), ["HALLPASS_MAIL_FROM"]);
    values.push(("HALLPASS_MAIL_FROM", "no-reply@example.com"));
    assert_eq!(faulty(&values), Vec::<String>::new());
}

#[test]
fn a_postgres_elsewhere_is_checked_or_trusted_in_words() {
    // A build without TLS cannot check certificates, so it refuses the URL.
    let checked = cfg!(feature = "postgres-tls");
    for (url, fine) in [
        ("postgres://u@localhost/d", true),
        ("postgres://u@127.0.0.1:5433/d", true),
        ("postgres://u@[::1]/d", true),
        ("postgres:///d?host=/var/run/postgresql", true),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql/d", true),
        ("postgres://u@db.example.com/d?sslmode=disable", true),
        ("postgres://u@db.example.com/d?sslmode=verify-full", checked),
        ("postgres://u@db.example.com/d?sslmode=verify-full&sslmode=disable", true),
        ("postgres://u@db.example.com/d?sslmode=disable&sslmode=require", false),
        ("postgres://u@db.example.com/d", false),
        ("postgres://u@db.example.com/d?sslmode=allow", false),
        ("postgres://u@db.example.com/d?sslmode=prefer", false),
        ("postgres://u@db.example.com/d?sslmode=require", false),
        ("postgres://u@db.example.com/d?sslmode=verify-ca", false),
        ("postgres://u@127.0.0.1:6543,127.0.0.1:6545/d?target_session_attrs=read-write", true),
        ("postgres://u@localhost,[::1]:6545,%2Frun%2Fpostgresql/d", true),
        ("postgres://u@127.0.0.1:5432,db.example.com:5432/d", false),
        ("postgres://u@a.example.com,b.example.com/d?sslmode=disable", true),
        ("postgres://u@a.example.com,b.example.com/d?sslmode=verify-full", checked),
        ("postgres://u@localhost/d?host=db.example.com", false),
        ("postgres://u@localhost/d?hostaddr=192.0.2.1", false),
        ("postgres://u@db.example.com/d?sslrootcert=system", checked),
        ("postgres://u@db.example.com/d?sslrootcert=system&sslmode=require", false),
    ] {
        assert_eq!(faulty(&[("DATABASE_URL", url)]).is_empty(), fine, "{url}");
    }
    for mode in ["", "?sslmode=require", "?sslmode=prefer"] {
        let url = format!("postgres://u@db.example.com/d{mode}");
        let faults = read(&[("DATABASE_URL", &url)]).unwrap_err();
        assert!(faults[0].advice.contains("verify-full"), "{faults:?}");
    }
}

#[test]
fn a_service_waits_before_its_end_in_production() {
    let delay = |values: &[(&str, &str)]| read(values).unwrap().shutdown_delay;
    assert_eq!(delay(&PRODUCTION), 5 * SECOND);
    assert_eq!(delay(&[]), Duration::ZERO);
    assert_eq!(delay(&[("HALLPASS_SHUTDOWN_DELAY", "90s")]), 90 * SECOND);
    assert_eq!(read(&[]).unwrap().keep_alive, 75 * SECOND);
    assert_eq!(faulty(&[("HALLPASS_KEEP_ALIVE", "0s")]), ["HALLPASS_KEEP_ALIVE"]);
}

#[test]
fn proxies_in_private_networks_and_of_a_cdn_are_trusted() {
    let networks = "10.0.0.0/8,172.16.0.0/12,fc00::/7,fe80::/10,104.16.0.0/13,2400:cb00::/32";
    let values = [&PRODUCTION[..], &[("HALLPASS_TRUSTED_PROXIES", networks)]].concat();
    assert_eq!(read(&values).unwrap().trusted_proxies.len(), 6);
}

#[cfg(not(feature = "postgres-tls"))]
#[test]
fn an_sslmode_that_this_binary_does_not_have_names_the_feature() {
    for url in
        ["postgres://localhost/d?sslmode=require", "postgres://db.example/d?sslmode=verify-full"]
    {
        assert!(database_url(url).unwrap_err().contains("postgres-tls"), "{url}");
    }
}

#[test]
fn what_libpq_takes_from_the_environment_counts_as_the_host() {
    let another = ["192.0.2.2", "db.example"];
    let is_refused = |url: &str, name: &str, value: &str| {
        let environment = |asked: &str| (asked == name).then(|| value.to_owned());
        database_url_in(url, environment).is_err_and(|advice| advice.contains("another machine"))
    };
    for (url, name, value) in [
        ("postgres://u:p@/d", "PGHOST", another[0]),
        ("postgres:///d", "PGHOST", another[1]),
        ("postgres://u:p@localhost/d", "PGHOSTADDR", another[0]),
        ("postgres://u:p@/d", "PGHOSTADDR", another[0]),
        ("postgres://u:p@/d?host=/run/postgresql", "PGHOSTADDR", another[0]),
        ("postgres://u:p@localhost/d", "PGSERVICE", "a"),
        ("postgres://u:p@/d?service=a", "", ""),
    ] {
        assert!(is_refused(url, name, value), "{url} {name}={value}");
        let mode = if url.contains('?') { "&sslmode=disable" } else { "?sslmode=disable" };
        assert!(!is_refused(&format!("{url}{mode}"), name, value), "{url}{mode} {name}={value}");
    }
    for (url, name, value) in [
        ("postgres://u:p@/d", "PGHOST", "/run/postgresql"),
        ("postgres://u:p@/d", "PGHOST", ""),
        ("postgres://u:p@localhost/d", "PGHOST", another[1]),
        ("postgres://u:p@localhost/d?hostaddr=127.0.0.1", "PGHOSTADDR", another[0]),
    ] {
        assert!(!is_refused(url, name, value), "{url} {name}={value}");
    }
}
