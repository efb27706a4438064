//! Settings, good and bad.

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
    ("HALLPASS_SECRET", "0123456789abcdef0123456789abcdef"),
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
fn the_defaults_in_the_table_are_the_defaults_in_the_code() {
    let listed: Vec<(&str, &str)> = SETTINGS
        .iter()
        .filter(|setting| !setting.default.is_empty())
        .map(|setting| (setting.name, setting.default))
        .collect();
    assert_eq!(format!("{:?}", read(&listed).unwrap()), format!("{:?}", read(&[]).unwrap()));
}

#[test]
fn every_fault_is_told_at_once() {
    let mut names = faulty(&[
        ("HALLPASS_BIND", "localhost"),
        ("DATABASE_URL", "postgers://u@h/d"),
        ("HALLPASS_ACCESS_TOKEN_TTL", "16m"),
        ("HALLPASS_BCRYPT_COST", "17"),
        ("HALLPASS_EMAIL_VERIFICATION", "maybe"),
        ("HALLPASS_VERIFY_EMAIL_URL", "https://app.example.com/verify"),
        ("HALLPASS_SMTP_URL", "mailto:x"),
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
            "HALLPASS_SMTP_URL",
            "HALLPASS_VERIFY_EMAIL_URL",
        ]
    );
}

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
fn hs256_needs_its_key() {
    assert_eq!(faulty(&[("HALLPASS_JWT_ALGORITHM", "HS256")]), ["HALLPASS_JWT_SECRET"]);
}

#[test]
fn the_key_of_all_tokens_is_long_and_that_of_a_django_site_as_long_as_it_is() {
    let short = [&PRODUCTION[..], &[("HALLPASS_JWT_SECRET", "short")]].concat();
    let with = |name, value| [&short[..], &[(name, value)]].concat();
    assert_eq!(faulty(&with("HALLPASS_JWT_ALGORITHM", "HS256")), ["HALLPASS_JWT_SECRET"]);
    let warned = |values: &[(&str, &str)]| {
        let warnings = read(values).unwrap().warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("HALLPASS_JWT_SECRET has fewer than 32 bytes"))
    };
    assert!(warned(&short));
    assert!(!warned(&with("HALLPASS_DRF_JWT", "off")));
    let development = [("HALLPASS_JWT_ALGORITHM", "HS256"), ("HALLPASS_JWT_SECRET", "short")];
    assert!(!warned(&development));
}

#[test]
fn a_secret_can_come_from_a_file_but_not_from_two_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "from a file, long enough for all\n").unwrap();
    let path = path.to_str().unwrap();
    let config = read(&[("HALLPASS_SECRET_FILE", path)]).unwrap();
    assert_eq!(config.secret.unwrap().expose(), b"from a file, long enough for all");
    assert_eq!(
        faulty(&[("HALLPASS_SECRET_FILE", path), ("HALLPASS_SECRET", "x")]),
        ["HALLPASS_SECRET"]
    );
    assert_eq!(faulty(&[("HALLPASS_SECRET_FILE", "/nowhere")]), ["HALLPASS_SECRET_FILE"]);
}

#[test]
fn every_secret_can_come_from_a_file() {
    let told = |name: &str, value: &str| {
        let config = read(&[(name, value)]).unwrap();
        let secrets = [&config.secret, &config.jwt_secret];
        let secrets = secrets.map(|it| it.as_ref().map(|it| it.expose().to_vec()));
        format!("{config:?} {secrets:?}")
    };
    let folder = tempfile::tempdir().unwrap();
    for name in SETTINGS.iter().filter(|setting| setting.secret).map(|setting| setting.name) {
        let value = match name {
            "DATABASE_URL" => "sqlite://elsewhere.db",
            "HALLPASS_SMTP_URL" => "smtps://u:p@mail.example.com",
            _ => "a secret that is long enough for all",
        };
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{value}\n")).unwrap();
        let from_file = told(&format!("{name}_FILE"), path.to_str().unwrap());
        assert_eq!(from_file, told(name, value), "{name}");
        assert_ne!(from_file, told(name, ""), "{name}");
    }
}

#[test]
fn secrets_do_not_print() {
    let config = read(&[
        ("HALLPASS_SECRET", "canary-secret"),
        ("HALLPASS_JWT_SECRET", "canary-jwt"),
        ("DATABASE_URL", "postgres://u:canary-db@localhost/d"),
        ("HALLPASS_SMTP_URL", "smtps://u:canary-smtp@mail.example.com"),
    ]);
    assert!(!format!("{:?}", config.unwrap()).contains("canary"));
}

#[test]
fn unknown_names_are_warned_about() {
    let config = read(&[("HALLPASS_BCRYPT_COTS", "12"), ("HALLPASS_TEST_X", "1")]).unwrap();
    assert_eq!(config.warnings, ["HALLPASS_BCRYPT_COTS is not a setting; it is ignored"]);
}

#[test]
fn an_unknown_name_stands_among_the_faults() {
    let values = [("HALLPASS_BIND", "x"), ("HALLPASS_BNID", "127.0.0.1:1")];
    assert_eq!(faulty(&values), ["HALLPASS_BIND", "HALLPASS_BNID"]);
}

#[test]
fn origins_are_exact() {
    let origins =
        |text: &str| read(&[("HALLPASS_CORS_ORIGINS", text)]).map(|it| it.browsers.origins);
    let two = origins("https://app.example.com, http://127.0.0.1:5173").unwrap();
    assert_eq!(two, ["https://app.example.com", "http://127.0.0.1:5173"]);
    for bad in
        ["*", "null", "https://app.example.com/", "https://*.example.com", "example.com", ","]
    {
        assert!(origins(bad).is_err(), "{bad}");
    }
    let mut values = PRODUCTION.to_vec();
    values.push(("HALLPASS_CORS_ORIGINS", "https://a.example.com,http://b.example.com"));
    assert_eq!(faulty(&values), ["HALLPASS_CORS_ORIGINS"]);
}

#[test]
fn proxies_are_addresses_or_networks() {
    let config = read(&[("HALLPASS_TRUSTED_PROXIES", "10.0.0.0/8,::1, 192.0.2.7")]).unwrap();
    let networks: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128", "192.0.2.7/32"]);
    assert_eq!(faulty(&[("HALLPASS_TRUSTED_PROXIES", "nginx")]), ["HALLPASS_TRUSTED_PROXIES"]);
}

#[test]
fn mail_that_leaves_the_machine_needs_a_sender() {
    let mut values = PRODUCTION.to_vec();
    values.push(("HALLPASS_SMTP_URL", "smtps://u:p@mail.example.com"));
    assert_eq!(faulty(&values), ["HALLPASS_MAIL_FROM"]);
    values.push(("HALLPASS_MAIL_FROM", "no-reply@example.com"));
    assert_eq!(faulty(&values), Vec::<String>::new());
}

#[cfg(not(feature = "postgres-tls"))]
#[test]
fn without_tls_a_remote_postgres_must_be_trusted_in_words() {
    for (url, fine) in [
        ("postgres://u@localhost/d", true),
        ("postgres://u@127.0.0.1:5433/d", true),
        ("postgres://u@[::1]/d", true),
        ("postgres:///d?host=/var/run/postgresql", true),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql/d", true),
        ("postgres://u@db.example.com/d?sslmode=disable", true),
        ("postgres://u@db.example.com/d", false),
        ("postgres://u@127.0.0.1:5432,db.example.com:5432/d", false),
        ("postgres://u@localhost/d?host=db.example.com", false),
        ("postgres://u@localhost/d?hostaddr=192.0.2.1", false),
        ("postgres://u@db.example.com/d?sslmode=verify-full", false),
    ] {
        assert_eq!(faulty(&[("DATABASE_URL", url)]).is_empty(), fine, "{url}");
    }
}
