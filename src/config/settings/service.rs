//! Settings of the service as a whole: database, secrets, connections, shutdown and log.

use super::setting::{Setting, secret, setting};

/// Database, environment, secrets and name of the service.
pub(super) const SERVICE: &[Setting] = &[
    setting("HALLPASS_BIND", "127.0.0.1:8000", "Address and port to listen on."),
    setting(
        "HALLPASS_DATA_DIR",
        "./data",
        "Folder of the SQLite file, of the secret generated in development, and of mail as files.",
    ),
    secret(
        "DATABASE_URL",
        "postgres://USER:PASSWORD@HOST/DATABASE or sqlite://PATH. In a password @ is written %40, / %2F, # %23, ? %3F, % %25. A server on another machine needs ?sslmode=verify-full (with sslrootcert=system or a file), or disable in a trusted network. Not set: hallpass.db in the data folder.",
    ),
    setting("HALLPASS_DATABASE_POOL", "10", "Connections to the database, 1 to 200."),
    setting(
        "HALLPASS_DATABASE_PREPARED_STATEMENTS",
        "auto",
        "on, or off behind a pooler in transaction mode (PgBouncer), which loses them between two transactions. auto: off where a pooler is recognised, because it refuses or ignores a start-up option.",
    ),
    setting(
        "HALLPASS_ENV",
        "",
        "development or production. Not set: development while bound to a loopback address, else production. Unsafe settings are refused in production.",
    ),
    setting(
        "HALLPASS_PUBLIC_URL",
        "",
        "URL of the service as clients see it: issuer of tokens, prefix of links. Not set in development: http:// and the bound address.",
    ),
    secret(
        "HALLPASS_SECRET",
        "At least 32 bytes, the same for all instances. Seals the signing keys; everything else is derived from it. Required in production; in development it is generated in the data folder.",
    ),
    secret(
        "HALLPASS_SECRET_PREVIOUS",
        "A second secret that is accepted while HALLPASS_SECRET is replaced: the previous or the next one. docs/operations.md describes the steps.",
    ),
    setting("HALLPASS_SERVICE_NAME", "Hallpass", "Name of the service in mail and pages."),
];

/// Threads, connections, shutdown and log.
pub(super) const PROCESS: &[Setting] = &[
    setting(
        "HALLPASS_WORKERS",
        "",
        "Threads that answer requests, 1 to 256. Not set: one for each core.",
    ),
    setting(
        "HALLPASS_MAX_CONNECTIONS",
        "8192",
        "Connections held at once, 16 to 100000; the next ones wait. Each costs 12 KiB, an idle one \
         2, a hostile one 130.",
    ),
    setting(
        "HALLPASS_KEEP_ALIVE",
        "75s",
        "Time for which an idle connection is kept open, 1s to 10m. It should be longer than that of the reverse proxy, so that the proxy closes it first.",
    ),
    setting(
        "HALLPASS_SHUTDOWN_DELAY",
        "",
        "Time for which the service continues after SIGTERM or SIGHUP, with /readyz at 503, so that load balancers stop sending requests: 0s to 5m. Not set: 5s in production, 0s in development.",
    ),
    setting(
        "HALLPASS_SHUTDOWN_TIMEOUT",
        "10s",
        "Time for requests in progress after that, 0s to 5m.",
    ),
    setting(
        "HALLPASS_LOG",
        "info",
        "Level of the log: off, error, warn, info, debug or trace, or a filter of tracing with a level for each target (info,hallpass::http=debug). Not set: commands other than serve log from warn.",
    ),
    setting("HALLPASS_LOG_FORMAT", "text", "Format of the log: text or json."),
];
