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
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS to the mail server cannot be set up: {error}"))?
        .with_root_certificates(trusted(ca)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn trusted(ca: Option<&Path>) -> Result<RootCertStore, String> {
    match ca {
        // Not beside the public authorities: each of them could certify another server.
        Some(path) => private_authority(path),
        None => Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "-----BEGIN CERTIFICATE-----
MIIBkzCCATmgAwIBAgIUDa+X9qCrRCsq/x+ZCoL6wFqyVXUwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTQSBwcml2YXRlIGF1dGhvcml0eTAgFw0yNjExMjkyMjE5NDJa
GA8yMTI2MTEwNTIyMTk0MlowHjEcMBoGA1UEAwwTQSBwcml2YXRlIGF1dGhvcml0
eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFGyGqyI1j13sW1YdhdDsY5sAizS
FPmbYT/NLLz20kvocOJPreswOPWceSSrePqVTG3m9FQl16iU6gLv3rwT4m2jUzBR
MB0GA1UdDgQWBBQlywox5y9sLDicmz4SAdSStfAMsDAfBgNVHSMEGDAWgBQlywox
5y9sLDicmz4SAdSStfAMsDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gA
MEUCIQCsJmWUBItoBXVOHx1eXyltWQP246O+hwjGZG9j6tYPKQIgNmc/S65iPdC1
+83oGGVtoqkqzjPaRhPiBJE/VwDTFhI=
-----END CERTIFICATE-----";

    #[test]
    fn a_private_authority_is_trusted_in_place_of_the_public_ones() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, PRIVATE).unwrap();
        let roots = trusted(Some(&file)).unwrap();
        let expected = CertificateDer::from_pem_slice(PRIVATE.as_bytes()).unwrap();
        let mut only_ours = RootCertStore::empty();
        only_ours.add(expected).unwrap();
        assert_eq!(roots.roots, only_ours.roots);
        assert!(trusted(None).unwrap().len() > 50);
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, "no certificate").unwrap();
        assert!(trusted(Some(&file)).unwrap_err().ends_with("holds no PEM certificate"));
        assert!(trusted(Some(&folder.path().join("none"))).is_err());
    }
}
