//! One SMTP session (RFC 5321): connects, begins TLS, logs in, and sends mails one after the other.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use lettre::address::Envelope;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::classification::{Step, classify};
use super::dial::{Result, Stream, configuration, lost, protect, tcp, transient, within};
use super::extensions::Extensions;
use super::reply::{Reply, ReplyError};
use crate::jobs::{Progress, Stage};
use crate::mail::envelope::{FailureClass, SendError};
use crate::mail::smtp::settings::{Login, Security, SmtpSettings};

/// Longest wait for the reply to RSET. A new session does as well.
const RESET_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the reply to QUIT, on which nothing depends.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// An open session between two mails.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    extensions: Extensions,
    command_timeout: Duration,
    content_timeout: Duration,
    /// True if a reply is missing, so that further replies could not be assigned.
    is_broken: bool,
    /// Number of mails that the server accepted in this session.
    pub accepted: u32,
    /// Time from the recipient to the reply to DATA of the last mail.
    pub prepared_in: Duration,
    /// Time of the last use.
    pub idle_since: Instant,
}

impl Connection {
    /// Connects, begins TLS where the settings ask for it, and logs in.
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
            prepared_in: Duration::ZERO,
            idle_since: Instant::now(),
        }
    }

    async fn hello(&mut self, settings: &SmtpSettings) -> Result<()> {
        let name = &settings.ehlo_name;
        let reply = self.ask(Step::Hello, &format!("EHLO {name}")).await?;
        // Servers without EHLO know HELO and no extensions (RFC 5321 section 3.2). Some reply with
        // codes that can also concern the name. If extensions are needed, that reply is the error
        // to report: after HELO, the missing extension would hide it.
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
        // An attacker in the middle can add replies to the packet that accepts STARTTLS. After the
        // change to TLS they would count as those of the server (CVE-2011-0411).
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
            // 504: the server offers the mechanism without supporting it.
            if reply.code != 504 || !self.extensions.auth_login {
                return self.positive(step, reply).map(drop);
            }
        }
        if !self.extensions.auth_login {
            let text = "the mail server offers neither AUTH PLAIN nor LOGIN: see HALLPASS_SMTP_URL";
            return Err(configuration(text));
        }
        // The position decides the meaning of a prompt, not its text.
        let mut reply = self.ask(step, "AUTH LOGIN").await?;
        for answer in [user, password] {
            if reply.code == 334 {
                reply = self.ask(step, &BASE64.encode(answer)).await?;
            }
        }
        self.positive(step, reply).map(drop)
    }

    /// Sends one mail.
    ///
    /// # Errors
    ///
    /// With the step at which it failed.
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
        let asked = Instant::now();
        progress.set_stage(Stage::AwaitingReply(asked));
        for recipient in envelope.to() {
            let rcpt = format!("RCPT TO:<{recipient}>");
            self.command(Step::Recipient, &rcpt).await.map_err(at(Step::Recipient))?;
        }
        self.begin_data().await.map_err(at(Step::Data))?;
        self.prepared_in = asked.elapsed();
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
        // From here on the server may have accepted the mail.
        progress.set_stage(Stage::Submitted);
        let ended = async {
            self.write(Step::Content, b".\r\n", limit).await?;
            self.read(Step::Content, limit).await
        };
        let reply = ended.await.map_err(unconfirmed)?;
        // Neither accepted nor refused.
        if reply.is_intermediate() {
            return Err(unconfirmed(self.refusal(Step::Content, &reply)));
        }
        progress.set_stage(Stage::Idle);
        self.positive(Step::Content, reply).map(drop)
    }

    /// Resets the session after a refusal. Returns whether it can take another mail.
    pub(super) async fn reset(&mut self) -> bool {
        self.idle_since = Instant::now();
        !self.is_broken
            && matches!(
                timeout(RESET_TIMEOUT, self.command(Step::Sender, "RSET")).await,
                Ok(Ok(()))
            )
    }

    /// Checks that the server replies.
    pub(super) async fn noop(&mut self) -> Result<()> {
        self.command(Step::Greeting, "NOOP").await
    }

    /// Ends the session.
    pub(super) async fn quit(mut self) {
        if !self.is_broken {
            // Nothing depends on the reply.
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
        // The server closes after 421. After an unexpected 2yz or 3yz it is unclear which side
        // speaks.
        self.is_broken |= reply.code == 421 || reply.code < 400;
        classify(step, reply)
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
                    transient(format!("the mail server's answer to {about} cannot be read"))
                }
            })
        });
        reply.inspect_err(|_| self.is_broken = true)
    }
}

/// Returns the error of a mail that the server may have accepted.
fn unconfirmed(error: SendError) -> SendError {
    SendError {
        class: FailureClass::Unconfirmed,
        text: error.text + "; it may have been accepted",
        ..error
    }
}

/// Returns the message with CRLF at the end of each line, and dots at the beginning of lines
/// doubled (RFC 5321 section 4.5.2).
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
}
