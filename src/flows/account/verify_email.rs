//! Verification of an e-mail address. That of a registration makes an account, any other one marks
//! the address of its account as verified. All others of the address are deleted.
//!
//! The same evidence succeeds again: mail programs and impatient users open a link twice.

use std::sync::Arc;

use crate::domain::secrets::Secrets;
use crate::domain::{
    AddressVerification, Amr, ChallengeKind, Counted, Counter, Device, Email, EventContext,
    EventKind, PlainPassword, PlainToken, RegistrationMode, Transport, User, Username, UtcTime,
    VerifyEmailProof,
};
use crate::flows::account::change_email::set_verified_address;
use crate::flows::account::placeholder::is_placeholder;
use crate::flows::account::register::{new_user, require_domain};
use crate::flows::account::release_username::release_username;
use crate::flows::account::report_unauthorized::release_unverified_email;
use crate::flows::audit::record_changes;
use crate::flows::challenges::{check_code, pad_refusal};
use crate::flows::limits::requester;
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::sign_in::{Repetition, earlier_or_first, sign_in_once};
use crate::flows::social::identities::link_identity;
use crate::flows::{Error, Flows, LogInOutcome, LoggedIn, LoginContext, Policy, Result};
use crate::store::challenges::verifications::{self, Found};
use crate::store::users::changes::{self, UserChanges};
use crate::store::users::{self, NewUser};
use crate::store::{self, Conn, Unique, challenges, events, identities, social_flows};

/// Evidence that a user receives mail at an address.
#[derive(Debug)]
pub enum Proof {
    /// The code of the mail, from the browser that registered.
    Code {
        /// The registration token of that browser.
        registration_token: PlainToken,
        /// The six digits.
        code: PlainToken,
    },
    /// The link of the mail.
    Link {
        /// The token of the link.
        token: PlainToken,
        /// Evidence that comes with it.
        evidence: LinkEvidence,
    },
}

/// Evidence of the user who opened the link of a mail.
#[derive(Debug)]
pub enum LinkEvidence {
    /// The registration token, held by the browser that registered.
    SameBrowser(PlainToken),
    /// The password of the registration, in another browser.
    Password(PlainPassword),
    /// None, if `HALLPASS_VERIFY_EMAIL_PROOF` permits it.
    LinkOnly,
}

impl Proof {
    fn amr(&self) -> Amr {
        match self {
            Self::Link { evidence: LinkEvidence::Password(_), .. } => Amr::password(),
            Self::Code { .. } | Self::Link { .. } => Amr::email(),
        }
    }
}

impl Flows {
    /// Verifies an e-mail address, and opens a session with this transport. Returns the address and
    /// the session.
    pub fn verify_email(
        &self,
        proof: Proof,
        transport: Transport,
        device: &Device,
    ) -> Result<(Email, LoggedIn)> {
        self.count_proof(device, || {
            let (now, amr) = (self.now(), proof.amr());
            let registration = self.find_answered(proof, device, now)?;
            let email = registration.email.clone();
            let first_tokens = self.secrets.first_tokens(registration.challenge.id.as_str());
            let client = LoginContext { device: device.clone(), device_token: None };
            let mut sign_in = self.sign_in(amr, client, transport, first_tokens[0].clone(), now);
            let (user, signed_in) = self.verify(registration, device, now, move |conn, user| {
                sign_in.tokens = earlier_or_first(conn, first_tokens)?;
                sign_in_once(conn, user, sign_in, Repetition::OnAnyDevice)
            })?;
            let LogInOutcome::LoggedIn(signed_in) = signed_in;
            Ok((email, self.complete(&user, signed_in, now)?))
        })
    }

    /// Verifies an e-mail address for a page that cannot keep tokens.
    pub fn verify_email_without_session(&self, proof: Proof, device: &Device) -> Result<()> {
        self.count_proof(device, || {
            let now = self.now();
            let registration = self.find_answered(proof, device, now)?;
            self.verify(registration, device, now, |_, _| Ok(()))?;
            Ok(())
        })
    }

    /// Counts an attempt, and pads a refusal.
    fn count_proof<T>(&self, device: &Device, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let proofs = Counter::new(Counted::ProofsOfNetwork, &device.network);
        pad_refusal(|| self.count(vec![proofs], work))
    }

    /// Completes a verification, and runs `work` for its user in the same transaction.
    fn verify<T: Send + 'static>(
        &self,
        registration: AddressVerification,
        device: &Device,
        now: UtcTime,
        work: impl FnOnce(&mut Conn, &User) -> Result<T> + Clone + Send + 'static,
    ) -> Result<(User, T)> {
        let policy = Arc::clone(&self.policy);
        let context = EventContext::of(None, now).on(device);
        let (user, outcome) = self.write_accounts(move |conn| {
            let user = complete_verification(conn, &policy, &registration, context)?;
            let outcome = work(conn, &user)?;
            Ok::<_, Error>((user, outcome))
        })?;
        tracing::info!(user_id = user.id.0, "e-mail address verified");
        Ok((user, outcome))
    }

    /// Returns the verification that `proof` answers.
    fn find_answered(
        &self,
        proof: Proof,
        device: &Device,
        now: UtcTime,
    ) -> Result<AddressVerification> {
        let (token, evidence) = match proof {
            Proof::Code { registration_token, code } => {
                let secrets = self.secrets.clone();
                // The attempt must be committed, so a wrong code is not an error of the
                // transaction.
                return self.db.write(move |conn| {
                    Ok::<_, Error>(find_by_code(conn, &secrets, &registration_token, &code, now)?)
                })?;
            }
            Proof::Link { token, evidence } => (token, evidence),
        };
        let link = token.hash();
        let found = self.db.read(|conn| verifications::find_by_link(conn, &link))?;
        let registration = unexpired(found, Error::OneTimeTokenInvalid, now)?;
        let challenge = &registration.challenge;
        let is_requester = |token: &PlainToken| {
            challenge.holder_hash.as_ref().is_some_and(|holder| token.hash().matches(holder))
        };
        match evidence {
            LinkEvidence::SameBrowser(token) if is_requester(&token) => Ok(registration),
            LinkEvidence::Password(password) => self.attempt_with_link(&challenge.id, || {
                let requester = requester(registration.email.normalised().to_owned(), device);
                let stored = Some(&registration.password_hash);
                let verdict = self.hasher.verify(requester, &password, stored)?;
                if verdict.matches {
                    Ok(registration.clone())
                } else {
                    Err(Error::InvalidCredentials)
                }
            }),
            LinkEvidence::LinkOnly if self.accepts_link_alone(&registration)? => Ok(registration),
            LinkEvidence::SameBrowser(_) | LinkEvidence::LinkOnly => Err(Error::ProofRequired),
        }
    }

    /// Returns whether the link alone verifies the address. The reader of the mail has not shown
    /// that they own the identities that log in to the account, which a later reset would leave.
    fn accepts_link_alone(&self, registration: &AddressVerification) -> Result<bool> {
        let is_allowed = self.policy.verify_email_proof == VerifyEmailProof::Link
            && registration.password_hash.is_usable();
        let Some(user) = registration.challenge.user_id.filter(|_| is_allowed) else {
            return Ok(is_allowed);
        };
        Ok(self.db.read(|conn| identities::list_of_user(conn, user))?.is_empty())
    }
}

fn unexpired(found: Option<Found>, unknown: Error, now: UtcTime) -> Result<AddressVerification> {
    match found {
        None => Err(unknown),
        Some(Found::Verification(it)) if !it.challenge.has_expired(now) => Ok(*it),
        Some(Found::Verification(_) | Found::Erased) => Err(Error::OneTimeTokenExpired),
    }
}

/// Returns the verification of the client with `registration_token`, if `code` is right.
fn find_by_code(
    conn: &mut Conn,
    secrets: &Secrets,
    registration_token: &PlainToken,
    code: &PlainToken,
    now: UtcTime,
) -> store::Result<Result<AddressVerification>> {
    let found = verifications::find_by_holder(conn, &registration_token.hash())?;
    let registration = match unexpired(found, Error::CodeInvalid, now) {
        Ok(registration) => registration,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let is_right = check_code(conn, secrets, Some(&registration.challenge), code, now)?;
    Ok(if is_right { Ok(registration) } else { Err(Error::CodeInvalid) })
}

/// Creates the account of a verified registration, or finds it if a concurrent request created it.
fn complete_verification(
    conn: &mut Conn,
    policy: &Policy,
    registration: &AddressVerification,
    context: EventContext,
) -> Result<User> {
    let now = context.at;
    let challenge = &registration.challenge;
    // Of several registrations of one address, each would lock its own row and then wait for the
    // row of another.
    challenges::lock_address(conn, &registration.email)?;
    // The account is locked before its registrations, in the order of all requests that change an
    // account and remove them.
    let account = match challenge.user_id {
        Some(id) => Some(lock_active(conn, id)?.ok_or(Error::OneTimeTokenInvalid)?),
        None => None,
    };
    if challenges::consume_challenge(conn, &challenge.id, now)? {
        return apply_verification(conn, policy, registration, account.as_ref(), context);
    }
    // A concurrent request was faster: the same evidence, or another registration of the address.
    let owner = challenges::find_by_id(conn, &challenge.id)?.and_then(|it| it.user_id);
    let owner = owner.ok_or(Error::OneTimeTokenInvalid)?;
    lock_active(conn, owner)?
        .filter(|user| user.email.as_ref() == Some(&registration.email))
        .ok_or(Error::OneTimeTokenInvalid)
}

/// Creates the account of a registration that was verified first, or gives `account` its address.
fn apply_verification(
    conn: &mut Conn,
    policy: &Policy,
    registration: &AddressVerification,
    account: Option<&User>,
    context: EventContext,
) -> Result<User> {
    let (challenge, now) = (&registration.challenge, context.at);
    let changes_email = challenge.kind == ChallengeKind::ChangeEmail;
    if account.is_none() && policy.registration.mode != RegistrationMode::Open {
        return Err(Error::RegistrationClosed);
    }
    // The rules may have changed since the request.
    if account.is_none() || changes_email {
        require_domain(policy, &registration.email)?;
    }
    release_unverified_email(conn, policy, &registration.email, challenge.user_id, now)?;
    release_username(conn, policy, &registration.email, challenge.user_id, now)?;
    let user = match account {
        Some(user) if changes_email => {
            set_verified_address(conn, policy, user, &registration.email, now)?
        }
        Some(user) => {
            let user = changes::mark_email_verified(conn, user.id, &registration.email, now)?
                .ok_or(Error::OneTimeTokenInvalid)?;
            name_by_address(conn, user, &registration.email, now)?
        }
        None => insert_verified_account(conn, registration, now)?,
    };
    let context = EventContext { user_id: Some(user.id), ..context };
    match account {
        Some(before) if changes_email => record_changes(conn, &context, before, &user)?,
        Some(_) => events::record(conn, &context, EventKind::EmailVerified, "")?,
        None => {
            events::record(conn, &context, EventKind::Registered, "")?;
            events::record(conn, &context, EventKind::EmailVerified, "")?;
        }
    }
    if account.is_none()
        && let Some(identity) = social_flows::find_pending_identity(conn, &challenge.id)?
    {
        let linked = link_identity(conn, &context, user.id, &identity, Some(&registration.email));
        linked.map_err(|error| match error {
            // Another registration with this identity was verified first.
            Error::IdentityConflict => Error::OneTimeTokenInvalid,
            other => other,
        })?;
    }
    challenges::set_owner(conn, &challenge.id, user.id)?;
    challenges::delete_of_address(conn, &registration.email, Some(&challenge.id))?;
    Ok(user)
}

/// Gives an account with a placeholder as its user name the e-mail address that it verified.
pub(crate) fn name_by_address(
    conn: &mut Conn,
    user: User,
    email: &Email,
    now: UtcTime,
) -> Result<User> {
    let name = Username::of_address(email);
    if !is_placeholder(&user.username) || users::find_id_by_username(conn, name.as_str())?.is_some()
    {
        return Ok(user);
    }
    let named = UserChanges { username: Some(name), ..UserChanges::default() };
    changes::update_user(conn, user.id, &named, now)?.ok_or(Error::OneTimeTokenInvalid)
}

fn insert_verified_account(
    conn: &mut Conn,
    registration: &AddressVerification,
    now: UtcTime,
) -> Result<User> {
    let new = NewUser { email_verified: true, ..new_user(registration) };
    let made = match users::insert_user(conn, &new, now) {
        // If another user has taken the user name meanwhile, the verification still counts. The
        // account is named by its address.
        Err(store::Error::Duplicate(Unique::Username)) => {
            let username = Username::of_address(&registration.email);
            users::insert_user(conn, &NewUser { username, ..new }, now)
        }
        made => made,
    };
    made.map_err(|error| match error {
        store::Error::Duplicate(_) => Error::OneTimeTokenInvalid,
        other => other.into(),
    })
}
