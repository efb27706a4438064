//! Proving an address. The registration that is proven becomes an account (or marks its account's
//! address as verified); every other registration of the address is gone.
//!
//! The same proof answers the same success again: mail programs and impatient people open a link
//! twice.

use crate::domain::token::Secrets;
use crate::domain::{
    Amr, ChallengeKind, Counted, Counter, Device, Email, EventContext, EventKind, PlainPassword,
    PlainToken, Registration, RegistrationMode, TokenHash, Transport, User, UtcTime,
};
use crate::flows::account::change_email::take_address;
use crate::flows::account::register::new_user;
use crate::flows::account::release_username::release_username;
use crate::flows::account::report_unauthorized::free_address;
use crate::flows::audit::record_changes;
use crate::flows::challenges::{check_code, pad_refusal};
use crate::flows::limits::requester;
use crate::flows::password::reauthenticate::lock_active;
use crate::flows::sign_in::{SignIn, earlier_or_first, sign_in_once};
use crate::flows::social::identities::link_identity;
use crate::flows::{Error, Flows, LoggedIn, LoginContext, Policy, Result, VerifyEmailProof};
use crate::store::registrations::{self, Found};
use crate::store::{self, Conn, Unique, challenges, events, social_flows, users};

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
        let proofs = Counter::new(Counted::ProofsOfNetwork, &device.network);
        pad_refusal(|| {
            self.count(vec![proofs], || self.answer_verification(proof, opening, device))
        })
    }

    fn answer_verification(
        &self,
        proof: Proof,
        opening: Opening,
        device: &Device,
    ) -> Result<VerifiedEmail> {
        let now = self.now();
        let amr = match &proof {
            Proof::LinkWithPassword { .. } => Amr::password(),
            Proof::Code { .. } | Proof::LinkInSameBrowser { .. } | Proof::Link { .. } => {
                Amr::email()
            }
        };
        let registration = self.proven_registration(proof, device, now)?;
        let first_tokens = self.secrets.first_tokens(registration.challenge.id.as_str());
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
                    Ok::<_, Error>(find_by_code(conn, &secrets, &registration_token, &code, now)?)
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
        let challenge = &registration.challenge;
        let asked_for_it = |token: &TokenHash| {
            challenge.holder_hash.as_ref().is_some_and(|holder| token.matches(holder))
        };
        match holder {
            Holder::Browser(token) if asked_for_it(&token) => Ok(registration),
            Holder::Password(password) => self.attempt_with_link(&challenge.id, || {
                let requester = requester(registration.email.normalised().to_owned(), device);
                let stored = Some(&registration.password_hash);
                let verdict = self.hasher.verify(requester, &password, stored)?;
                if verdict.matches {
                    Ok(registration.clone())
                } else {
                    Err(Error::InvalidCredentials)
                }
            }),
            // Who opens the mail has not shown to own the identity of a social log-in, which the
            // account would be opened with.
            Holder::Unproven
                if self.policy.verify_email_proof == VerifyEmailProof::Link
                    && registration.password_hash.is_usable() =>
            {
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
        Some(Found::Registration(it)) if !it.challenge.has_expired(now) => Ok(*it),
        Some(Found::Registration(_) | Found::Erased) => Err(Error::OneTimeTokenExpired),
    }
}

/// Returns the registration that the client with `registration_token` has the code of.
fn find_by_code(
    conn: &mut Conn,
    secrets: &Secrets,
    registration_token: &PlainToken,
    code: &PlainToken,
    now: UtcTime,
) -> store::Result<Result<Registration>> {
    let found = registrations::find_by_holder(conn, &registration_token.hash())?;
    let registration = match unexpired(found, Error::CodeInvalid, now) {
        Ok(registration) => registration,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let is_right = check_code(conn, secrets, Some(&registration.challenge), code, now)?;
    Ok(if is_right { Ok(registration) } else { Err(Error::CodeInvalid) })
}

/// The account of a proven address. Of many who prove it at once one makes it, the others find it.
fn prove(
    conn: &mut Conn,
    policy: &Policy,
    registration: &Registration,
    scene: EventContext,
) -> Result<User> {
    let now = scene.at;
    let challenge = &registration.challenge;
    // Each of several would change its own row and then wait for the other's.
    challenges::lock_address(conn, &registration.email)?;
    // Before its registrations: whoever changes the account and then removes them comes this way too.
    let account = match challenge.user_id {
        Some(id) => Some(lock_active(conn, id)?.ok_or(Error::OneTimeTokenInvalid)?),
        None => None,
    };
    if challenges::consume_challenge(conn, &challenge.id, now)? {
        let changes_email = challenge.kind == ChallengeKind::ChangeEmail;
        free_address(conn, policy, &registration.email, challenge.user_id, now)?;
        release_username(conn, policy, &registration.email, challenge.user_id, now)?;
        let user = match &account {
            Some(user) if changes_email => {
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
            Some(before) if changes_email => record_changes(conn, &scene, before, &user)?,
            Some(_) => events::record(conn, &scene, EventKind::EmailVerified, "")?,
            None => {
                events::record(conn, &scene, EventKind::Registered, "")?;
                events::record(conn, &scene, EventKind::EmailVerified, "")?;
            }
        }
        if account.is_none()
            && let Some(identity) = social_flows::find_pending_identity(conn, &challenge.id)?
        {
            let linked = link_identity(conn, &scene, user.id, &identity, Some(&registration.email));
            linked.map_err(|error| match error {
                // Another registration with this identity was verified first.
                Error::IdentityConflict => Error::OneTimeTokenInvalid,
                other => other,
            })?;
        }
        challenges::set_owner(conn, &challenge.id, user.id)?;
        challenges::delete_of_address(conn, &registration.email, Some(&challenge.id))?;
        return Ok(user);
    }
    // Another request was faster: the same proof, or another registration of the same address.
    let owner = challenges::find_by_id(conn, &challenge.id)?.and_then(|it| it.user_id);
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
