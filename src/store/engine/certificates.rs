//! `sslrootcert=system`: the certificate authorities that this machine trusts.

use crate::store::Result;

/// Replaces `system` by the certificate file of this machine. libpq would ask OpenSSL, which looks
/// in the folder that it was built with.
#[cfg(feature = "postgres-tls")]
pub(crate) fn with_system_certificates(url: &str) -> Result<String> {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use crate::store::Error;

    let Some((address, query)) = url.split_once('?') else { return Ok(url.to_owned()) };
    let (system, mut pairs): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|pair| *pair == "sslrootcert=system");
    if system.is_empty() {
        return Ok(url.to_owned());
    }
    let fault = |cause: &str| Error::Unavailable(format!("sslrootcert=system: {cause}"));
    // As in libpq: an attacker can have a certificate of a public authority for a name of their
    // own.
    if pairs.iter().any(|pair| pair.starts_with("sslmode=") && *pair != "sslmode=verify-full") {
        return Err(fault("needs sslmode=verify-full"));
    }
    pairs.retain(|pair| !pair.starts_with("sslmode="));
    let file = openssl_probe::probe().cert_file;
    let file = file.as_deref().and_then(std::path::Path::to_str).ok_or_else(|| {
        fault("this machine has no file of trusted certificates (Debian: ca-certificates)")
    })?;
    let file = utf8_percent_encode(file, NON_ALPHANUMERIC).to_string();
    let own = [String::from("sslmode=verify-full"), format!("sslrootcert={file}")];
    pairs.extend(own.iter().map(String::as_str));
    Ok(format!("{address}?{}", pairs.join("&")))
}

/// Leaves the URL as it is: a build without TLS has no certificates, and libpq reports that.
#[cfg(not(feature = "postgres-tls"))]
#[expect(clippy::unnecessary_wraps, reason = "with TLS it can fail")]
pub(crate) fn with_system_certificates(url: &str) -> Result<String> {
    Ok(url.to_owned())
}
