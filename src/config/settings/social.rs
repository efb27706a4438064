//! Settings of social log-in.

use super::setting::{Setting, secret, setting};

/// Log-in at other services.
pub(super) const SOCIAL: &[Setting] = &[
    setting(
        "HALLPASS_SOCIAL_RETURN_URLS",
        "",
        "Pages of front ends that a log-in at a provider may return to, separated by commas, compared whole: https://app.example.com/signed-in. Of an app: myapp://signed-in.",
    ),
    setting(
        "HALLPASS_SOCIAL_CALLBACK",
        "service",
        "Target of the redirect from a provider: service (HALLPASS_PUBLIC_URL/v1/social/<provider>/callback, which redirects to the front end) or front-end (the page of HALLPASS_SOCIAL_RETURN_URLS itself, registered at the provider).",
    ),
    setting(
        "HALLPASS_SOCIAL_ALLOW_PRIVATE",
        "off",
        "on lets providers have private, loopback and link-local addresses and http URLs.",
    ),
    setting(
        "HALLPASS_SOCIAL_GOOGLE_CLIENT_ID",
        "",
        "Google: the OAuth client id. Not set: no log-in with Google.",
    ),
    secret("HALLPASS_SOCIAL_GOOGLE_CLIENT_SECRET", "Google: the client secret."),
    setting(
        "HALLPASS_SOCIAL_MICROSOFT_CLIENT_ID",
        "",
        "Microsoft: the application (client) id. Not set: no log-in with Microsoft.",
    ),
    secret("HALLPASS_SOCIAL_MICROSOFT_CLIENT_SECRET", "Microsoft: the client secret."),
    setting(
        "HALLPASS_SOCIAL_MICROSOFT_TENANT",
        "common",
        "Microsoft: the id of one tenant, or common, organizations or consumers.",
    ),
    setting(
        "HALLPASS_SOCIAL_APPLE_CLIENT_ID",
        "",
        "Apple: the Services ID. Not set: no log-in with Apple.",
    ),
    setting("HALLPASS_SOCIAL_APPLE_TEAM_ID", "", "Apple: the team id."),
    setting("HALLPASS_SOCIAL_APPLE_KEY_ID", "", "Apple: the id of the private key."),
    secret(
        "HALLPASS_SOCIAL_APPLE_PRIVATE_KEY",
        "Apple: the private key, the text of the .p8 file; client secrets are signed with it.",
    ),
    setting(
        "HALLPASS_SOCIAL_KAKAO_CLIENT_ID",
        "",
        "Kakao: the REST API key. Not set: no log-in with Kakao.",
    ),
    secret(
        "HALLPASS_SOCIAL_KAKAO_CLIENT_SECRET",
        "Kakao: the client secret. Not set: none is switched on in the console.",
    ),
    setting(
        "HALLPASS_SOCIAL_NAVER_CLIENT_ID",
        "",
        "Naver: the client id. Not set: no log-in with Naver.",
    ),
    secret("HALLPASS_SOCIAL_NAVER_CLIENT_SECRET", "Naver: the client secret."),
    setting(
        "HALLPASS_SOCIAL_FACEBOOK_CLIENT_ID",
        "",
        "Facebook: the app id. Not set: no log-in with Facebook.",
    ),
    secret("HALLPASS_SOCIAL_FACEBOOK_CLIENT_SECRET", "Facebook: the client secret."),
    setting(
        "HALLPASS_SOCIAL_GITHUB_CLIENT_ID",
        "",
        "GitHub: the client id of the OAuth app. Not set: no log-in with GitHub.",
    ),
    secret("HALLPASS_SOCIAL_GITHUB_CLIENT_SECRET", "GitHub: the client secret."),
    setting(
        "HALLPASS_SOCIAL_DISCORD_CLIENT_ID",
        "",
        "Discord: the client id. Not set: no log-in with Discord.",
    ),
    secret("HALLPASS_SOCIAL_DISCORD_CLIENT_SECRET", "Discord: the client secret."),
    setting(
        "HALLPASS_SOCIAL_GITLAB_CLIENT_ID",
        "",
        "GitLab.com: the application id. Not set: no log-in with GitLab.com.",
    ),
    secret("HALLPASS_SOCIAL_GITLAB_CLIENT_SECRET", "GitLab.com: the client secret."),
    setting(
        "HALLPASS_SOCIAL_OIDC_<NAME>_ISSUER",
        "",
        "Any other OpenID Connect provider, under a name of your own (HALLPASS_SOCIAL_OIDC_COMPANY_ISSUER is the provider `company`): its issuer, exactly as its metadata spell it.",
    ),
    setting("HALLPASS_SOCIAL_OIDC_<NAME>_CLIENT_ID", "", "The client id at that provider."),
    secret(
        "HALLPASS_SOCIAL_OIDC_<NAME>_CLIENT_SECRET",
        "The client secret at that provider. Not set: a public client with PKCE.",
    ),
    setting(
        "HALLPASS_SOCIAL_OIDC_<NAME>_TRUST_EMAIL",
        "",
        "Addresses of that provider that count as verified if it says so: on (all), off (none), or domains separated by commas. Accounts are linked by them. Not set: off.",
    ),
    setting(
        "HALLPASS_SOCIAL_OIDC_<NAME>_DISPLAY_NAME",
        "",
        "Text of the button of that provider. Not set: the name.",
    ),
    setting(
        "HALLPASS_SOCIAL_<PROVIDER>_SCOPES",
        "",
        "For any provider (GOOGLE, OIDC_COMPANY ...): scopes separated by spaces. Not set: those for the e-mail address and the name.",
    ),
    setting(
        "HALLPASS_SOCIAL_<PROVIDER>_NATIVE_CLIENT_IDS",
        "",
        "For a provider with id tokens: client ids of native apps, separated by commas, whose id tokens are accepted. An Android app has two: the audience and the authorized party.",
    ),
];
