//! Settings, good and bad.

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

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
fn the_defaults_in_the_table_are_the_defaults_in_the_code() {
    let listed: Vec<(&str, &str)> = SETTINGS
        .iter()
        .filter(|setting| !setting.default.is_empty())
        .map(|setting| (setting.name, setting.default))
        .collect();
    assert_eq!(format!("{:?}", read(&listed).unwrap()), format!("{:?}", read(&[]).unwrap()));
}

/// Settings with a range: what their help says of it, a value below it, both ends, a value above it.
const RANGES: [(&str, &str, [&str; 4]); 37] = [
    ("HALLPASS_KEEP_ALIVE", "1s to 10m", ["999ms", "1s", "10m", "10m 1s"]),
    ("HALLPASS_SHUTDOWN_DELAY", "0s to 5m", ["-1s", "0s", "5m", "5m 1s"]),
    ("HALLPASS_DATABASE_POOL", "1 to 200", ["0", "1", "200", "201"]),
    ("HALLPASS_KEY_ROTATION", "1d to 1y", ["23h", "1d", "1y", "1y 1s"]),
    ("HALLPASS_ACCESS_TOKEN_TTL", "1s to 15m", ["999ms", "1s", "15m", "15m 1s"]),
    ("HALLPASS_REFRESH_TOKEN_TTL", "1s to 30d", ["0s", "1s", "30d", "30d 1s"]),
    ("HALLPASS_SESSION_TTL", "1s to 30d", ["0s", "1s", "30d", "30d 1s"]),
    ("HALLPASS_REFRESH_GRACE", "0s to 30s", ["-1s", "0s", "30s", "31s"]),
    ("HALLPASS_SESSIONS_PER_USER", "1 to 100", ["0", "1", "100", "101"]),
    ("HALLPASS_REVOCATIONS_MAX_AGE", "2s to 5m", ["1s", "2s", "5m", "5m 1s"]),
    ("HALLPASS_PASSWORD_MIN_LENGTH", "8 to 64", ["7", "8", "64", "65"]),
    ("HALLPASS_PASSWORD_MAX_LENGTH", "64 to 256", ["63", "64", "256", "257"]),
    ("HALLPASS_BREACHED_PASSWORDS_TIMEOUT", "100ms to 5s", ["99ms", "100ms", "5s", "5s 1ms"]),
    ("HALLPASS_BCRYPT_COST", "4 to 16", ["3", "4", "16", "17"]),
    ("HALLPASS_REAUTH_WINDOW", "0s to 15m", ["-1s", "0s", "15m", "15m 1s"]),
    ("HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK", "3 to 20", ["2/15m", "3/15m", "20/15m", "21/15m"]),
    ("HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK", "1m to 1h", ["5/59s", "5/1m", "5/1h", "5/61m"]),
    ("HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT", "5 to 100", ["4/1h", "5/1h", "100/1h", "101/1h"]),
    (
        "HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT",
        "1m to 1h",
        ["20/59s", "20/1m", "20/1h", "20/61m"],
    ),
    ("HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE", "20 to 100", ["19", "20", "100", "101"]),
    ("HALLPASS_LIMIT_NETWORK", "10 to 10000", ["9/1m", "10/1m", "10000/1m", "10001/1m"]),
    ("HALLPASS_LIMIT_NETWORK", "1m to 1h", ["30/59s", "30/1m", "30/1h", "30/61m"]),
    ("HALLPASS_LIMIT_REFRESH", "60 to 100000", ["59/1m", "60/1m", "100000/1m", "100001/1m"]),
    ("HALLPASS_LIMIT_REFRESH", "1m to 1h", ["60/59s", "60/1m", "60/1h", "60/61m"]),
    ("HALLPASS_LIMIT_MAIL_HOURLY", "1 to 20", ["0", "1", "20", "21"]),
    ("HALLPASS_LIMIT_MAIL_DAILY", "1 to 100", ["0", "1", "100", "101"]),
    ("HALLPASS_LIMIT_MAIL_NETWORK", "1 to 10000", ["0", "1", "10000", "10001"]),
    ("HALLPASS_LIMIT_MAIL_DOMAIN", "10 to 10000000", ["9", "10", "10000000", "10000001"]),
    ("HALLPASS_LIMIT_MAIL_TOTAL", "10 to 10000000", ["9", "10", "10000000", "10000001"]),
    ("HALLPASS_SMTP_CONNECTIONS", "1 to 100", ["0", "1", "100", "101"]),
    ("HALLPASS_SMTP_TIMEOUT", "1s to 10m", ["999ms", "1s", "10m", "10m 1s"]),
    ("HALLPASS_EVENT_RETENTION", "1d to 2y", ["23h", "1d", "2y", "2y 1s"]),
    ("HALLPASS_DRF_JWT_TTL", "1s to 30d", ["0s", "1s", "30d", "30d 1s"]),
    ("HALLPASS_DRF_JWT_REFRESH_TTL", "1s to 1y", ["0s", "1s", "1y", "1y 1s"]),
    ("HALLPASS_WORKERS", "1 to 256", ["0", "1", "256", "257"]),
    ("HALLPASS_MAX_CONNECTIONS", "16 to 100000", ["15", "16", "100000", "100001"]),
    ("HALLPASS_SHUTDOWN_TIMEOUT", "0s to 5m", ["-1s", "0s", "5m", "5m 1s"]),
];

#[test]
fn a_value_outside_its_range_is_a_fault() {
    for (name, range, [below, lowest, highest, above]) in RANGES {
        for good in [lowest, highest] {
            assert_eq!(faulty(&[(name, good)]), Vec::<String>::new(), "{name}={good}");
        }
        for bad in [below, above] {
            assert_eq!(faulty(&[(name, bad)]), [name], "{name}={bad}");
        }
        let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
        assert!(setting.help.contains(range), "{name} does not say {range}: {}", setting.help);
    }
}

#[test]
fn every_range_that_is_told_is_tried() {
    let is_number = |word: Option<&str>| {
        word.is_some_and(|word| word.starts_with(|first: char| first.is_ascii_digit()))
    };
    let tells_a_range = |help: &str| {
        let parts: Vec<&str> = help.split(" to ").collect();
        parts.windows(2).any(|pair| {
            is_number(pair[0].split(' ').next_back()) && is_number(pair[1].split(' ').next())
        })
    };
    for setting in SETTINGS {
        let is_tried = RANGES.iter().any(|(name, ..)| *name == setting.name);
        assert_eq!(tells_a_range(setting.help), is_tried, "{}", setting.name);
    }
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
fn a_page_on_this_machine_needs_no_https() {
    for page in
        ["https://app.example.com/{token}", "http://localhost:3000/{token}", "http://[::1]/{token}"]
    {
        let mut values = PRODUCTION.to_vec();
        values.push(("HALLPASS_VERIFY_EMAIL_URL", page));
        assert_eq!(faulty(&values), Vec::<String>::new(), "{page}");
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
    let short = [&PRODUCTION[..], &[("HALLPASS_JWT_SECRET", "kV7wq2ZpL9xTb4Nd")]].concat();
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
    for guessable in ["x", "kV7wq2ZpL9xTb4N", "changeme-changeme-changeme"] {
        let values = [&PRODUCTION[..], &[("HALLPASS_JWT_SECRET", guessable)]].concat();
        assert_eq!(faulty(&values), ["HALLPASS_JWT_SECRET"], "{guessable}");
    }
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
        let secrets = [&config.secret, &config.secret_previous, &config.jwt_secret];
        let secrets = secrets.map(|it| it.as_ref().map(|it| it.expose().to_vec()));
        format!("{config:?} {secrets:?}")
    };
    let folder = tempfile::tempdir().unwrap();
    // Those of providers are of use together with others only: `social.rs` has a test of its own.
    let is_alone = |name: &&str| !name.starts_with("HALLPASS_SOCIAL_");
    let secrets = SETTINGS.iter().filter(|setting| setting.secret).map(|setting| setting.name);
    for name in secrets.filter(is_alone) {
        let value = match name {
            "DATABASE_URL" => "sqlite://elsewhere.db",
            "HALLPASS_SMTP_URL" => "smtps://u:p@mail.example.com",
            _ => "a secret that is long enough for all",
        };
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{value}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
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
    let in_production = |origin| {
        let mut values = PRODUCTION.to_vec();
        values.push(("HALLPASS_CORS_ORIGINS", origin));
        faulty(&values)
    };
    for bad in
        ["https://a.example.com,http://b.example.com", "http://localhost:5173", "http://127.0.0.1"]
    {
        assert_eq!(in_production(bad), ["HALLPASS_CORS_ORIGINS"], "{bad}");
    }
    for app in [
        "tauri://localhost",
        "capacitor://localhost",
        "ionic://localhost",
        "app://.",
        "http://localhost",
        "http://tauri.localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "com.example.app://localhost:80,https://app.example.com",
    ] {
        assert_eq!(in_production(app), Vec::<String>::new(), "{app}");
    }
    for bad in [
        "javascript://localhost",
        "data://localhost",
        "file://",
        "file://localhost",
        "blob://localhost",
        "tauri://",
        "tauri:localhost",
        "tauri://localhost/",
        "tauri://localhost?",
        "tauri://localhost#",
        "tauri://*",
        "*://localhost",
        "Tauri://localhost",
        "tauri://user@localhost",
        "tauri://a b",
        "1tauri://localhost",
        "://localhost",
        "tauri://localhost:",
        "tauri://localhost:99999",
        "null://localhost",
        "ws://localhost",
        "about://blank",
        "view-source://localhost",
    ] {
        assert_eq!(in_production(bad), ["HALLPASS_CORS_ORIGINS"], "{bad}");
    }
}

#[test]
fn headers_of_pages_are_names() {
    let headers =
        |text: &str| read(&[("HALLPASS_CORS_HEADERS", text)]).map(|it| it.browsers.headers);
    assert_eq!(headers(" X-Tenant,x_1 ").unwrap(), ["x-tenant", "x_1"]);
    for bad in ["*", "x-a,*", "x a", "x:", "x-a,,x-b", ",", "x\u{e9}", "a*"] {
        assert!(headers(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_link_may_open_an_app_but_never_run_a_script() {
    for name in ["HALLPASS_VERIFY_EMAIL_URL", "HALLPASS_PASSWORD_RESET_URL", "HALLPASS_NOT_ME_URL"]
    {
        let in_production = |page| {
            let mut values = PRODUCTION.to_vec();
            values.push((name, page));
            faulty(&values)
        };
        for page in [
            "myapp://verify/{token}",
            "myapp://verify?token={token}",
            "myapp:///verify#{token}",
            "com.example.app:/verify/{token}",
            "MyApp://verify/{token}",
            "tauri://localhost/#/verify/{token}",
        ] {
            assert_eq!(in_production(page), Vec::<String>::new(), "{page}");
        }
        for page in [
            "javascript:alert('{token}')",
            "javascript://x/%0aalert('{token}')",
            "JavaScript://x/{token}",
            "java\tscript://x/{token}",
            " javascript://x/{token}",
            "\u{1}javascript://x/{token}",
            "data:text/html,{token}",
            "data://text/{token}",
            "DATA://x/{token}",
            "vbscript://x/{token}",
            "file:///srv/{token}",
            "blob://x/{token}",
            "about:/{token}",
            "mailto:{token}",
            "ftp://x/{token}",
            "view-source://x/{token}",
            "myapp:{token}",
            "{token}://x",
            "my{token}://x",
            "myapp://verify",
            "//x/{token}",
            "myapp://{token}/{token}",
        ] {
            assert_eq!(in_production(page), [name], "{page}");
        }
    }
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

#[test]
fn a_postgres_elsewhere_is_checked_or_trusted_in_words() {
    // What a build without TLS cannot check it does not take.
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
fn a_setting_without_its_value_is_refused_in_production() {
    for name in ["DATABASE_URL", "DATABASE_URL_FILE", "HALLPASS_LOG"] {
        let values = [&PRODUCTION[..], &[(name, "")]].concat();
        assert_eq!(faulty(&values), [name]);
        assert!(read(&[(name, "")]).is_ok(), "{name}");
    }
    // Not ours.
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
fn a_secret_that_can_be_guessed_is_refused_in_production() {
    let of = |secret: &str| {
        let values = [&PRODUCTION[..], &[("HALLPASS_SECRET", secret)]].concat();
        faulty(&values)
    };
    for guessable in [
        &"changeme".repeat(4),
        &"a".repeat(40),
        &"password".repeat(5),
        &"correct-horse".repeat(3)[..36],
        &"0123456789".repeat(4),
        "CHANGE-ME-to-something-long-enough-please",
        "please-replace_me-with-32-random-bytes-or-more",
        "your secret goes here, at least 32 bytes of it",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210",
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbcccc",
        "thisisaverysecretkeyforproduction!",
        "qwertyuiopasdfghjklzxcvbnm123456",
        "0123456789abcdef0123456789abcdef",
        "abcdefghijklmnopabcdefghijklmnop",
        "insert-random-secret-here-32-bytes!!",
        "django-insecure-aaaaaaaaaaaaaaaaaaaa",
        "TODO: set a real secret before launch",
        "<generate with openssl rand -hex 32>",
        "${HALLPASS_SECRET}${HALLPASS_SECRET}",
        "ChangeIt!ChangeThis!ChangeIt!ChangeThis!",
        "Y2hhbmdlbWVjaGFuZ2VtZWNoYW5nZW1lY2hhbmdlbWU=",
        "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
        "6368616e67656d656368616e67656d656368616e67656d65",
    ] {
        assert_eq!(of(guessable), ["HALLPASS_SECRET"], "{guessable}");
    }
    for template in [
        "${HALLPASS_SECRET_FROM_VAULT_0123456}",
        "$HALLPASS_SECRET_FROM_VAULT_0123456",
        "$(vault read -field=value secret/hallpass)",
        "{{ lookup('env', 'HALLPASS_SECRET_OF_SITE') }}",
        "%HALLPASS_SECRET_FROM_VAULT_0123456%",
        "<put at least 32 random bytes here instead>",
    ] {
        assert_eq!(of(template), ["HALLPASS_SECRET"], "{template}");
        for name in ["HALLPASS_SECRET_PREVIOUS", "HALLPASS_JWT_SECRET"] {
            assert_eq!(faulty(&[&PRODUCTION[..], &[(name, template)]].concat()), [name]);
        }
    }
    for good in [
        "${c2f1b0a4de6398f7a1d25c4be09f6371",
        "c2f1b0a4de6398f7a1d25c4be09f63718d2a4bc5e6f708192a3b4c5d6e7f8091",
        "q0N3iJ8b5Qm1Xz7LrT2vWk9sYpE4uAf6HcGdOa0BnUg=",
        "django-insecure-4h!k2v@x9m$t7q#w1z^c5n&b8j*r3y",
        "wobbly-quartz-lantern-ninefold-umber-harbor-jasmine-kettle",
    ] {
        assert!(of(good).is_empty(), "{good}");
    }
    // In development it is the developer's own affair.
    assert!(read(&[("HALLPASS_SECRET", "changemechangemechangemechangeme")]).is_ok());
    let hs256 = [
        &PRODUCTION[..],
        &[
            ("HALLPASS_JWT_ALGORITHM", "HS256"),
            ("HALLPASS_JWT_SECRET", "abcabcabcabcabcabcabcabcabcabcabc"),
        ],
    ]
    .concat();
    assert_eq!(faulty(&hs256), ["HALLPASS_JWT_SECRET"]);
}

#[test]
fn a_file_of_a_secret_that_others_can_read_is_warned_about() {
    use std::fs::{set_permissions, write};

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("smtp");
    let own = folder.path().join("secret");
    for path in [&file, &own] {
        write(path, "smtp://127.0.0.1:25\n").unwrap();
    }
    let warnings = |mode: u32| {
        for path in [&file, &own] {
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let values = [
            ("HALLPASS_SMTP_URL_FILE", file.to_str().unwrap()),
            ("HALLPASS_DATA_DIR", folder.path().to_str().unwrap()),
        ];
        read(&values).unwrap().warnings
    };
    assert!(warnings(0o600).is_empty());
    for mode in [0o640, 0o604, 0o644] {
        let warnings = warnings(mode);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("HALLPASS_SMTP_URL_FILE") && warnings[1].contains("secret"));
        assert!(warnings.iter().all(|it| !it.contains("smtp://")));
    }
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
    for bad in
        ["inof", "hallpass", "hallpass::http", "info hallpass=debug", "=", "===", ",", "a=b=c"]
    {
        assert_eq!(faulty(&[("HALLPASS_LOG", bad)]), ["HALLPASS_LOG"], "{bad}");
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
fn the_secret_before_may_be_one_that_is_refused_now_but_is_another_one() {
    let with = |previous| [&PRODUCTION[..], &[("HALLPASS_SECRET_PREVIOUS", previous)]].concat();
    assert_eq!(faulty(&with("changemechangemechangemechangeme")), Vec::<String>::new());
    let is_warned = |previous| {
        let warnings = read(&with(previous)).unwrap().warnings;
        warnings.iter().any(|it| it.contains("HALLPASS_SECRET_PREVIOUS"))
    };
    assert!(is_warned("short") && is_warned("changemechangemechangemechangeme"));
    assert!(!is_warned("q0N3iJ8b5Qm1Xz7LrT2vWk9sYpE4uAf6HcGdOa0BnUg="));
    let (_, secret) = PRODUCTION.iter().find(|(name, _)| *name == "HALLPASS_SECRET").unwrap();
    assert_eq!(faulty(&with(secret)), ["HALLPASS_SECRET_PREVIOUS"]);
}

#[test]
fn an_instance_looks_twice_a_second_for_what_the_others_ended() {
    let config = read(&[]).unwrap();
    assert!(config.timing.sync_period <= Duration::from_millis(500));
}

#[test]
fn proxies_in_private_networks_and_of_a_cdn_are_trusted() {
    let networks = "10.0.0.0/8,172.16.0.0/12,fc00::/7,fe80::/10,104.16.0.0/13,2400:cb00::/32";
    let values = [&PRODUCTION[..], &[("HALLPASS_TRUSTED_PROXIES", networks)]].concat();
    assert_eq!(read(&values).unwrap().trusted_proxies.len(), 6);
}
