//! Proving an address. The registration that is proven becomes an account (or marks its account's
//! address as verified); every other registration of the address is gone.
//!
//! The same proof answers the same success again: mail programs and impatient people open a link
//! twice.

use crate::domain::token::{FirstTokens, Secrets};
use crate::domain::{
    Amr, Counted, Counter, Device, Email, EventContext, EventKind, PlainPassword, PlainToken,
    Registration, RegistrationMode, TokenHash, Transport, User, UtcTime,
};
use crate::flows::account::change_email::take_address;
use crate::flows::account::register::new_user;
use crate::flows::account::release_username::release_username;
use crate::flows::account::report_unauthorized::free_address;
use crate::flows::audit::record_changes;
use crate::flows::limits::requester;
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::sign_in::{SignIn, SignedIn};
use crate::flows::{Error, Flows, LoggedIn, LoginContext, Policy, Result, VerifyEmailProof};
use crate::store::registrations::{self, Found};
use crate::store::{self, Conn, Unique, events, sessions, users};

/// What a user proves an address with.
#[derive(Debug)]
pub enum Proof {
    /// The digits of the mail, by the browser that registered.
    Code {
        /// What that browser holds.
        registration_token: PlainToken,
        /// The digits.
        code: PlainToken,
    },
    /// The link of the mail, opened by the browser that registered.
    LinkInSameBrowser {
        /// The token of the link.
        token: PlainToken,
        /// What that browser holds.
        registration_token: PlainToken,
    },
    /// The link of the mail, opened elsewhere by a user who knows the password.
    LinkWithPassword {
        /// The token of the link.
        token: PlainToken,
        /// The password of the registration.
        password: PlainPassword,
    },
    /// The link alone, for those who allow that.
    Link {
        /// The token of the link.
        token: PlainToken,
    },
}

/// Whether the proof also logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Open a session, whose refresh tokens travel so.
    Session(Transport),
    /// Only prove the address: the page that asks cannot keep tokens.
    Nothing,
}

/// A proven address.
#[derive(Debug)]
pub struct VerifiedEmail {
    /// The address.
    pub email: Email,
    /// The session, where one was opened.
    pub log_in: Option<LoggedIn>,
}

impl Flows {
    /// Proves an address.
    pub fn verify_email(
        &self,
        proof: Proof,
        opening: Opening,
        device: &Device,
    ) -> Result<VerifiedEmail> {
        self.reserve(vec![Counter::new(Counted::ProofsOfNetwork, &device.network)])?;
        let now = self.now();
        let amr = match &proof {
            Proof::LinkWithPassword { .. } => Amr::password(),
            Proof::Code { .. } | Proof::LinkInSameBrowser { .. } | Proof::Link { .. } => {
                Amr::email()
            }
        };
        let registration = self.proven_registration(proof, device, now)?;
        let first_tokens = self.secrets.first_tokens(registration.id.as_str());
        let (policy, email, device) =
            (self.policy.clone(), registration.email.clone(), device.clone());
        let (user, signed_in) = self.db.write(move |conn| {
            let scene = EventContext { device: device.clone(), ..EventContext::of(None, now) };
            let user = prove(conn, &policy, &registration, scene)?;
            let Opening::Session(transport) = opening else { return Ok((user, None)) };
            let tokens = earlier_or_first(conn, first_tokens)?;
            let client = LoginContext { device, device_token: None };
            let sign_in = SignIn { amr, client, transport, tokens, now };
            let signed_in = sign_in_once(conn, &policy, &user, sign_in)?;
            Ok::<_, Error>((user, Some(signed_in)))
        })?;
        // The old address is told of a change.
        self.mail_ordered.notify_one();
        self.learn_renewed_rights();
        let log_in = signed_in.map(|it| self.complete(&user, it, now)).transpose()?;
        tracing::info!(user_id = user.id.0, "address proven");
        Ok(VerifiedEmail { email, log_in })
    }

    /// The registration that `proof` is good for.
    fn proven_registration(
        &self,
        proof: Proof,
        device: &Device,
        now: UtcTime,
    ) -> Result<Registration> {
        let (token, holder) = match proof {
            Proof::Code { registration_token, code } => {
                let secrets = self.secrets.clone();
                // A wrong code must be counted, so the refusal is not an error of the transaction.
                return self.db.write(move |conn| {
                    Ok::<_, Error>(check_code(conn, &secrets, &registration_token, &code, now)?)
                })?;
            }
            Proof::LinkInSameBrowser { token, registration_token } => {
                (token, Holder::Browser(registration_token.hash()))
            }
            Proof::LinkWithPassword { token, password } => (token, Holder::Password(password)),
            Proof::Link { token } => (token, Holder::Unproven),
        };
        let link = token.hash();
        let found = self.db.read(|conn| registrations::find_by_link(conn, &link))?;
        let registration = unexpired(found, Error::OneTimeTokenInvalid, now)?;
        match holder {
            Holder::Browser(token) if token.matches(&registration.token_hash) => Ok(registration),
            Holder::Password(password) => self.attempt_with_link(&registration.id, || {
                let requester = requester(registration.email.normalised().to_owned(), device);
                let stored = Some(&registration.password_hash);
                let verdict = self.hasher.verify(requester, &password, stored)?;
                if verdict.matches {
                    Ok(registration.clone())
                } else {
                    Err(Error::InvalidCredentials)
                }
            }),
            Holder::Unproven if self.policy.verify_email_proof == VerifyEmailProof::Link => {
                Ok(registration)
            }
            Holder::Browser(_) | Holder::Unproven => Err(Error::ProofRequired),
        }
    }
}

/// What whoever opened the link shows besides.
enum Holder {
    Browser(TokenHash),
    Password(PlainPassword),
    Unproven,
}

fn unexpired(found: Option<Found>, unknown: Error, now: UtcTime) -> Result<Registration> {
    match found {
        None => Err(unknown),
        Some(Found::Registration(it)) if !it.has_expired(now) => Ok(*it),
        Some(Found::Registration(_) | Found::Erased) => Err(Error::OneTimeTokenExpired),
    }
}

/// Takes a try, compares, and gives the try back if the code is right: guesses that come in
/// parallel are counted like those that come one after the other.
fn check_code(
    conn: &mut Conn,
    secrets: &Secrets,
    registration_token: &PlainToken,
    code: &PlainToken,
    now: UtcTime,
) -> store::Result<Result<Registration>> {
    let found = registrations::find_by_token(conn, &registration_token.hash())?;
    let registration = match unexpired(found, Error::CodeInvalid, now) {
        Ok(registration) => registration,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let id = &registration.id;
    if !registrations::reserve_code_try(
        conn,
        id,
        Registration::CODE_TRIES,
        Registration::WRONG_CODES,
    )? {
        return Ok(Err(Error::CodeInvalid));
    }
    let is_code = |stored: &TokenHash| secrets.is_code(id.as_str(), code, stored);
    if registration.code_hash.as_ref().is_some_and(is_code) {
        registrations::return_code_try(conn, id)?;
        Ok(Ok(registration))
    } else {
        Ok(Err(Error::CodeInvalid))
    }
}

/// The account of a proven address. Of many who prove it at once one makes it, the others find it.
fn prove(
    conn: &mut Conn,
    policy: &Policy,
    registration: &Registration,
    scene: EventContext,
) -> Result<User> {
    let now = scene.at;
    // Each of several would change its own row and then wait for the other's.
    registrations::lock_address(conn, &registration.email)?;
    // Before its registrations: whoever changes the account and then removes them comes this way too.
    let account = match registration.user_id {
        Some(id) => Some(lock_active(conn, id)?.ok_or(Error::OneTimeTokenInvalid)?),
        None => None,
    };
    if registrations::consume_proof(conn, &registration.id, now)? {
        let verifies = registration.user_id;
        free_address(conn, policy, &registration.email, verifies, now)?;
        release_username(conn, policy, &registration.email, verifies, now)?;
        let user = match &account {
            Some(user) if registration.changes_email => {
                take_address(conn, policy, user, &registration.email, now)?
            }
            Some(user) => users::mark_email_verified(conn, user.id, &registration.email, now)?
                .ok_or(Error::OneTimeTokenInvalid)?,
            None if policy.registration.mode != RegistrationMode::Open => {
                return Err(Error::RegistrationClosed);
            }
            None => make_account(conn, registration, now)?,
        };
        let scene = EventContext { user_id: Some(user.id), ..scene };
        match &account {
            Some(before) if registration.changes_email => {
                record_changes(conn, &scene, before, &user)?;
            }
            Some(_) => events::record(conn, &scene, EventKind::EmailVerified, "")?,
            None => {
                events::record(conn, &scene, EventKind::Registered, "")?;
                events::record(conn, &scene, EventKind::EmailVerified, "")?;
            }
        }
        registrations::set_owner(conn, &registration.id, user.id)?;
        registrations::delete_others(conn, &registration.email, &registration.id)?;
        return Ok(user);
    }
    // A user was faster: the same proof, or another registration of the same address.
    let owner = registrations::find_by_id(conn, &registration.id)?.and_then(|it| it.user_id);
    let owner = owner.ok_or(Error::OneTimeTokenInvalid)?;
    users::find_by_id(conn, owner)?
        .filter(|user| user.is_active && user.email.as_ref() == Some(&registration.email))
        .ok_or(Error::OneTimeTokenInvalid)
}

fn make_account(conn: &mut Conn, registration: &Registration, now: UtcTime) -> Result<User> {
    let chosen = new_user(registration, registration.username.clone(), true);
    let made = match users::insert_user(conn, &chosen, now) {
        // A name that another user took in the meantime must not make the proof worthless: the
        // address serves as name, as it does for those who chose none.
        Err(store::Error::Duplicate(Unique::Username)) => {
            users::insert_user(conn, &new_user(registration, None, true), now)
        }
        made => made,
    };
    made.map_err(|error| match error {
        store::Error::Duplicate(_) => Error::OneTimeTokenInvalid,
        other => other.into(),
    })
}

/// Of the tokens that a proof can open a session with, those of the session that it opened, or else the first.
fn earlier_or_first(conn: &mut Conn, tokens: Vec<FirstTokens>) -> Result<FirstTokens> {
    for token in tokens.iter().skip(1) {
        if sessions::find_refresh_token(conn, &token.refresh.hash())?.is_some() {
            return Ok(token.clone());
        }
    }
    let first = tokens.into_iter().next();
    first.ok_or_else(|| Error::Internal("no secret to derive tokens from".to_owned()))
}

/// Opens the session of a verification. A repetition gets the same session as long as its refresh token is
/// unused and travels the same way, and another one later. After the first session was ended, for example
/// by a log-out, the verification opens none.
fn sign_in_once(
    conn: &mut Conn,
    policy: &Policy,
    user: &User,
    mut sign_in: SignIn,
) -> Result<SignedIn> {
    let earlier = sessions::find_refresh_token(conn, &sign_in.tokens.refresh.hash())?;
    let Some((token, session)) = earlier else { return sign_in.open(conn, policy, user) };
    if session.ended_at.is_some() {
        return Err(Error::OneTimeTokenInvalid);
    }
    let is_unused = token.used_at.is_none() && sign_in.now < token.expires_at;
    if is_unused && session.accepts(sign_in.transport) {
        return Ok(SignedIn {
            session,
            refresh_token: sign_in.tokens.refresh,
            refresh_expires_at: token.expires_at,
            device_token: sign_in.tokens.device,
            ended: Vec::new(),
        });
    }
    sign_in.tokens.refresh = PlainToken::random(PlainToken::REFRESH_PREFIX);
    sign_in.open(conn, policy, user)
}
