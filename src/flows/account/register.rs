//! Registration. With verification `mandatory` a registration is not an account: it is pending,
//! possibly beside others for the same address, until one of them is verified. The mail worker
//! finds out whether the address has an account, so the response does not reveal it.

use std::time::Duration;

use crate::domain::secrets::FirstTokens;
use crate::domain::{
    AcceptedPassword, AddressVerification, Amr, ChallengeKind, Counted, Counter, Device, Email,
    EmailVerification, EventContext, EventKind, Locale, MailRequest, PlainToken, RegistrationMode,
    Transport, User, Username, UtcTime,
};
use crate::flows::account::placeholder::{make_way, refuse_reserved};
use crate::flows::limits::requester;
use crate::flows::{Error, Flows, LogInOutcome, LoggedIn, LoginContext, Policy, Result};
use crate::store::jobs::Schedule;
use crate::store::outbox::{self, MailKind, NewMail};
use crate::store::users::NewUser;
use crate::store::{self, Conn, Unique, challenges::verifications, events, users};

/// A request to register.
#[derive(Debug)]
pub struct RegisterRequest {
    /// The e-mail address.
    pub email: Email,
    /// The chosen password, accepted for this address and user name.
    pub password: AcceptedPassword,
    /// The user name, if it differs from the address.
    pub username: Option<Username>,
    /// The language of mail.
    pub locale: Locale,
    /// The client.
    pub device: Device,
    /// Transport of the refresh token, if a session is opened at once.
    pub transport: Transport,
}

/// A pending verification of an e-mail address.
#[derive(Debug)]
pub struct PendingVerification {
    /// The registration token of the client.
    pub registration_token: PlainToken,
    /// Lifetime of the registration.
    pub expires_in: Duration,
}

/// The result of a registration, or of a log-in that may lead to one.
#[derive(Debug)]
pub enum LogInOrVerification {
    /// A mail was queued.
    VerificationSent(PendingVerification),
    /// The account exists, and the user is logged in.
    LoggedIn {
        /// The session.
        log_in: LoggedIn,
        /// The registration token, if the address still has to be verified.
        registration_token: Option<PlainToken>,
    },
}

impl Flows {
    /// Registers a user.
    pub fn register(&self, request: RegisterRequest) -> Result<LogInOrVerification> {
        require_registration(&self.policy)?;
        require_domain(&self.policy, &request.email)?;
        if self.policy.email_verification == EmailVerification::None {
            let network = Counter::new(Counted::MailOfNetwork, request.device.wide_network());
            let create = || self.create_registration_or_user(request, self.now());
            return self.count(vec![network], create);
        }
        let mail = MailRequest::new(ChallengeKind::Registration, &request.email, &request.device);
        self.request_mail(&mail, |send_at| self.create_registration_or_user(request, send_at))
    }

    fn create_registration_or_user(
        &self,
        request: RegisterRequest,
        send_at: UtcTime,
    ) -> Result<LogInOrVerification> {
        let password = request.password.into_plain();
        self.refuse_breached("password", &password)?;
        let requester = requester(request.email.normalised().to_owned(), &request.device);
        let password_hash = self.hasher.hash(requester, &password)?;
        let (now, device, transport) = (self.now(), request.device, request.transport);
        let registration_token = PlainToken::random(PlainToken::REGISTRATION_PREFIX);
        let kind = match self.policy.email_verification {
            EmailVerification::Optional => ChallengeKind::VerifyEmail,
            EmailVerification::Mandatory | EmailVerification::None => ChallengeKind::Registration,
        };
        let registration = AddressVerification {
            username: request.username,
            password_hash,
            locale: request.locale,
            ..AddressVerification::new(kind, None, request.email, &registration_token, now)
        };
        match self.policy.email_verification {
            EmailVerification::Mandatory => {
                let schedule = Schedule::new(now, send_at);
                self.db.write(move |conn| {
                    insert_pending_registration(conn, &registration, schedule)
                })?;
                tracing::info!("registration pending verification");
                let expires_in = kind.lifetime();
                let waiting = PendingVerification { registration_token, expires_in };
                Ok(LogInOrVerification::VerificationSent(waiting))
            }
            EmailVerification::Optional => {
                let mail = Some(Schedule::new(now, send_at));
                let log_in = self.log_in_at_once(registration, mail, device, transport, now)?;
                Ok(LogInOrVerification::LoggedIn {
                    log_in,
                    registration_token: Some(registration_token),
                })
            }
            EmailVerification::None => {
                let log_in = self.log_in_at_once(registration, None, device, transport, now)?;
                Ok(LogInOrVerification::LoggedIn { log_in, registration_token: None })
            }
        }
    }

    fn log_in_at_once(
        &self,
        registration: AddressVerification,
        mail: Option<Schedule>,
        device: Device,
        transport: Transport,
        now: UtcTime,
    ) -> Result<LoggedIn> {
        let client = LoginContext { device, device_token: None };
        let sign_in = self.sign_in(Amr::password(), client, transport, FirstTokens::random(), now);
        let (user, signed_in) = self.write_accounts(move |conn| {
            let user = insert_unverified_account(conn, registration, mail, now)?;
            let context = EventContext::of(user.id, now).on(&sign_in.client.device);
            events::record(conn, &context, EventKind::Registered, "")?;
            let LogInOutcome::LoggedIn(signed_in) = sign_in.open(conn, &user)?;
            Ok::<_, Error>((user, signed_in))
        })?;
        tracing::info!(user_id = user.id.0, "registered");
        self.complete(&user, signed_in, now)
    }
}

/// Checks that an anonymous client may register.
///
/// # Errors
/// [`Error::RegistrationClosed`].
pub(crate) fn require_registration(policy: &Policy) -> Result<()> {
    // Without verification the account would be created at once, for a user who was not invited.
    let waits_for_mail = policy.email_verification == EmailVerification::Mandatory;
    match policy.registration.mode {
        RegistrationMode::Open => Ok(()),
        RegistrationMode::Invited if waits_for_mail => Ok(()),
        RegistrationMode::Invited | RegistrationMode::Closed => Err(Error::RegistrationClosed),
    }
}

/// Checks that an e-mail address may have its domain.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn require_domain(policy: &Policy, email: &Email) -> Result<()> {
    policy.registration.check_domain(email).map_err(|fault| Error::invalid("email", fault))
}

fn insert_pending_registration(
    conn: &mut Conn,
    registration: &AddressVerification,
    mail: Schedule,
) -> Result<()> {
    refuse_taken_username(conn, registration)?;
    verifications::insert_verification(conn, registration)?;
    queue_verification_mail(conn, registration, mail)?;
    Ok(())
}

/// Queues the mail that asks to verify an e-mail address.
pub(crate) fn queue_verification_mail(
    conn: &mut Conn,
    registration: &AddressVerification,
    schedule: impl Into<Schedule>,
) -> store::Result<()> {
    let AddressVerification { challenge, email, locale, .. } = registration;
    let mail = NewMail::new(MailKind::Registration, email, locale, challenge.id.as_str());
    outbox::enqueue(conn, &NewMail { about: challenge.user_id, ..mail }, schedule)
}

/// Creates an account. Without a chosen user name, it is named by its e-mail address.
pub(crate) fn insert_account(conn: &mut Conn, new: &NewUser, now: UtcTime) -> Result<User> {
    users::insert_user(conn, new, now).map_err(|error| match error {
        store::Error::Duplicate(Unique::Username) if new.chose_no_name() => Error::EmailTaken,
        other => other.into(),
    })
}

fn insert_unverified_account(
    conn: &mut Conn,
    mut registration: AddressVerification,
    mail: Option<Schedule>,
    now: UtcTime,
) -> Result<User> {
    refuse_taken_username(conn, &registration)?;
    let mut new = new_user(&registration);
    if mail.is_some() {
        make_way(conn, &mut new, now)?;
    }
    let user = insert_account(conn, &new, now)?;
    if let Some(mail) = mail {
        registration.challenge.user_id = Some(user.id);
        verifications::insert_verification(conn, &registration)?;
        queue_verification_mail(conn, &registration, mail)?;
    }
    Ok(user)
}

fn refuse_taken_username(conn: &mut Conn, registration: &AddressVerification) -> Result<()> {
    let Some(name) = &registration.username else { return Ok(()) };
    refuse_reserved(name, None)?;
    match users::find_id_by_username(conn, name.as_str())? {
        Some(_) => Err(Error::UsernameTaken),
        None => Ok(()),
    }
}

/// Returns the account of a registration, with an unverified address.
pub(crate) fn new_user(registration: &AddressVerification) -> NewUser {
    NewUser {
        password_hash: registration.password_hash.clone(),
        locale: registration.locale.clone(),
        ..NewUser::with_email(registration.email.clone(), registration.username.clone())
    }
}
