//! The table of settings. `.env.example` is printed from it and a test holds the two together.

/// Settings that were renamed, with their new names. A start with an old name fails.
pub const RENAMED: &[(&str, &str)] = &[
    ("HALLPASS_LIMIT_LOGIN_HERE", "HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK"),
    ("HALLPASS_LIMIT_LOGIN_ANYWHERE", "HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT"),
    ("HALLPASS_LIMIT_LOGIN_IN_A_ROW", "HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE"),
];

/// One setting.
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// What counts if it is not set, as shown to people.
    pub default: &'static str,
    /// True if it is secret; then `NAME_FILE` may name a file that holds it.
    pub secret: bool,
    /// What it does.
    pub help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, secret: false, help }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: "", secret: true, help }
}

impl Setting {
    /// Returns whether a variable is this setting. A part of the name in angle brackets stands for any
    /// name of capitals, digits and underscores.
    pub fn is_named(&self, name: &str) -> bool {
        let Some((prefix, rest)) = self.name.split_once('<') else { return name == self.name };
        let suffix = rest.split_once('>').map_or("", |(_, suffix)| suffix);
        let inner = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(suffix));
        inner.is_some_and(is_provider_name)
    }
}

/// Returns whether a provider can have this name in settings.
pub(super) fn is_provider_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_')
        && !name.starts_with('_')
        && !name.ends_with('_')
        && !name.contains("__")
}

/// Every setting, in the order of `.env.example`.
pub const SETTINGS: &[Setting] = &[
    setting("HALLPASS_BIND", "127.0.0.1:8000", "Address and port to listen on."),
    setting(
        "HALLPASS_DATA_DIR",
        "./data",
        "Folder of the SQLite file, the secret made in development, and mail as files.",
    ),
    secret(
        "DATABASE_URL",
        "postgres://USER:PASSWORD@HOST/DATABASE or sqlite://PATH. In a password @ is written %40, / %2F, # %23, ? %3F, % %25. A host that is another machine needs ?sslmode=verify-full (with sslrootcert=system or a file), or disable where the network may be trusted. Not set: hallpass.db in the data folder.",
    ),
    setting("HALLPASS_DATABASE_POOL", "10", "Connections to the database, 1 to 200."),
    setting(
        "HALLPASS_DATABASE_PREPARED_STATEMENTS",
        "on",
        "on, or off behind a pooler in transaction mode (PgBouncer), which loses them between two transactions.",
    ),
    setting(
        "HALLPASS_ENV",
        "",
        "development or production. Not set: development while bound to a loopback address, else production. Unsafe settings are refused in production.",
    ),
    setting(
        "HALLPASS_PUBLIC_URL",
        "",
        "The service's own address as clients see it: issuer of tokens, start of links. Not set in development: http:// and the bound address.",
    ),
    secret(
        "HALLPASS_SECRET",
        "At least 32 bytes, the same for all instances. Seals the signing keys; everything else is derived from it. Required in production; in development it is made in the data folder.",
    ),
    secret(
        "HALLPASS_SECRET_PREVIOUS",
        "Another secret that counts as well, while HALLPASS_SECRET is being replaced: the one before, or the next one. docs/operations.md says in which order.",
    ),
    setting("HALLPASS_SERVICE_NAME", "Hallpass", "What mail and pages call the service."),
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
        "How access tokens are signed: ES256, EdDSA, RS256 or HS256.",
    ),
    secret(
        "HALLPASS_JWT_SECRET",
        "The key of the Django face's tokens, and of all tokens with HS256, shared with the services that check them: a Django site's SECRET_KEY. Not set: a key of the service's own.",
    ),
    setting(
        "HALLPASS_KEY_ROTATION",
        "30d",
        "How long a key signs before the next one takes over, 1d to 1y; off: until `hallpass keys rotate`. Not for HS256, whose key is HALLPASS_JWT_SECRET.",
    ),
    setting(
        "HALLPASS_ACCESS_TOKEN_TTL",
        "5m",
        "Life of an access token, 1s to 15m. It is taken for 5 seconds more, as clocks differ.",
    ),
    setting(
        "HALLPASS_REFRESH_TOKEN_TTL",
        "7d",
        "Life of a refresh token that nobody uses, 1s to 30d.",
    ),
    setting("HALLPASS_SESSION_TTL", "30d", "Life of a session however much it is used, 1s to 30d."),
    setting(
        "HALLPASS_REFRESH_GRACE",
        "30s",
        "How long a replaced refresh token still answers with the same successor, 0s to 30s.",
    ),
    setting(
        "HALLPASS_SESSIONS_PER_USER",
        "20",
        "Sessions a person may have, 1 to 100; the oldest ends.",
    ),
    setting(
        "HALLPASS_REVOCATIONS_MAX_AGE",
        "30s",
        "How long tokens are believed while the database cannot be asked which sessions were ended, 2s to 5m; then the answer is 503.",
    ),
    setting(
        "HALLPASS_PASSWORD_MIN_LENGTH",
        "8",
        "Fewest characters of a new password, 8 to 64. 15 is recommended.",
    ),
    setting("HALLPASS_PASSWORD_MAX_LENGTH", "256", "Most characters of a new password, 64 to 256."),
    setting(
        "HALLPASS_BREACHED_PASSWORDS_URL",
        "",
        "Where to ask whether a new password is known from a breach: a service of the form of Have I Been Pwned's range API, which is told 5 digits of a digest, such as https://api.pwnedpasswords.com/range. Not set: nobody is asked.",
    ),
    setting(
        "HALLPASS_BREACHED_PASSWORDS_TIMEOUT",
        "1s",
        "How long to wait for that answer, 100ms to 5s. Without one the password is taken and a warning logged.",
    ),
    setting(
        "HALLPASS_BCRYPT_COST",
        "12",
        "Cost of password hashes, 10 to 16 (4 to 16 in development).",
    ),
    setting(
        "HALLPASS_EMAIL_VERIFICATION",
        "mandatory",
        "mandatory: no account before the address is proven. optional: an account at once, the token tells. none: no mail.",
    ),
    setting(
        "HALLPASS_REGISTRATION",
        "open",
        "open: all may register. invited: POST /v1/register answers as ever, and only users whom staff invited get a mail. closed: it is refused. Invited users can always choose their password.",
    ),
    setting(
        "HALLPASS_EMAIL_DOMAINS_ALLOWED",
        "",
        "Domains of the addresses that users may register and change to, separated by commas: example.com, *.example.org (all below it). Not set: all. Staff may invite others.",
    ),
    setting(
        "HALLPASS_EMAIL_DOMAINS_DENIED",
        "",
        "Domains of addresses that users may not register or change to, in the same form. They go before the allowed ones.",
    ),
    setting(
        "HALLPASS_VERIFY_EMAIL_PROOF",
        "required",
        "required: the mail's link also takes the registration token or the password. link: the link is enough.",
    ),
    setting(
        "HALLPASS_VERIFY_EMAIL_URL",
        "",
        "Page of your front end for the link of the verification mail, with {token}; of an app: myapp://verify/{token}. Not set: the built-in page.",
    ),
    setting(
        "HALLPASS_PASSWORD_RESET_URL",
        "",
        "Page of your front end for the link of the reset mail and of invitations, with {token}. Not set: the built-in page.",
    ),
    setting(
        "HALLPASS_NOT_ME_URL",
        "",
        "Page of your front end for the \"this was not me\" link of security notices, with {token}. Not set: the built-in page.",
    ),
    setting(
        "HALLPASS_SECURITY_NOTICES",
        "on",
        "on or off: mail about log-ins on new devices, changes of password and address, and stolen tokens. off: nobody can undo a change of the address.",
    ),
    setting(
        "HALLPASS_REAUTH_WINDOW",
        "5m",
        "How recent a log-in must be to stand in for the password at a change of password or address and at the deletion of the account, 0s to 15m.",
    ),
    setting(
        "HALLPASS_SOCIAL_RETURN_URLS",
        "",
        "Log-in at providers is in preparation: no endpoint uses the settings HALLPASS_SOCIAL_* yet, hallpass doctor checks them. Pages of front ends that a log-in at a provider may return to, separated by commas, compared whole: https://app.example.com/signed-in. Of an app: myapp://signed-in.",
    ),
    setting(
        "HALLPASS_SOCIAL_CALLBACK",
        "service",
        "Where a provider sends the browser: service (HALLPASS_PUBLIC_URL/v1/social/<provider>/callback, which redirects to the front end) or front-end (the page of HALLPASS_SOCIAL_RETURN_URLS itself, registered at the provider).",
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
        "Which addresses of that provider count as verified where it says so: on (all), off (none), or domains separated by commas. Accounts are linked by them. Not set: off.",
    ),
    setting(
        "HALLPASS_SOCIAL_OIDC_<NAME>_DISPLAY_NAME",
        "",
        "What users read on the button of that provider. Not set: the name.",
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
    secret(
        "HALLPASS_SMTP_URL",
        "smtps://USER:PASSWORD@HOST (TLS, 465), smtp://USER:PASSWORD@HOST (STARTTLS, 587), smtp://localhost:1025 (plain, loopback only). Not set: mail becomes files.",
    ),
    setting(
        "HALLPASS_SMTP_EHLO_NAME",
        "",
        "Name by which the service greets the mail server, a host name or an IP address. Not set: the host of HALLPASS_PUBLIC_URL.",
    ),
    setting(
        "HALLPASS_SMTP_CONNECTIONS",
        "4",
        "Connections of each instance to the mail server, 1 to 100. Each is used for many mails; mail to one domain leaves one of them to the others.",
    ),
    setting(
        "HALLPASS_SMTP_TIMEOUT",
        "90s",
        "How long the mail server may take to greet and to answer a command, 1s to 10m. The answer to a message may take 10 minutes.",
    ),
    setting("HALLPASS_MAIL_FROM", "Hallpass <hallpass@localhost>", "Sender of mail."),
    setting(
        "HALLPASS_MAIL_DIR",
        "./data/mail",
        "Folder for mail as .eml files, where no SMTP server is set. Not set: mail in the data folder.",
    ),
    setting(
        "HALLPASS_MAIL_TEMPLATES",
        "",
        "Folder with templates that replace built-in ones of the same relative path.",
    ),
    setting(
        "HALLPASS_CORS_ORIGINS",
        "",
        "Origins of browser front ends besides the service's own, separated by commas: https://app.example.com. Those of installed apps too: tauri://localhost, capacitor://localhost. Compared as a whole.",
    ),
    setting(
        "HALLPASS_CORS_HEADERS",
        "",
        "Request headers that pages of these origins may send besides the usual ones (content, conditions, tracing), separated by commas: x-client-version.",
    ),
    setting(
        "HALLPASS_COOKIE_SAMESITE",
        "strict",
        "strict, lax or none: with which requests from other sites browsers send the cookies. A front end on another site than the service needs none.",
    ),
    setting(
        "HALLPASS_TRUSTED_PROXIES",
        "",
        "Networks of reverse proxies, separated by commas: only from these do X-Forwarded-For, X-Request-Id and traceparent count. none: there is no proxy. Never everybody (0.0.0.0/0) in production.",
    ),
    setting(
        "HALLPASS_LIMITS",
        "on",
        "on, or off in development: how often log-ins, mails and refreshes may be tried.",
    ),
    setting(
        "HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK",
        "5/15m",
        "Wrong passwords for one name on one known device, or from one network: a number from 3 to 20 and a span from 1m to 1h.",
    ),
    setting(
        "HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT",
        "20/1h",
        "Wrong passwords for one name on all unknown devices together, 5 to 100 in 1m to 1h. Beyond it waits grow from 1 to 15 minutes.",
    ),
    setting(
        "HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE",
        "100",
        "Wrong passwords for one name in a row, 20 to 100, after which an unknown device needs a password reset by mail.",
    ),
    setting(
        "HALLPASS_LIMIT_NETWORK",
        "30/1m",
        "Log-ins from one network (/24 for IPv4, /64 for IPv6), and as many codes and links, 10 to 10000 in 1m to 1h. Raise it where many people share an address.",
    ),
    setting(
        "HALLPASS_LIMIT_REFRESH",
        "1200/1m",
        "Refreshes from one network, 60 to 100000 in 1m to 1h.",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_HOURLY",
        "3",
        "Requests from one network (/24, /48) for mails to one mailbox in an hour, 1 to 20. What follows a + in an address does not count.",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_DAILY",
        "10",
        "Requests for verification mails to one mailbox in a day, and as many for password resets, 1 to 100. One network gets half of it; the other half is kept for the first requests of other networks.",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_NETWORK",
        "20",
        "Requests from one network (/24, /64) for mails to any mailbox in an hour, 1 to 10000.",
    ),
    setting(
        "HALLPASS_LIMIT_MAIL_DOMAIN",
        "2000",
        "Verification mails to one domain in a day, and as many password resets, 10 to 10000000. Further requests are answered 429.",
    ),
    setting("HALLPASS_LIMIT_MAIL_TOTAL", "10000", "The same in all, 10 to 10000000."),
    setting(
        "HALLPASS_EVENT_RETENTION",
        "90d",
        "How long the audit trail remembers what happened to accounts, 1d to 2y.",
    ),
    setting("HALLPASS_DRF_JWT", "on", "on or off: the paths of django-rest-framework-jwt."),
    setting(
        "HALLPASS_DRF_JWT_PREFIX",
        "JWT",
        "The scheme of the Authorization header on those paths, as JWT_AUTH_HEADER_PREFIX of the Django site: JWT, Bearer, or both (JWT,Bearer).",
    ),
    setting(
        "HALLPASS_DRF_JWT_TTL",
        "5m",
        "Life of a token of those paths, as JWT_EXPIRATION_DELTA: 1s to 30d.",
    ),
    setting(
        "HALLPASS_DRF_JWT_REFRESH_TTL",
        "7d",
        "How long after the log-in such a token can be refreshed, as JWT_REFRESH_EXPIRATION_DELTA: 1s to 1y.",
    ),
    setting(
        "HALLPASS_WORKERS",
        "",
        "Threads that answer requests, 1 to 256. Not set: one for each core.",
    ),
    setting(
        "HALLPASS_MAX_CONNECTIONS",
        "8192",
        "Connections held at once, 16 to 100000; the next ones wait. Each costs 10 KiB, a hostile \
         one 130.",
    ),
    setting(
        "HALLPASS_KEEP_ALIVE",
        "75s",
        "How long an idle connection is kept open, 1s to 10m. Longer than the reverse proxy keeps it, so that the proxy closes it first.",
    ),
    setting(
        "HALLPASS_SHUTDOWN_DELAY",
        "",
        "How long the service goes on after SIGTERM or SIGHUP, with /readyz at 503, so that load balancers stop sending requests: 0s to 5m. Not set: 5s in production, 0s in development.",
    ),
    setting(
        "HALLPASS_SHUTDOWN_TIMEOUT",
        "10s",
        "How long requests in progress may take after that, 0s to 5m.",
    ),
    setting(
        "HALLPASS_LOG",
        "info",
        "What is logged: off, error, warn, info, debug or trace, or a filter of tracing that names a level for each target (info,hallpass::http=debug).",
    ),
    setting("HALLPASS_LOG_FORMAT", "text", "text or json."),
];

/// The text of `.env.example`.
pub fn example() -> String {
    let head = "# Every setting of Hallpass with its default. All are optional on a machine of your own.\n\
                # A secret can come from a file: set NAME_FILE to its path instead of NAME.\n\
                # A value with spaces stands in quotes, one with a $ or a \\ in single quotes: NAME='pa$$word'\n";
    SETTINGS.iter().fold(head.to_owned(), |text, setting| text + &example_of(setting))
}

fn example_of(Setting { name, default, secret, help }: &Setting) -> String {
    let twin = if *secret { format!(" Or {name}_FILE.") } else { String::new() };
    let quote = if default.contains(' ') { "\"" } else { "" };
    // A pattern of names is no line to uncomment.
    let mark = if name.contains('<') { "# " } else { "#" };
    format!("\n# {help}{twin}\n{mark}{name}={quote}{default}{quote}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_example_lists_every_setting() {
        let committed = include_str!("../../.env.example");
        assert_eq!(committed, example(), "write it anew: hallpass env-example > .env.example");
    }
}
