//! TLS to the mail server: trusted certificate authorities.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs::default_provider,
        pki_types::{CertificateDer, pem::PemObject as _},
    },
};

/// Returns a connector that trusts the private certificate authority of this file, or the public
/// ones.
pub(super) fn connector(ca: Option<&Path>) -> Result<TlsConnector, String> {
    let roots = match ca {
        // Not beside the public authorities: each of them could certify another server.
        Some(path) => private_authority(path)?,
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS to the mail server cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn private_authority(path: &Path) -> Result<RootCertStore, String> {
    let shown = path.display();
    let pem = fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let broken = || format!("{shown} holds a broken PEM certificate");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|_| broken())?).map_err(|_| broken())?;
    }
    // Any other file parses as an empty list of certificates.
    if roots.is_empty() {
        return Err(format!("{shown} holds no PEM certificate"));
    }
    Ok(roots)
}
