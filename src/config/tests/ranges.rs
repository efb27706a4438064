//! Ranges and defaults of the table.

use super::*;

#[test]
fn the_defaults_in_the_table_are_the_defaults_in_the_code() {
    let listed: Vec<(&str, &str)> = settings()
        .filter(|setting| !setting.default.is_empty())
        // A build without the adapter has it off by default.
        .filter(|setting| cfg!(feature = "drf-jwt") || setting.name != "HALLPASS_DRF_JWT")
        .map(|setting| (setting.name, setting.default))
        .collect();
    assert_eq!(format!("{:?}", read(&listed).unwrap()), format!("{:?}", read(&[]).unwrap()));
}

/// Settings with a range: what their help says of it, a value below it, both ends, a value above
/// it.
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
        let setting = settings().find(|setting| setting.name == name).unwrap();
        assert!(setting.help.contains(range), "{name} does not say {range}: {}", setting.help);
    }
}

#[test]
fn every_range_that_a_help_text_names_is_tried() {
    let is_number = |word: Option<&str>| {
        word.is_some_and(|word| word.starts_with(|first: char| first.is_ascii_digit()))
    };
    let tells_a_range = |help: &str| {
        let parts: Vec<&str> = help.split(" to ").collect();
        parts.windows(2).any(|pair| {
            is_number(pair[0].split(' ').next_back()) && is_number(pair[1].split(' ').next())
        })
    };
    for setting in settings() {
        let is_tried = RANGES.iter().any(|(name, ..)| *name == setting.name);
        assert_eq!(tells_a_range(setting.help), is_tried, "{}", setting.name);
    }
}
