//! Database URL.

use std::path::Path;

use super::urls::is_this_machine;
use crate::config::source::Source;
use crate::store::{self, DatabaseUrl, PreparedStatements};

pub fn read_database(s: &mut Source, data_dir: &Path) -> DatabaseUrl {
    let file = DatabaseUrl::Sqlite(data_dir.join("hallpass.db"));
    let Some(text) = s.secret("DATABASE_URL") else { return file };
    match database_url(text.trim()) {
        Ok(url) => url,
        Err(advice) => {
            s.fault("DATABASE_URL", advice);
            file
        }
    }
}

pub fn read_prepared_statements(s: &mut Source) -> PreparedStatements {
    s.choice(
        "HALLPASS_DATABASE_PREPARED_STATEMENTS",
        PreparedStatements::UnlessPooled,
        &[
            ("auto", PreparedStatements::UnlessPooled),
            ("on", PreparedStatements::Always),
            ("off", PreparedStatements::Never),
        ],
    )
}

/// Parses a database URL whose connection is either local, verified by TLS, or explicitly without
/// it; else returns the advice.
pub fn database_url(text: &str) -> Result<DatabaseUrl, &'static str> {
    database_url_in(text, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })
}

/// [`database_url`] in an environment, from which libpq takes what the URL leaves out.
pub fn database_url_in(
    text: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<DatabaseUrl, &'static str> {
    let url = DatabaseUrl::parse(text)?;
    let has_tls = cfg!(feature = "postgres-tls");
    if !has_tls && url_parameter(text, "sslmode").is_some_and(|mode| needs_tls(&mode)) {
        return Err("asks for TLS, and this binary was built without it: build with \
                    --features postgres-tls and use sslmode=verify-full, or use sslmode=disable if the \
                    network may be trusted");
    }
    match sslmode_over_the_network(text, environment).as_deref() {
        None | Some("disable") => Ok(url),
        // The other modes accept any certificate, or none, and libpq's default is one of them.
        Some("verify-full") if has_tls => Ok(url),
        Some("require") if has_tls => {
            Err("has sslmode=require, which takes any certificate: use sslmode=verify-full, with \
             sslrootcert=system or the file of your authority")
        }
        Some(_) if has_tls => Err(
            "names a server on another machine (PGHOST, PGHOSTADDR and PGSERVICE count too): add \
             ?sslmode=verify-full&sslrootcert=system, so that its certificate is checked, or \
             ?sslmode=disable if the network may be trusted",
        ),
        Some(_) => Err(
            "names a server on another machine (PGHOST, PGHOSTADDR and PGSERVICE count too), and this \
             binary was built without TLS: build with --features postgres-tls and add \
             ?sslmode=verify-full, or add ?sslmode=disable if the network may be trusted",
        ),
    }
}

/// Returns the `sslmode` of a Postgres URL that leads to another machine, empty where it has none;
/// `None` if the connection stays on this machine.
fn sslmode_over_the_network(
    text: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    if !text.starts_with("postgres") {
        return None;
    }
    let parameter = |name: &str| url_parameter(text, name);
    let inherited = |name: &str| environment(name).filter(|value| !value.is_empty());
    let in_authority = || {
        let hosts: Vec<&str> = store::hosts(text).split(',').map(store::without_port).collect();
        Some(hosts.join(",")).filter(|hosts| !hosts.is_empty())
    };
    // An address counts before a name, wherever it comes from.
    let hosts = parameter("hostaddr")
        .or_else(|| inherited("PGHOSTADDR"))
        .or_else(|| parameter("host"))
        .or_else(in_authority)
        .or_else(|| inherited("PGHOST"))
        .unwrap_or_default();
    // A service may have an address of its own in a file.
    let is_service = parameter("service").or_else(|| inherited("PGSERVICE")).is_some();
    // Each of several hosts counts: any of them may answer.
    let stays = !is_service
        && hosts.split(',').all(|host| {
            let host = percent_encoding::percent_decode_str(host).decode_utf8_lossy();
            host.is_empty() || host.starts_with('/') || is_this_machine(&host)
        });
    // libpq's default where the authorities of the machine are used.
    let is_system = || parameter("sslrootcert").is_some_and(|it| it == "system");
    let default = || if is_system() { "verify-full".to_owned() } else { String::new() };
    if stays { None } else { Some(parameter("sslmode").unwrap_or_else(default)) }
}

/// Returns a parameter of a URL. Of two values libpq takes the last.
fn url_parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pairs = form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(key, _)| key == name).last().map(|(_, value)| value.into_owned())
}

/// Returns whether libpq refuses the mode where it was built without TLS, wherever the server is.
fn needs_tls(sslmode: &str) -> bool {
    matches!(sslmode, "require" | "verify-ca" | "verify-full")
}
