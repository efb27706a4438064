//! Look-up, linking and creation of the account of an identity. `docs/adr/0022-social-log-in.md`
//! has the rules.

use super::identities::link_identity;
use crate::domain::{
    AddressVerification, Challenge, ChallengeKind, Counted, Counter, Email, EmailVerification,
    EventContext, EventKind, Fault, FlowOutcome, Identity, IdentityKey, Locale, MailRequest,
    PlainToken, ProviderIdentity, RegistrationMode, SocialFlow, User, UserId, UtcTime,
};
use crate::flows::account::placeholder::make_way;
use crate::flows::account::register::{
    queue_verification_mail, require_domain, require_registration,
};
use crate::flows::account::release_username::release_username;
use crate::flows::account::report_unauthorized::release_unverified_email;
use crate::flows::admin::create_user::is_invited;
use crate::flows::notify::notices::{Notice, queue_notice};
use crate::flows::sign_in::{LogInOutcome, SignIn, SignedIn};
use crate::flows::{Error, Flows, LogInOrVerification, PendingVerification, Result};
use crate::store::jobs::Schedule;
use crate::store::outbox::MailKind;
use crate::store::users::{self, NewUser, changes};
use crate::store::{
    self, Conn, Unique, challenges, challenges::verifications, events, identities, social_flows,
};

/// One-time evidence that a client presents for a log-in. The transaction of the result uses it up.
#[derive(Clone)]
pub(super) enum OneTimeUse {
    /// A claimed flow.
    Flow(SocialFlow),
    /// An id token, by a challenge whose holder it is. No second challenge can have the same one.
    IdToken(Challenge),
}

impl OneTimeUse {
    pub(super) fn use_up(
        &self,
        conn: &mut Conn,
        outcome: FlowOutcome,
        user: Option<UserId>,
    ) -> Result<()> {
        match self {
            Self::Flow(flow) => {
                let is_first = social_flows::finish_flow(conn, &flow.challenge.id, outcome, user)?;
                if is_first { Ok(()) } else { Err(Error::OneTimeTokenInvalid) }
            }
            Self::IdToken(challenge) => {
                challenges::insert_challenge(conn, challenge, 0).map_err(|error| match error {
                    store::Error::Duplicate(_) => Error::OneTimeTokenInvalid,
                    other => other.into(),
                })
            }
        }
    }
}

/// A log-in with an identity.
#[derive(Clone)]
pub(super) struct IdentityLogIn {
    pub(super) one_time_use: OneTimeUse,
    /// The name of the provider.
    pub(super) provider: String,
    /// Its name for display.
    pub(super) provider_name: String,
    /// The e-mail address that the user typed, for a provider that gives none.
    pub(super) typed_email: Option<Email>,
    /// The language of mail of a new account.
    pub(super) locale: Locale,
    /// The token of a registration that waits for the verification of its address.
    pub(super) registration_token: PlainToken,
    pub(super) sign_in: SignIn,
}

/// A result that is committed.
enum Outcome {
    Session(Box<User>, Box<SignedIn>, Option<PlainToken>),
    Pending(PendingVerification),
}

impl Flows {
    /// Logs the user of an identity in. For an identity that is not linked yet, the e-mail address
    /// decides: a verified one leads to the account that has verified it too, or to a new account;
    /// any other is handled like that of a registration.
    ///
    /// # Errors
    /// - [`Error::Invalid`] if there is no e-mail address, or its domain may not register.
    /// - [`Error::RegistrationClosed`] if a new account would be needed, and users may not create
    ///   one.
    /// - [`Error::IdentityConflict`] if an account has the address, and addresses need no
    ///   verification; or if the user was invited and has not accepted yet.
    pub(super) fn log_in_with_identity(
        &self,
        log_in: IdentityLogIn,
        identity: Identity,
    ) -> Result<LogInOrVerification> {
        let key = identity.key.clone();
        let is_linked = self.db.read(|conn| identities::find_by_key(conn, &key))?.is_some();
        let network = log_in.sign_in.client.device.wide_network();
        let network = vec![Counter::new(Counted::MailOfNetwork, network)];
        if is_linked || (identity.email_verified && identity.email.is_some()) {
            let counters = if is_linked { Vec::new() } else { network };
            return self.count(counters, || {
                self.log_in_now(log_in, move |conn, log_in| with_identity(conn, log_in, &identity))
            });
        }
        let typed = log_in.typed_email.clone();
        let email = identity.email.clone().or(typed);
        let email = email.ok_or_else(|| Error::invalid("email", Fault::Required))?;
        require_registration(&self.policy)?;
        require_domain(&self.policy, &email)?;
        let mail =
            MailRequest::new(ChallengeKind::Registration, &email, &log_in.sign_in.client.device);
        match self.policy.email_verification {
            EmailVerification::Mandatory => self.request_mail(&mail, |send_at| {
                self.log_in_now(log_in, move |conn, log_in| {
                    register(conn, log_in, &key, &email, send_at)
                })
            }),
            EmailVerification::Optional => self.request_mail(&mail, |send_at| {
                self.log_in_now(log_in, move |conn, log_in| {
                    make_unverified(conn, log_in, &key, &email, Some(send_at))
                })
            }),
            EmailVerification::None => self.count(network, || {
                self.log_in_now(log_in, move |conn, log_in| {
                    make_unverified(conn, log_in, &key, &email, None)
                })
            }),
        }
    }

    fn log_in_now(
        &self,
        log_in: IdentityLogIn,
        work: impl FnOnce(&mut Conn, &IdentityLogIn) -> Result<Outcome> + Clone + Send + 'static,
    ) -> Result<LogInOrVerification> {
        let now = log_in.sign_in.now;
        let outcome = self.write_accounts(move |conn| work(conn, &log_in))?;
        match outcome {
            Outcome::Pending(pending) => {
                tracing::info!("registration by a social log-in waits for its verification");
                Ok(LogInOrVerification::VerificationSent(pending))
            }
            Outcome::Session(user, signed_in, registration_token) => {
                let session_id = &signed_in.session.id;
                tracing::info!(user_id = user.id.0, %session_id, "logged in at a provider");
                let log_in = self.complete(&user, *signed_in, now)?;
                Ok(LogInOrVerification::LoggedIn { log_in, registration_token })
            }
        }
    }
}

/// Logs the user of an identity in that is linked, or whose address the provider has verified.
fn with_identity(conn: &mut Conn, log_in: &IdentityLogIn, identity: &Identity) -> Result<Outcome> {
    let now = log_in.sign_in.now;
    let verified = identity.email.as_ref().filter(|_| identity.email_verified);
    if let Some(email) = verified {
        // Two first log-ins at once must not make two accounts.
        challenges::lock_address(conn, email)?;
    }
    if let Some(linked) = identities::find_by_key(conn, &identity.key)? {
        let user = lock_user_of(conn, linked.user_id)?;
        let email = identity.email.as_ref().map(Email::as_str);
        if !identities::record_use(conn, &linked.id, email, now)? {
            return Err(Error::OneTimeTokenInvalid);
        }
        return open(conn, log_in, &user, None);
    }
    let email = verified.ok_or(Error::OneTimeTokenInvalid)?;
    let user = match users::find_by_email(conn, email)? {
        Some(holder) if holder.email_verified => {
            let user = lock_user_of(conn, holder.id)?;
            if !user.email_verified || !user.has_email(email) {
                return Err(Error::IdentityConflict);
            }
            notify_of_link(conn, log_in, &user)?;
            user
        }
        // The user accepts the invitation first. A new account would take the address from the one
        // that staff made, which has the roles.
        Some(holder) if is_invited(conn, &holder)? => return Err(Error::IdentityConflict),
        _ => make_verified(conn, log_in, email)?,
    };
    // Last, after the notice of a new device: the link of either notice unlinks it.
    let outcome = open(conn, log_in, &user, None)?;
    link(conn, log_in, &user, &identity.key, Some(email))?;
    Ok(outcome)
}

/// Locks the row of a user who may log in. One that was deleted meanwhile has no identity left.
pub(super) fn lock_user_of(conn: &mut Conn, id: UserId) -> Result<User> {
    let user = users::lock_user(conn, id)?.ok_or(Error::OneTimeTokenInvalid)?;
    if user.is_active { Ok(user) } else { Err(Error::AccountDisabled) }
}

/// Makes the account of an address that the provider has verified. Whatever waits for the address,
/// and an account that has it unverified, lose it.
fn make_verified(conn: &mut Conn, log_in: &IdentityLogIn, email: &Email) -> Result<User> {
    // An invited user chooses the password first: a log-in at a provider accepts no invitation.
    if log_in.sign_in.policy.registration.mode != RegistrationMode::Open {
        return Err(Error::RegistrationClosed);
    }
    require_domain(&log_in.sign_in.policy, email)?;
    let now = log_in.sign_in.now;
    release_unverified_email(conn, &log_in.sign_in.policy, email, None, now)?;
    release_username(conn, &log_in.sign_in.policy, email, None, now)?;
    challenges::delete_of_address(conn, email, None)?;
    let new = NewUser { email_verified: true, ..new_identity_user(log_in, email) };
    let user = insert_identity_account(conn, &new, now)?;
    let context = EventContext::of(user.id, now).on(&log_in.sign_in.client.device);
    events::record(conn, &context, EventKind::Registered, "")?;
    events::record(conn, &context, EventKind::EmailVerified, "")?;
    Ok(user)
}

/// Creates an account whose address is not verified, where accounts need no verification first. Its
/// mail, if it has one, is sent at `send_at`.
fn make_unverified(
    conn: &mut Conn,
    log_in: &IdentityLogIn,
    key: &IdentityKey,
    email: &Email,
    send_at: Option<UtcTime>,
) -> Result<Outcome> {
    let now = log_in.sign_in.now;
    challenges::lock_address(conn, email)?;
    if users::find_id_by_email(conn, email)?.is_some() {
        return Err(Error::IdentityConflict);
    }
    let mut new = new_identity_user(log_in, email);
    if send_at.is_some() {
        make_way(conn, &mut new, now)?;
    }
    let user = insert_identity_account(conn, &new, now)?;
    let context = EventContext::of(user.id, now).on(&log_in.sign_in.client.device);
    events::record(conn, &context, EventKind::Registered, "")?;
    link(conn, log_in, &user, key, Some(email))?;
    let registration_token = send_at.map(|_| log_in.registration_token.clone());
    if let Some(send_at) = send_at {
        let registration = registration(log_in, email, ChallengeKind::VerifyEmail, Some(user.id));
        verifications::insert_verification(conn, &registration)?;
        queue_verification_mail(conn, &registration, Schedule::new(now, send_at))?;
    }
    open(conn, log_in, &user, registration_token)
}

/// Keeps the identity until its e-mail address is verified. Does not look up whether an account has
/// the address: that happens when the mail is composed, so the response cannot reveal it.
fn register(
    conn: &mut Conn,
    log_in: &IdentityLogIn,
    key: &IdentityKey,
    email: &Email,
    send_at: UtcTime,
) -> Result<Outcome> {
    let now = log_in.sign_in.now;
    let registration = registration(log_in, email, ChallengeKind::Registration, None);
    verifications::insert_verification(conn, &registration)?;
    let identity = ProviderIdentity { provider: log_in.provider.clone(), key: key.clone() };
    social_flows::insert_pending_identity(conn, &registration.challenge.id, &identity)?;
    queue_verification_mail(conn, &registration, Schedule::new(now, send_at))?;
    log_in.one_time_use.use_up(conn, FlowOutcome::VerificationSent, None)?;
    Ok(Outcome::Pending(PendingVerification {
        registration_token: log_in.registration_token.clone(),
        expires_in: ChallengeKind::Registration.lifetime(),
    }))
}

fn registration(
    log_in: &IdentityLogIn,
    email: &Email,
    kind: ChallengeKind,
    user: Option<UserId>,
) -> AddressVerification {
    let (holder, now) = (&log_in.registration_token, log_in.sign_in.now);
    let verification = AddressVerification::new(kind, user, email.clone(), holder, now);
    AddressVerification { locale: log_in.locale.clone(), ..verification }
}

fn new_identity_user(log_in: &IdentityLogIn, email: &Email) -> NewUser {
    NewUser { locale: log_in.locale.clone(), ..NewUser::with_email(email.clone(), None) }
}

fn insert_identity_account(conn: &mut Conn, new: &NewUser, now: UtcTime) -> Result<User> {
    users::insert_user(conn, new, now).map_err(|error| match error {
        store::Error::Duplicate(Unique::Email | Unique::Username) => Error::IdentityConflict,
        other => other.into(),
    })
}

fn link(
    conn: &mut Conn,
    log_in: &IdentityLogIn,
    user: &User,
    key: &IdentityKey,
    email: Option<&Email>,
) -> Result<()> {
    let context = EventContext::of(user.id, log_in.sign_in.now).on(&log_in.sign_in.client.device);
    let identity = ProviderIdentity { provider: log_in.provider.clone(), key: key.clone() };
    link_identity(conn, &context, user.id, &identity, email)
}

/// Tells the owner of an account that an identity is linked to it from now on.
pub(super) fn notify_of_link(conn: &mut Conn, log_in: &IdentityLogIn, user: &User) -> Result<()> {
    let detail = &log_in.provider_name;
    let notice = Notice { kind: MailKind::IdentityLinked, detail, reverts_to: None };
    queue_notice(conn, &log_in.sign_in.policy, user, &notice, log_in.sign_in.now)
}

/// Opens the session of a locked account, once.
fn open(
    conn: &mut Conn,
    log_in: &IdentityLogIn,
    user: &User,
    registration_token: Option<PlainToken>,
) -> Result<Outcome> {
    let now = log_in.sign_in.now;
    log_in.one_time_use.use_up(conn, FlowOutcome::LoggedIn, Some(user.id))?;
    let user = changes::record_login(conn, user.id, &user.password_hash, now)?;
    let user = user.ok_or(Error::AccountDisabled)?;
    let LogInOutcome::LoggedIn(signed_in) = log_in.sign_in.clone().open(conn, &user)?;
    Ok(Outcome::Session(Box::new(user), Box::new(signed_in), registration_token))
}
