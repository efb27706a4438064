//! Settings that bound requests: origins, reverse proxies and rate limits.

use super::setting::{Setting, setting};

/// Front ends in browsers, and reverse proxies.
pub(super) const BROWSERS: &[Setting] = &[
    setting(
        "HALLPASS_CORS_ORIGINS",
        "",
        "Origins of browser front ends besides that of HALLPASS_PUBLIC_URL, separated by commas and compared exactly: https://app.example.com. Those of installed apps too: tauri://localhost, capacitor://localhost. none: no others. Not set: none; in development on a loopback address, http://localhost and http://127.0.0.1 on any port.",
    ),
    setting(
        "HALLPASS_CORS_HEADERS",
        "",
        "Request headers that pages of these origins may send besides the usual ones (content, conditions, tracing), separated by commas: x-client-version.",
    ),
    setting(
        "HALLPASS_COOKIE_SAMESITE",
        "strict",
        "SameSite attribute of the cookies: strict, lax or none. A front end on another site than the service needs none.",
    ),
    setting(
        "HALLPASS_TRUSTED_PROXIES",
        "",
        "Networks of reverse proxies, separated by commas: X-Forwarded-For, X-Request-Id and traceparent are accepted only from these. none: there is no proxy. All addresses (0.0.0.0/0) are refused in production.",
    ),
];

/// Rate limits, and how long the audit trail is kept.
pub(super) const LIMITS: &[Setting] = &[
    setting(
        "HALLPASS_LIMITS",
        "",
        "on: the rate limits of log-ins, mails and refreshes below are enforced. In development also report (requests beyond a limit are served, and the header X-Production-Limit says what would have been refused) and off. Not set: on; in development on a loopback address report, for requests from this machine that no proxy forwarded.",
    ),
    setting(
        "HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK",
        "5/15m",
        "Failed log-ins under one name on one known device, or from one network: a number from 3 to 20 and a span from 1m to 1h.",
    ),
    setting(
        "HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT",
        "20/1h",
        "Failed log-ins under one name on all unknown devices together, 5 to 100 in 1m to 1h. Beyond that, waits grow from 1 to 15 minutes.",
    ),
    setting(
        "HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE",
        "100",
        "Consecutive failed log-ins under one name, 20 to 100, after which an unknown device needs a password reset by mail.",
    ),
    setting(
        "HALLPASS_LIMIT_NETWORK",
        "30/1m",
        "Log-ins and starts of social log-ins from one network (/24 for IPv4, /64 for IPv6), and as many codes and links, and as many requests of logged-in users that hash a password, 10 to 10000 in 1m to 1h. Raise it where many users share an IP address.",
    ),
    setting(
        "HALLPASS_LIMIT_REFRESH",
        "1200/1m",
        "Refreshes from one network, 60 to 100000 in 1m to 1h.",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_HOURLY",
        "3",
        "Requests from one network (/24, /48) for mails to one mailbox in an hour, 1 to 20. The part of an address after a + is ignored.",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_DAILY",
        "10",
        "Budget of mails to one mailbox in a day, for verifications and for password resets each, 1 to 100. With 10: 15 first requests of networks, 5 second and 5 later ones, at most 5 from one network (docs/operations.md#limits).",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_NETWORK",
        "20",
        "Requests from one network (/24, /48) for mails to any mailbox in an hour, and of one user, 1 to 10000. Raise it where many users share an IP address. A network with more requests on a day may use a quarter of the two limits below.",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_DOMAIN",
        "5000",
        "Verification mails to one domain on a day (UTC), and as many password resets, 10 to 10000000. At least half of it is kept for first requests of networks. Further requests are answered 429.",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_TOTAL",
        "10000",
        "Verification mails to all domains together on a day (UTC), and as many password resets, 10 to 10000000. At least half of it is kept for first requests of networks.",
    ),
    setting(
        "HALLPASS_EVENT_RETENTION",
        "90d",
        "Time for which events are kept in the audit trail, 1d to 2y.",
    ),
];
