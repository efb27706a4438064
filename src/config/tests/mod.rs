//! Settings, good and bad.

mod browsers;
mod production;
mod ranges;
mod secrets;

use std::collections::HashMap;

use super::*;

fn read(values: &[(&str, &str)]) -> Result<Config, Vec<ConfigFault>> {
    let values: HashMap<String, String> =
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::read(Source::from_values(values))
}

fn faulty(values: &[(&str, &str)]) -> Vec<String> {
    let names = |faults: Vec<ConfigFault>| faults.into_iter().map(|fault| fault.name).collect();
    read(values).map_or_else(names, |_| Vec::new())
}

const PRODUCTION: [(&str, &str); 3] = [
    ("HALLPASS_ENV", "production"),
    ("HALLPASS_SECRET", "k3Jd8sLq0PzXvB7nMw2RtY5uGh1Ea9Cf"),
    ("HALLPASS_PUBLIC_URL", "https://auth.example.com"),
];

#[test]
fn nothing_set_is_development_on_loopback() {
    let config = read(&[]).unwrap();
    assert!(config.development);
    assert_eq!(config.public_url, "http://127.0.0.1:8000");
    assert_eq!(config.database.redacted(), "SQLite, ./data/hallpass.db");
    assert!(config.warnings.is_empty());
}

#[test]
fn limits_are_reported_to_a_developer_on_this_machine_only() {
    let reports = |values: &[(&str, &str)]| read(values).unwrap().limit_reports;
    for values in [
        &[][..],
        &[("HALLPASS_BIND", "[::1]:9000"), ("HALLPASS_PUBLIC_URL", "http://localhost:9000")],
        &[("HALLPASS_TRUSTED_PROXIES", "none"), ("HALLPASS_PUBLIC_URL", "http://127.0.0.1:1")],
    ] {
        assert_eq!(reports(values), LimitReports::FromThisMachine, "{values:?}");
    }
    for values in [
        &[("HALLPASS_LIMITS", "on")][..],
        &[("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")],
        &[("HALLPASS_PUBLIC_URL", "https://auth.example.com")],
        &[("HALLPASS_PUBLIC_URL", "http://localhost.example.com")],
        &[("HALLPASS_ENV", "development"), ("HALLPASS_BIND", "0.0.0.0:8000")],
        &PRODUCTION,
    ] {
        assert_eq!(reports(values), LimitReports::Never, "{values:?}");
        assert!(read(values).unwrap().limits.is_some());
    }
    let everywhere = [("HALLPASS_LIMITS", "report"), ("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")];
    assert_eq!(reports(&everywhere), LimitReports::Always);
    assert!(read(&[("HALLPASS_LIMITS", "off")]).unwrap().limits.is_none());
}

#[test]
fn every_fault_is_reported_at_once() {
    let mut names = faulty(&[
        ("HALLPASS_BIND", "localhost"),
        ("DATABASE_URL", "postgers://u@h/d"),
        ("HALLPASS_ACCESS_TOKEN_TTL", "16m"),
        ("HALLPASS_BCRYPT_COST", "17"),
        ("HALLPASS_EMAIL_VERIFICATION", "maybe"),
        ("HALLPASS_VERIFY_EMAIL_URL", "https://app.example.com/verify"),
        ("HALLPASS_SMTP_URL", "mailto:x"),
        ("HALLPASS_SMTP_EHLO_NAME", "two words"),
        ("HALLPASS_MAIL_FROM", "nobody"),
        ("HALLPASS_LOG", "a=b=c"),
        ("HALLPASS_PUBLIC_URL", "auth.example.com"),
        ("HALLPASS_CORS_ORIGINS", "*"),
        ("HALLPASS_JWT_ALGORITHM", "none"),
    ]);
    names.sort();
    assert_eq!(
        names,
        [
            "DATABASE_URL",
            "HALLPASS_ACCESS_TOKEN_TTL",
            "HALLPASS_BCRYPT_COST",
            "HALLPASS_BIND",
            "HALLPASS_CORS_ORIGINS",
            "HALLPASS_EMAIL_VERIFICATION",
            "HALLPASS_JWT_ALGORITHM",
            "HALLPASS_LOG",
            "HALLPASS_MAIL_FROM",
            "HALLPASS_PUBLIC_URL",
            "HALLPASS_SMTP_EHLO_NAME",
            "HALLPASS_SMTP_URL",
            "HALLPASS_VERIFY_EMAIL_URL",
        ]
    );
}

#[test]
fn keys_rotate_every_month_unless_something_else_is_set() {
    let rotation = |text: &str| {
        read(&[("HALLPASS_KEY_ROTATION", text)]).map(|config| config.key_rotation).ok()
    };
    for (text, days) in [("", 30.0), ("1d", 1.0), ("12w", 84.0), ("1y", 365.25)] {
        assert_eq!(rotation(text), Some(Some(DAY.mul_f64(days))), "{text}");
    }
    assert_eq!(rotation("off"), Some(None));
    for refused in ["23h", "1y 1d", "0", "30", "never"] {
        assert_eq!(rotation(refused), None, "{refused}");
    }
}

#[test]
fn unknown_names_are_warned_about() {
    let config = read(&[("HALLPASS_BCRYPT_COTS", "12"), ("HALLPASS_TEST_X", "1")]).unwrap();
    assert_eq!(
        config.warnings,
        [
            "HALLPASS_BCRYPT_COTS is not a setting (did you mean HALLPASS_BCRYPT_COST?); it is ignored"
        ]
    );
}

#[test]
fn a_renamed_setting_is_refused_with_its_new_name() {
    for old in ["HERE", "ANYWHERE", "IN_A_ROW"] {
        let faults = read(&[(&format!("HALLPASS_LIMIT_LOGIN_{old}"), "5/15m")]).unwrap_err();
        assert!(faults[0].advice.contains("use HALLPASS_LIMIT_FAILED_LOGINS_"), "{faults:?}");
    }
}

#[test]
fn an_unknown_name_stands_among_the_faults() {
    let values = [("HALLPASS_BIND", "x"), ("HALLPASS_BNID", "127.0.0.1:1")];
    assert_eq!(faulty(&values), ["HALLPASS_BIND", "HALLPASS_BNID"]);
}

#[test]
fn proxies_are_addresses_or_networks() {
    let config = read(&[("HALLPASS_TRUSTED_PROXIES", "10.0.0.0/8,::1, 192.0.2.7")]).unwrap();
    let networks: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128", "192.0.2.7/32"]);
    // Peers are compared in this form.
    let mapped = "::ffff:127.0.0.0/104,::ffff:192.0.2.7";
    let config = read(&[("HALLPASS_TRUSTED_PROXIES", mapped)]).unwrap();
    let networks: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["127.0.0.0/8", "192.0.2.7/32"]);
    assert_eq!(faulty(&[("HALLPASS_TRUSTED_PROXIES", "nginx")]), ["HALLPASS_TRUSTED_PROXIES"]);
}

#[test]
fn each_part_of_the_log_filter_has_a_known_level() {
    let log = |text: &str| read(&[("HALLPASS_LOG", text)]).map(|config| config.log);
    for good in [
        "warn",
        "WARN",
        "off",
        "info,hallpass::http=debug",
        "info,hallpass[request{request_id=a}]=trace",
        "hallpass=info,hallpass::mail=off",
        "hallpass::http=debug",
        "sqlx=warn,info",
        "off,hyper=warn",
    ] {
        assert_eq!(log(good).as_deref().ok(), Some(good), "{good}");
    }
    assert_eq!(log(" info, hallpass=debug ,").as_deref().ok(), Some("info,hallpass=debug"));
    assert_eq!(log("").as_deref().ok(), Some("info"));
    for (bad, meant) in [
        ("warning", "warn"),
        ("Warning", "warn"),
        ("fatal", "error"),
        ("info,hallpass=verbose", "debug"),
        ("all", "trace"),
        ("none", "off"),
    ] {
        let faults = log(bad).unwrap_err();
        assert_eq!(faults[0].name, "HALLPASS_LOG");
        assert!(faults[0].advice.contains(&format!("did you mean {meant}?")), "{}", faults[0]);
    }
    for silent in [
        "nosuch=info",
        "sqlx=warn,hyper=warn",
        "[span]=info",
        "[request{request_id=a}]=trace",
        "hallpassing=info",
        "actix_web=debug,my_hallpass=info",
    ] {
        let faults = log(silent).unwrap_err();
        assert_eq!(faults[0].name, "HALLPASS_LOG");
        assert!(faults[0].advice.contains("logs nothing of Hallpass"), "{}", faults[0]);
    }
    for bad in
        ["inof", "hallpass", "hallpass::http", "info hallpass=debug", "=", "===", ",", "a=b=c"]
    {
        assert_eq!(faulty(&[("HALLPASS_LOG", bad)]), ["HALLPASS_LOG"], "{bad}");
    }
}

#[test]
fn an_instance_looks_twice_a_second_for_what_the_others_ended() {
    let config = read(&[]).unwrap();
    assert!(config.timing.sync_period <= Duration::from_millis(500));
}
