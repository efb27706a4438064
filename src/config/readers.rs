//! Settings that take more than a parse: what each may be, and what would be right.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
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
    if let Err(advice) = may_connect(&url) {
        s.fault("DATABASE_URL", advice);
    }
    url
}

/// Whether what goes to this database is safe on its way, or the URL says that it need not be.
pub fn may_connect(url: &DatabaseUrl) -> Result<(), &'static str> {
    match url {
        DatabaseUrl::Postgres(text)
            if !cfg!(feature = "postgres-tls") && leaves_the_machine_in_clear(text) =>
        {
            Err("names a server on another machine, and this binary was built without TLS: build \
                 with --features postgres-tls, or add ?sslmode=disable if the network may be trusted")
        }
        _ => Ok(()),
    }
}

/// Whether a Postgres URL leads to another machine without saying that clear text is fine.
fn leaves_the_machine_in_clear(text: &str) -> bool {
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

/// Addresses or networks, separated by commas.
pub(super) fn read_networks(s: &mut Source, name: &str) -> Vec<IpNet> {
    let network = |part: &str| {
        part.parse::<IpNet>().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from))
    };
    s.parsed(name, Vec::new(), |text| {
        let networks: Option<Vec<IpNet>> = text.split(',').map(str::trim).map(network).collect();
        networks
            .ok_or_else(|| "must be networks separated by commas: 10.0.0.0/8, 192.0.2.7".to_owned())
    })
}

/// Origins as browsers spell them, separated by commas. What could stand for more than one origin,
/// or for none (`*`, `null`), is no origin.
pub(super) fn read_origins(s: &mut Source, development: bool) -> Vec<String> {
    let origin = |part: &str| {
        let same = |url: &Url| url.origin().ascii_serialization() == part && !part.contains('*');
        Url::parse(part).ok().filter(same).map(|_| part.to_owned())
    };
    let origins = s.parsed("HALLPASS_CORS_ORIGINS", Vec::new(), |text| {
        let origins: Option<Vec<String>> = text.split(',').map(str::trim).map(origin).collect();
        origins.ok_or_else(|| {
            "must be origins separated by commas: https://app.example.com".to_owned()
        })
    });
    if !development && origins.iter().any(|origin| !origin.starts_with("https://")) {
        s.fault("HALLPASS_CORS_ORIGINS", "must be https outside development");
    }
    origins
}

/// The limits come with a later version. The setting is checked all the same, so that nothing has
/// to change then.
pub(super) fn check_limits(s: &mut Source, development: bool) {
    if !s.choice("HALLPASS_LIMITS", true, &[("on", true), ("off", false)]) && !development {
        s.fault("HALLPASS_LIMITS", "may be off in development only");
    }
}
