//! The TCP connection to the mail server and its protection, and errors of both.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, CertificateError, pki_types::ServerName};

use super::classification::Step;
use crate::mail::envelope::{FailureClass, FailureScope, SendError};
use crate::mail::smtp::settings::SmtpSettings;

/// Longest wait for one IP address of the host, before the next one is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Result<T> = std::result::Result<T, SendError>;

/// TCP with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to the first reachable IP address of the host.
pub(super) async fn tcp(settings: &SmtpSettings) -> Result<TcpStream> {
    let limit = settings.command_timeout;
    let connecting = async {
        let mut error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in lookup_host((settings.host.as_str(), settings.port)).await? {
            let limit = ADDRESS_TIMEOUT.min(limit / 2);
            match timeout(limit, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(refused)) => error = refused,
                Err(_) => error = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(error)
    };
    let stream = within(limit, Step::Greeting, connecting).await?;
    stream
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        .map_err(|error| transient(format!("connecting: {error}")))
}

/// Begins TLS and verifies the certificate for the host of the settings.
pub(super) async fn protect(
    stream: Box<dyn Stream>,
    settings: &SmtpSettings,
    tls: &TlsConnector,
) -> Result<Box<dyn Stream>> {
    let name = ServerName::try_from(settings.host.clone())
        .map_err(|_| configuration("TLS needs a host name: see HALLPASS_SMTP_URL"))?;
    let work = tls.connect(name, stream);
    match within(settings.command_timeout, Step::StartTls, work).await? {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) if is_no_tls(&error) => Err(configuration(
            "TLS: the mail server answers without TLS on this port: see HALLPASS_SMTP_URL (smtps:// is \
             TLS from the start, usually port 465; smtp:// is STARTTLS, usually port 587)",
        )),
        Err(error) if tls_error(&error).is_some() => {
            let advice = advice(&error).map_or(String::new(), |advice| format!(". {advice}"));
            Err(configuration(&format!("TLS: {error}{advice}")))
        }
        Err(error) => Err(transient(format!("TLS: {error}"))),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Returns what to do about a certificate that is refused, where the error does not say it.
fn advice(error: &io::Error) -> Option<&'static str> {
    let Some(rustls::Error::InvalidCertificate(cause)) = tls_error(error) else { return None };
    match cause {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
            "No certificate authority that is trusted has signed it: if a private one has, name its file \
             with ?ca= in HALLPASS_SMTP_URL",
        ),
        // An error of rustls-webpki, which is no direct dependency: a second version of it would
        // compile and never be found. Its text is the name of the variant.
        CertificateError::Other(cause) if cause.to_string() == "CaUsedAsEndEntity" => Some(
            "The mail server presents the certificate of an authority (CA:TRUE), as self-signed ones are \
             by default, and TLS accepts none for a server, not even with ?ca= in HALLPASS_SMTP_URL: give \
             the server a certificate with CA:FALSE, and name the file of the one that signed it, or its \
             own if it is self-signed, with ?ca=",
        ),
        _ => None,
    }
}

/// Returns whether the first bytes from the server are not a TLS record, such as a greeting in
/// plain text.
fn is_no_tls(error: &io::Error) -> bool {
    matches!(
        tls_error(error),
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType))
    )
}

/// Limits the time of `work`, which waits for the reply at `step`.
pub(super) async fn within<T>(
    limit: Duration,
    step: Step,
    work: impl Future<Output = T>,
) -> Result<T> {
    timeout(limit, work).await.map_err(|_| SendError {
        class: FailureClass::Transient,
        // From the recipient on, delays are those of its domain.
        scope: if step >= Step::Recipient { FailureScope::Domain } else { FailureScope::Unknown },
        text: format!("the mail server did not answer {} in time", step.name()),
    })
}

pub(super) fn lost(step: Step, error: &io::Error) -> SendError {
    transient(format!("the connection broke at {}: {error}", step.name()))
}

pub(super) fn transient(text: String) -> SendError {
    SendError { class: FailureClass::Transient, scope: FailureScope::Unknown, text }
}

pub(super) fn configuration(text: &str) -> SendError {
    let (class, scope) = (FailureClass::Configuration, FailureScope::Server);
    SendError { class, scope, text: text.to_owned() }
}
