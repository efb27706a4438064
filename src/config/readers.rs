//! Settings that take more than a parse: what each may be, and what would be right.

use std::net::{IpAddr, SocketAddr};

use url::Url;

use super::{SecretText, Source};
use crate::mail::smtp_url::SmtpSettings;
use crate::store::DatabaseUrl;

/// The shortest secret outside development, in bytes.
const MIN_SECRET_LENGTH: usize = 32;

pub(super) fn read_database(s: &mut Source, data_dir: &std::path::Path) -> DatabaseUrl {
    let file = DatabaseUrl::Sqlite(data_dir.join("hallpass.db"));
    let Some(text) = s.secret("DATABASE_URL") else { return file };
    let url = match DatabaseUrl::parse(&text) {
        Ok(url) => url,
        Err(advice) => {
            s.fault("DATABASE_URL", advice);
            return file;
        }
    };
    if !cfg!(feature = "postgres-tls") && leaves_the_machine_in_clear(&text) {
        s.fault(
            "DATABASE_URL",
            "names a server on another machine, and this binary was built without TLS: build with \
             --features postgres-tls, or add ?sslmode=disable if the network may be trusted",
        );
    }
    url
}

/// Whether a Postgres URL leads to another machine without saying that clear text is fine.
fn leaves_the_machine_in_clear(text: &str) -> bool {
    if !text.starts_with("postgres") {
        return false;
    }
    // Several hosts, say: what cannot be read here may lead anywhere.
    let Ok(url) = Url::parse(text) else { return true };
    let parameter = |name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let hosts = parameter("hostaddr")
        .or_else(|| parameter("host"))
        .or_else(|| url.host_str().map(str::to_owned))
        .unwrap_or_default();
    let stays = hosts.split(',').all(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = percent_encoding::percent_decode_str(host).decode_utf8_lossy();
        host.is_empty()
            || host.starts_with('/')
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    !stays && parameter("sslmode").as_deref() != Some("disable")
}

pub(super) fn read_secret(s: &mut Source, name: &str, development: bool) -> Option<SecretText> {
    let secret = s.secret(name)?;
    if secret.is_empty() {
        s.fault(name, "is empty");
    } else if !development && secret.len() < MIN_SECRET_LENGTH {
        s.fault(name, format!("must have at least {MIN_SECRET_LENGTH} bytes outside development"));
    }
    Some(secret.into())
}

pub(super) fn read_public_url(s: &mut Source, bind: SocketAddr, development: bool) -> String {
    // Nobody can call an address that stands for all of them.
    let mut own = bind;
    if own.ip().is_unspecified() {
        own.set_ip(IpAddr::from([127, 0, 0, 1]));
    }
    let own = format!("http://{own}");
    let Some(text) = s.text("HALLPASS_PUBLIC_URL") else {
        if !development {
            s.fault(
                "HALLPASS_PUBLIC_URL",
                "is required outside development (HALLPASS_ENV=development, or bound to loopback): https://auth.example.com",
            );
        }
        return own;
    };
    let advice = match Url::parse(&text) {
        Err(_) => "must be an URL such as https://auth.example.com",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            "must begin with https:// or http://"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() || url.path().len() > 1 => {
            "must be an origin only: no path, query or fragment"
        }
        Ok(url) if url.scheme() == "http" && !development => "must be https outside development",
        Ok(url) => return url.origin().ascii_serialization(),
    };
    s.fault("HALLPASS_PUBLIC_URL", advice);
    own
}

/// The address of a page of the front end; `{token}` is where the token goes.
pub(super) fn read_page(s: &mut Source, name: &str) -> Option<String> {
    let text = s.text(name)?;
    let fits = text.matches("{token}").count() == 1
        && Url::parse(&text.replace("{token}", "t"))
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !fits {
        s.fault(name, "must be an URL with {token}: https://app.example.com/verify#{token}");
    }
    Some(text)
}

pub(super) fn read_smtp(s: &mut Source) -> Option<SmtpSettings> {
    let text = s.secret("HALLPASS_SMTP_URL")?;
    SmtpSettings::parse(&text).map_err(|advice| s.fault("HALLPASS_SMTP_URL", advice)).ok()
}

/// Settings of the contract whose effect comes with a later version. They are checked all the
/// same, so that nothing has to change then.
pub(super) fn check_settings_to_come(s: &mut Source, development: bool) {
    read_page(s, "HALLPASS_PASSWORD_RESET_URL");
    s.parsed("HALLPASS_TRUSTED_PROXIES", (), |text| {
        let is_network =
            |part: &str| part.parse::<ipnet::IpNet>().is_ok() || part.parse::<IpAddr>().is_ok();
        if text.split(',').map(str::trim).all(is_network) {
            Ok(())
        } else {
            Err("must be networks separated by commas: 10.0.0.0/8, 192.0.2.7".to_owned())
        }
    });
    s.parsed("HALLPASS_CORS_ORIGINS", (), |text| {
        let is_origin = |part: &str| {
            Url::parse(part).is_ok_and(|url| url.origin().ascii_serialization() == part)
        };
        if text.split(',').map(str::trim).all(is_origin) {
            Ok(())
        } else {
            Err("must be origins separated by commas: https://app.example.com".to_owned())
        }
    });
    if !s.choice("HALLPASS_LIMITS", true, &[("on", true), ("off", false)]) && !development {
        s.fault("HALLPASS_LIMITS", "may be off in development only");
    }
}

/// Which of them are set all the same, so that nobody relies on them.
pub(super) fn settings_without_effect(s: &mut Source) -> Vec<&'static str> {
    ["HALLPASS_PASSWORD_RESET_URL", "HALLPASS_CORS_ORIGINS", "HALLPASS_TRUSTED_PROXIES"]
        .into_iter()
        .filter(|name| s.text(name).is_some())
        .collect()
}
