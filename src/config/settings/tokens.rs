//! Settings of tokens, signing keys and sessions.

use super::setting::{Setting, secret, setting};

/// Access tokens, signing keys and sessions.
pub(super) const TOKENS: &[Setting] = &[
    setting(
        "HALLPASS_CLIENT_ID",
        "hallpass",
        "The `client_id` claim of access tokens, which RFC 9068 requires: the name of your front end as an OAuth client.",
    ),
    setting(
        "HALLPASS_AUDIENCE",
        "",
        "The `aud` claim of access tokens: the names of the services that accept them, at most 8, separated by commas. Not set: HALLPASS_PUBLIC_URL.",
    ),
    setting(
        "HALLPASS_CLAIMS",
        "",
        "Claims of access tokens from members of an account's metadata, separated by commas: plan=app_metadata.plan,https://hasura.io/jwt/claims=app_metadata.hasura. Staff and API keys write app_metadata, users write metadata. Names that tokens use already are refused.",
    ),
    setting(
        "HALLPASS_JWT_ALGORITHM",
        "ES256",
        "Algorithm that signs access tokens: ES256, EdDSA, RS256 or HS256.",
    ),
    secret(
        "HALLPASS_JWT_SECRET",
        "Key of the Django REST adapter's tokens, and of all tokens with HS256, shared with the services that check them: a Django site's SECRET_KEY. Not set: a key that only Hallpass has.",
    ),
    setting(
        "HALLPASS_KEY_ROTATION",
        "30d",
        "Time for which a key signs before the next one takes over, 1d to 1y; off: until `hallpass keys rotate`. HS256 has no rotation: its key is HALLPASS_JWT_SECRET.",
    ),
    setting(
        "HALLPASS_ACCESS_TOKEN_TTL",
        "5m",
        "Lifetime of an access token, 1s to 15m. It is accepted for 5 seconds more, as clocks differ.",
    ),
    setting("HALLPASS_REFRESH_TOKEN_TTL", "7d", "Lifetime of an unused refresh token, 1s to 30d."),
    setting("HALLPASS_SESSION_TTL", "30d", "Longest lifetime of a session, 1s to 30d."),
    setting(
        "HALLPASS_REFRESH_GRACE",
        "30s",
        "Grace period in which a replaced refresh token still gets the same successor, 0s to 30s.",
    ),
    setting(
        "HALLPASS_SESSIONS_PER_USER",
        "20",
        "Sessions of a user, 1 to 100; beyond, the least recently used one ends.",
    ),
    setting(
        "HALLPASS_REVOCATIONS_MAX_AGE",
        "30s",
        "Time for which access tokens are accepted while the revocation list cannot be read from the database, 2s to 5m; then the answer is 503.",
    ),
];

/// The Django REST adapter.
pub(super) const DRF: &[Setting] = &[
    setting(
        "HALLPASS_DRF_JWT",
        "on",
        "on or off: the Django REST adapter, with the paths of django-rest-framework-jwt.",
    ),
    setting(
        "HALLPASS_DRF_JWT_PREFIX",
        "JWT",
        "Scheme of the Authorization header on those paths, as JWT_AUTH_HEADER_PREFIX of the Django site: JWT, Bearer, or both (JWT,Bearer).",
    ),
    setting(
        "HALLPASS_DRF_JWT_TTL",
        "5m",
        "Lifetime of a token of those paths, as JWT_EXPIRATION_DELTA: 1s to 30d.",
    ),
    setting(
        "HALLPASS_DRF_JWT_REFRESH_TTL",
        "7d",
        "Time after the log-in in which such a token can be refreshed, as JWT_REFRESH_EXPIRATION_DELTA: 1s to 1y.",
    ),
];
