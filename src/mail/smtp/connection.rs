//! One SMTP session (RFC 5321): connect, protect, log in, hand over mails one after the other.

use std::{
    future::Future,
    io,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use lettre::address::Envelope;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, pki_types::ServerName},
};

use super::judgement::{Step, judge};
use super::reply::{Reply, ReplyError};
use crate::jobs::Progress;
use crate::mail::outgoing::{Affects, SendError, Verdict};
use crate::mail::smtp::settings::{Login, Security, SmtpSettings};

/// Longest wait for one IP address of the host, so that another one gets its chance.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the answer to RSET; a new session is as good.
const RESET_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the answer to QUIT, when all that mattered is done.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

type Result<T> = std::result::Result<T, SendError>;

/// TCP, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Extensions that the server offers (RFC 5321 section 4.1.1.1). Keywords have no case.
#[derive(Debug, Default)]
struct Extensions {
    starttls: bool,
    auth_plain: bool,
    auth_login: bool,
}

impl Extensions {
    fn of(reply: &Reply) -> Self {
        let mut found = Self::default();
        // The first line is the name of the server.
        for line in reply.lines.iter().skip(1) {
            // "AUTH=PLAIN" is how servers of the last century say it.
            let line = line.to_ascii_uppercase().replace('=', " ");
            let mut words = line.split_whitespace();
            match words.next() {
                Some("STARTTLS") => found.starttls = true,
                Some("AUTH") => {
                    for mechanism in words {
                        found.auth_plain |= mechanism == "PLAIN";
                        found.auth_login |= mechanism == "LOGIN";
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// An open session, ready for the next mail.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    extensions: Extensions,
    command_timeout: Duration,
    content_timeout: Duration,
    /// True if an answer is missing, so that nothing more can be said in order.
    is_broken: bool,
    /// The number of mails that the server accepted in this session.
    pub accepted: u32,
    /// When it was last of use.
    pub idle_since: Instant,
}

impl Connection {
    /// Connects, protects the connection and logs in.
    pub(super) async fn open(settings: &SmtpSettings, tls: &TlsConnector) -> Result<Self> {
        let tcp = tcp(settings).await?;
        let mut stream: Box<dyn Stream> = Box::new(tcp);
        if settings.security == Security::ImplicitTls {
            stream = protect(stream, settings, tls).await?;
        }
        let mut connection = Self::over(stream, settings);
        connection.greeting().await?;
        connection.hello(settings).await?;
        if settings.security == Security::StartTls {
            let stream = connection.start_tls(settings, tls).await?;
            connection = Self::over(stream, settings);
            connection.hello(settings).await?;
        }
        if let Some(login) = &settings.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    fn over(stream: Box<dyn Stream>, settings: &SmtpSettings) -> Self {
        Self {
            stream: BufReader::new(stream),
            extensions: Extensions::default(),
            command_timeout: settings.command_timeout,
            content_timeout: settings.content_timeout,
            is_broken: false,
            accepted: 0,
            idle_since: Instant::now(),
        }
    }

    async fn hello(&mut self, settings: &SmtpSettings) -> Result<()> {
        let name = &settings.ehlo_name;
        let reply = self.ask(Step::Hello, &format!("EHLO {name}")).await?;
        // A server that does not know EHLO knows HELO, and no extension (RFC 5321 section 3.2). Some say
        // so by codes that can mean the name too: that HELO has no extension would hide this fault.
        let needs_extensions = settings.security == Security::StartTls || settings.login.is_some();
        let is_unknown = matches!(reply.code, 500 | 502);
        if is_unknown || (matches!(reply.code, 504 | 550) && !needs_extensions) {
            self.command(Step::Hello, &format!("HELO {name}")).await?;
        } else {
            self.extensions = Extensions::of(&self.positive(Step::Hello, reply)?);
        }
        Ok(())
    }

    async fn start_tls(
        mut self,
        settings: &SmtpSettings,
        tls: &TlsConnector,
    ) -> Result<Box<dyn Stream>> {
        if !self.extensions.starttls {
            return Err(configuration("the mail server offers no STARTTLS: see HALLPASS_SMTP_URL"));
        }
        self.command(Step::StartTls, "STARTTLS").await?;
        // An attacker on the line can add replies to the packet that accepts STARTTLS. Kept over
        // the change to TLS, they would count as the server's (CVE-2011-0411).
        if !self.stream.buffer().is_empty() {
            return Err(configuration("something came between STARTTLS and TLS"));
        }
        protect(self.stream.into_inner(), settings, tls).await
    }

    async fn log_in(&mut self, Login { user, password }: &Login) -> Result<()> {
        let step = Step::LogIn;
        if self.extensions.auth_plain {
            let secret = BASE64.encode(format!("\0{user}\0{password}"));
            let mut reply = self.ask(step, &format!("AUTH PLAIN {secret}")).await?;
            if reply.code == 334 {
                reply = self.ask(step, &secret).await?;
            }
            // 504: the mechanism that was offered is not there.
            if reply.code != 504 || !self.extensions.auth_login {
                return self.positive(step, reply).map(drop);
            }
        }
        if !self.extensions.auth_login {
            let text = "the mail server offers neither AUTH PLAIN nor LOGIN: see HALLPASS_SMTP_URL";
            return Err(configuration(text));
        }
        // The prompts come in this order, whatever their text.
        let mut reply = self.ask(step, "AUTH LOGIN").await?;
        for answer in [user, password] {
            if reply.code == 334 {
                reply = self.ask(step, &BASE64.encode(answer)).await?;
            }
        }
        self.positive(step, reply).map(drop)
    }

    /// Hands over one mail. The error tells the step at which it was refused.
    pub(super) async fn deliver(
        &mut self,
        envelope: &Envelope,
        message: &[u8],
        progress: &Progress,
    ) -> std::result::Result<(), (Step, SendError)> {
        let at = |step: Step| move |error| (step, error);
        let sender: &str = envelope.from().map(AsRef::as_ref).unwrap_or_default();
        let mail = format!("MAIL FROM:<{sender}>");
        self.command(Step::Sender, &mail).await.map_err(at(Step::Sender))?;
        for recipient in envelope.to() {
            let rcpt = format!("RCPT TO:<{recipient}>");
            self.command(Step::Recipient, &rcpt).await.map_err(at(Step::Recipient))?;
        }
        self.begin_data().await.map_err(at(Step::Data))?;
        self.content(message, progress).await.map_err(at(Step::Content))?;
        self.accepted += 1;
        self.idle_since = Instant::now();
        Ok(())
    }

    async fn begin_data(&mut self) -> Result<()> {
        let reply = self.ask(Step::Data, "DATA").await?;
        // RFC 5321 names 354; what counts is the first digit (section 4.2.1).
        if reply.is_intermediate() { Ok(()) } else { Err(self.refusal(Step::Data, &reply)) }
    }

    async fn content(&mut self, message: &[u8], progress: &Progress) -> Result<()> {
        let limit = self.content_timeout;
        self.write(Step::Content, &stuffed(message), limit).await?;
        // From here on the server may have accepted the mail, whatever happens.
        progress.note(true);
        let ended = async {
            self.write(Step::Content, b".\r\n", limit).await?;
            self.read(Step::Content, limit).await
        };
        let reply = ended.await.map_err(unconfirmed)?;
        // Neither accepted nor refused.
        if reply.is_intermediate() {
            return Err(unconfirmed(self.refusal(Step::Content, &reply)));
        }
        progress.note(false);
        self.positive(Step::Content, reply).map(drop)
    }

    /// Makes the session ready for another mail after a refusal. Returns whether it is.
    pub(super) async fn reset(&mut self) -> bool {
        self.idle_since = Instant::now();
        !self.is_broken
            && matches!(
                timeout(RESET_TIMEOUT, self.command(Step::Sender, "RSET")).await,
                Ok(Ok(()))
            )
    }

    /// Asks whether the server is still there.
    pub(super) async fn noop(&mut self) -> Result<()> {
        self.command(Step::Greeting, "NOOP").await
    }

    /// Ends the session.
    pub(super) async fn quit(mut self) {
        if !self.is_broken {
            // Nothing depends on the answer.
            let _ = timeout(QUIT_TIMEOUT, self.ask(Step::Content, "QUIT")).await;
        }
    }

    async fn command(&mut self, step: Step, line: &str) -> Result<()> {
        let reply = self.ask(step, line).await?;
        self.positive(step, reply).map(drop)
    }

    async fn ask(&mut self, step: Step, line: &str) -> Result<Reply> {
        let limit = self.command_timeout;
        self.write(step, format!("{line}\r\n").as_bytes(), limit).await?;
        self.read(step, limit).await
    }

    async fn greeting(&mut self) -> Result<()> {
        let reply = self.read(Step::Greeting, self.command_timeout).await?;
        self.positive(Step::Greeting, reply).map(drop)
    }

    fn positive(&mut self, step: Step, reply: Reply) -> Result<Reply> {
        if reply.is_positive() { Ok(reply) } else { Err(self.refusal(step, &reply)) }
    }

    fn refusal(&mut self, step: Step, reply: &Reply) -> SendError {
        // The server closes after 421, and after 2yz or 3yz out of place who is to speak is open.
        self.is_broken |= reply.code == 421 || reply.code < 400;
        judge(step, reply)
    }

    async fn write(&mut self, step: Step, bytes: &[u8], limit: Duration) -> Result<()> {
        let work = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let written = within(limit, step, work).await;
        let written = written.and_then(|it| it.map_err(|error| lost(step, &error)));
        written.inspect_err(|_| self.is_broken = true)
    }

    async fn read(&mut self, step: Step, limit: Duration) -> Result<Reply> {
        let reply = within(limit, step, Reply::read(&mut self.stream)).await;
        let reply = reply.and_then(|it| {
            it.map_err(|error| match error {
                ReplyError::Lost(error) => lost(step, &error),
                ReplyError::Garbled => {
                    let about = step.name();
                    temporary(format!("the mail server's answer to {about} cannot be read"))
                }
            })
        });
        reply.inspect_err(|_| self.is_broken = true)
    }
}

/// Connects to the first address of the host that answers.
async fn tcp(settings: &SmtpSettings) -> Result<TcpStream> {
    let limit = settings.command_timeout;
    let connecting = async {
        let mut error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in lookup_host((settings.host.as_str(), settings.port)).await? {
            let patience = ADDRESS_TIMEOUT.min(limit / 2);
            match timeout(patience, TcpStream::connect(address)).await {
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
        .map_err(|error| temporary(format!("connecting: {error}")))
}

async fn protect(
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
        Err(error) if is_of_tls(&error) => Err(configuration(&format!("TLS: {error}"))),
        Err(error) => Err(temporary(format!("TLS: {error}"))),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn is_of_tls(error: &io::Error) -> bool {
    tls_error(error).is_some()
}

/// True if the first bytes from the server are no TLS record, such as a greeting in plain text.
fn is_no_tls(error: &io::Error) -> bool {
    matches!(
        tls_error(error),
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType))
    )
}

async fn within<T>(limit: Duration, step: Step, work: impl Future<Output = T>) -> Result<T> {
    timeout(limit, work).await.map_err(|_| SendError {
        verdict: Verdict::Temporary,
        // What takes long behind the recipient is the way to this recipient.
        affects: if step >= Step::Recipient { Affects::Domain } else { Affects::Unknown },
        text: format!("the mail server did not answer {} in time", step.name()),
    })
}

/// The error of a mail that the server may have accepted.
fn unconfirmed(error: SendError) -> SendError {
    SendError {
        verdict: Verdict::Unconfirmed,
        text: format!("{}; it may have been accepted", error.text),
        ..error
    }
}

fn lost(step: Step, error: &io::Error) -> SendError {
    temporary(format!("the connection broke at {}: {error}", step.name()))
}

fn temporary(text: String) -> SendError {
    SendError { verdict: Verdict::Temporary, affects: Affects::Unknown, text }
}

fn configuration(text: &str) -> SendError {
    let (verdict, affects) = (Verdict::Configuration, Affects::Server);
    SendError { verdict, affects, text: text.to_owned() }
}

/// The message with CRLF at the end of each line and a dot more before each that begins with one
/// (RFC 5321 section 4.5.2).
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 64);
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    for line in message.split(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_crlf_and_dots_are_doubled() {
        for (message, on_the_wire) in [
            (&b"a\r\nb\r\n"[..], &b"a\r\nb\r\n"[..]),
            (b"a\nb", b"a\r\nb\r\n"),
            (b".\r\n..\r\n.a", b"..\r\n...\r\n..a\r\n"),
            (b"a\r\n\r\n", b"a\r\n\r\n"),
        ] {
            assert_eq!(stuffed(message), on_the_wire);
        }
    }

    #[test]
    fn keywords_have_no_case() {
        let lines = ["relay at 1", "Starttls", "size 1000", "auth=Login", "Auth plain XOAUTH2"];
        let reply = Reply { code: 250, lines: lines.map(str::to_owned).to_vec() };
        let found = Extensions::of(&reply);
        assert!(found.starttls && found.auth_plain && found.auth_login, "{found:?}");
        let reply = Reply { code: 250, lines: vec!["STARTTLS".to_owned()] };
        assert!(!Extensions::of(&reply).starttls, "the first line is a name");
    }
}
