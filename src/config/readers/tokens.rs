//! Lifetimes, algorithm and rotation of keys; the Django REST adapter.

use std::time::Duration;

use crate::config::source::Source;
use crate::config::types::{DAY, DrfPrefix, DrfSettings, Lifetimes, MINUTE, SECOND, YEAR};
use crate::security::keys::SigningAlgorithm;

pub fn read_lifetimes(s: &mut Source) -> Lifetimes {
    let mut span = |name, default, from, to| s.duration(name, default, from, to);
    let (zero, month) = (Duration::ZERO, 30 * DAY);
    Lifetimes {
        access_token: span("HALLPASS_ACCESS_TOKEN_TTL", 5 * MINUTE, SECOND, 15 * MINUTE),
        refresh_token: span("HALLPASS_REFRESH_TOKEN_TTL", 7 * DAY, SECOND, month),
        session: span("HALLPASS_SESSION_TTL", month, SECOND, month),
        refresh_grace: span("HALLPASS_REFRESH_GRACE", 30 * SECOND, zero, 30 * SECOND),
        reauth_window: span("HALLPASS_REAUTH_WINDOW", 5 * MINUTE, zero, 15 * MINUTE),
        revocations_max_age: span(
            "HALLPASS_REVOCATIONS_MAX_AGE",
            30 * SECOND,
            2 * SECOND,
            5 * MINUTE,
        ),
    }
}

pub fn read_jwt_algorithm(s: &mut Source) -> SigningAlgorithm {
    s.parsed("HALLPASS_JWT_ALGORITHM", SigningAlgorithm::Es256, |text| {
        SigningAlgorithm::from_name(text)
            .ok_or_else(|| "must be one of: ES256, EdDSA, RS256, HS256".to_owned())
    })
}

/// Reads the settings of the Django REST adapter.
pub fn read_drf(s: &mut Source) -> Option<DrfSettings> {
    const IS_BUILT: bool = cfg!(feature = "drf-jwt");
    let is_on = s.choice("HALLPASS_DRF_JWT", IS_BUILT, &[("on", true), ("off", false)]);
    let prefix = s.parsed("HALLPASS_DRF_JWT_PREFIX", DrfPrefix::Jwt, |text| {
        let names: Vec<String> = text.split(',').map(|it| it.trim().to_lowercase()).collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["jwt"] => Ok(DrfPrefix::Jwt),
            ["bearer"] => Ok(DrfPrefix::Bearer),
            ["both"] | ["jwt", "bearer"] | ["bearer", "jwt"] => Ok(DrfPrefix::Both),
            _ => Err("must be JWT, Bearer or JWT,Bearer".to_owned()),
        }
    });
    // The defaults are those of djangorestframework-jwt.
    let token_ttl = s.duration("HALLPASS_DRF_JWT_TTL", 5 * MINUTE, SECOND, 30 * DAY);
    let refresh_ttl = s.duration("HALLPASS_DRF_JWT_REFRESH_TTL", 7 * DAY, SECOND, YEAR);
    if is_on && !IS_BUILT {
        s.fault("HALLPASS_DRF_JWT", "is on, but this build is without the feature drf-jwt");
    }
    is_on.then_some(DrfSettings { prefix, token_ttl, refresh_ttl })
}

/// Reads the rotation period of signing keys. The minimum is a day: the next key is published so
/// long before it signs.
pub fn read_key_rotation(s: &mut Source) -> Option<Duration> {
    s.parsed("HALLPASS_KEY_ROTATION", Some(30 * DAY), |text| {
        match humantime::parse_duration(text) {
            Ok(period) if (DAY..=YEAR).contains(&period) => Ok(Some(period)),
            _ if text == "off" => Ok(None),
            _ => Err("must be a duration from 1d to 1y, such as 30d, or off".to_owned()),
        }
    })
}
