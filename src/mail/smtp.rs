//! One conversation with an SMTP server (RFC 5321): connect, protect, log in, hand over.
//!
//! lettre knows the commands; the order, the limits of time and the judgement of the answers are
//! here, for they decide whether a mail is tried again. A connection carries one mail: there is no
//! idle connection to find dead, and a login service sends few.

use std::{error::Error as _, fs, future::Future, time::Duration};

use lettre::{
    Message,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail, Noop, Rcpt},
        extension::ClientId,
    },
};
use tokio::time::timeout;

use super::{
    clear_text::ClearText,
    smtp_url::{Security, SmtpSettings},
    transport::SendError,
};

/// How long the server may take to answer QUIT, when all that mattered is done.
const FAREWELL: Duration = Duration::from_secs(1);

/// A mail server and how to talk to it.
#[derive(Clone)]
pub struct Smtp {
    host: String,
    port: u16,
    security: Security,
    tls: TlsParameters,
    credentials: Option<Credentials>,
    hello: ClientId,
    command_timeout: Duration,
    send_timeout: Duration,
}

impl Smtp {
    pub(super) fn new(settings: &SmtpSettings) -> Result<Self, String> {
        let login = settings.login.as_ref();
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            security: settings.security,
            tls: tls_parameters(settings)?,
            credentials: login.map(|login| (login.user.clone(), login.password.clone()).into()),
            hello: ClientId::default(),
            command_timeout: settings.command_timeout,
            send_timeout: settings.send_timeout,
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), SendError> {
        let mut connection = None;
        let conversation = async {
            let connection = connection.insert(self.connect().await?);
            self.hand_over(connection, message).await
        };
        let outcome =
            timeout(self.send_timeout, conversation).await.unwrap_or_else(|_| Err(too_slow()));
        // Outside the limit: a mail that was accepted stays accepted, whatever comes of QUIT.
        if let Some(connection) = connection {
            farewell(connection).await;
        }
        outcome
    }

    pub(super) async fn check(&self) -> Result<(), SendError> {
        let mut connection = self.connect().await?;
        let outcome = self.step(Step::Connect, connection.command(Noop)).await;
        farewell(connection).await;
        outcome.map(drop)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = match self.security {
            Security::Plain => self.connect_with(None).await?,
            Security::ImplicitTls => self.connect_with(Some(self.tls.clone())).await?,
            Security::StartTls => self.connect_with_starttls().await?,
        };
        if let Some(credentials) = &self.credentials {
            self.step(Step::LogIn, connection.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(connection)
    }

    async fn connect_with(
        &self,
        tls: Option<TlsParameters>,
    ) -> Result<AsyncSmtpConnection, SendError> {
        let server = (self.host.as_str(), self.port);
        let limit = Some(self.address_timeout());
        let connecting = AsyncSmtpConnection::connect_tokio1(server, limit, &self.hello, tls, None);
        self.step(Step::Connect, connecting).await
    }

    async fn connect_with_starttls(&self) -> Result<AsyncSmtpConnection, SendError> {
        let connecting = ClearText::connect(&self.host, self.port, self.address_timeout());
        let stream = timeout(self.command_timeout, connecting)
            .await
            .map_err(|_| too_slow())?
            .map_err(|fault| SendError::Temporary(format!("connecting: {fault}")))?;
        let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello);
        let mut connection = self.step(Step::Connect, greeting).await?;
        self.step(Step::StartTls, connection.starttls(self.tls.clone(), &self.hello)).await?;
        Ok(connection)
    }

    /// Half of the time, so that a second address of the host gets its chance.
    fn address_timeout(&self) -> Duration {
        self.command_timeout / 2
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
    ) -> Result<(), SendError> {
        let envelope = message.envelope();
        let sender = Mail::new(envelope.from().cloned(), Vec::new());
        self.step(Step::Sender, connection.command(sender)).await?;
        for recipient in envelope.to() {
            let recipient = Rcpt::new(recipient.clone(), Vec::new());
            self.step(Step::Recipient, connection.command(recipient)).await?;
        }
        self.step(Step::Content, connection.command(Data)).await?;
        // Servers look for viruses before they answer: this may take what is left of the whole
        // time, for giving up here would send the mail twice.
        let answer = connection.message(&message.formatted()).await;
        answer.map(drop).map_err(|error| judge(Step::Content, &error))
    }

    async fn step<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, SendError> {
        match timeout(self.command_timeout, work).await {
            Ok(outcome) => outcome.map_err(|error| judge(step, &error)),
            Err(_) => Err(too_slow()),
        }
    }
}

fn tls_parameters(settings: &SmtpSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca {
        let shown = path.display();
        let pem = fs::read(path).map_err(|fault| format!("cannot read {shown}: {fault}"))?;
        // Without this look, a file of something else would pass as a list of no certificates.
        if !pem.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") {
            return Err(format!("{shown} holds no PEM certificate"));
        }
        let ca = Certificate::from_pem(&pem)
            .map_err(|_| format!("{shown} holds a broken PEM certificate"))?;
        // In place of the public authorities: each of those could vouch for another server.
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(ca);
    }
    builder.build().map_err(|fault| format!("TLS to the mail server cannot be set up: {fault}"))
}

async fn farewell(mut connection: AsyncSmtpConnection) {
    // Nothing depends on the answer.
    let _ = timeout(FAREWELL, connection.abort()).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    StartTls,
    LogIn,
    Sender,
    Recipient,
    Content,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::StartTls => "STARTTLS",
            Self::LogIn => "log-in",
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Content => "the message",
        }
    }
}

/// What an SMTP fault means for the mail. Before the recipient is named, a refusal concerns the
/// configuration: the mail waits until somebody mends it.
fn judge(step: Step, error: &Error) -> SendError {
    let about = step.name();
    let Some(code) = error.status().map(u16::from) else {
        return SendError::Temporary(if error.is_response() {
            format!("the mail server's answer to {about} was cut off or unreadable")
        } else {
            format!("{about}: {error}")
        });
    };
    let text = match enhanced_status(error) {
        Some(enhanced) => format!("the mail server answered {code} {enhanced} to {about}"),
        None => format!("the mail server answered {code} to {about}"),
    };
    // RFC 4954: these ask for a (better) log-in or for encryption, wherever they come.
    let log_in = matches!(code, 530 | 534 | 535 | 538);
    let about_this_mail = matches!(step, Step::Recipient | Step::Content);
    if error.is_permanent() && about_this_mail && !log_in {
        SendError::Permanent(text)
    } else {
        SendError::Temporary(text)
    }
}

/// The `5.1.1` of RFC 3463. The rest of an answer often repeats the address, so it is left out.
fn enhanced_status(error: &Error) -> Option<String> {
    let answer = error.source()?.to_string();
    let status = answer.split_whitespace().next()?;
    let numbers: Vec<&str> = status.split('.').collect();
    let number = |part: &&str| (1..=3).contains(&part.len()) && part.parse::<u16>().is_ok();
    (numbers.len() == 3 && numbers.iter().all(number)).then(|| status.to_owned())
}

fn too_slow() -> SendError {
    SendError::Temporary("the mail server did not answer in time".to_owned())
}
