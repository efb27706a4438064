//! Creation of accounts by staff and services, with a password or by an invitation.

use std::sync::Arc;

use crate::domain::{
    Challenge, ChallengeKind, Counted, Device, Email, EventKind, Locale, Metadata, PasswordHash,
    PlainPassword, Roles, Scope, User, Username, UtcTime,
};
use crate::flows::access::Administrator;
use crate::flows::account::metadata::require_room_in_tokens;
use crate::flows::account::placeholder::{make_way, refuse_reserved};
use crate::flows::account::register::insert_account;
use crate::flows::account::report_unauthorized::release_changed_email;
use crate::flows::limits::requester;
use crate::flows::{Caller, Error, Flows, Policy, Result};
use crate::store::outbox::{self, MailKind, NewMail};
use crate::store::users::{self, NewUser};
use crate::store::{Conn, challenges, events, identities};

/// An account that staff create.
#[derive(Debug)]
pub struct NewAccount {
    /// The e-mail address.
    pub email: Email,
    /// The user name, if it differs from the address.
    pub username: Option<Username>,
    /// The password; without one, the user receives an invitation by mail.
    pub password: Option<PlainPassword>,
    /// The language of mail.
    pub locale: Locale,
    /// True for a staff account.
    pub is_staff: bool,
    /// Its roles in applications.
    pub roles: Roles,
    /// Metadata that staff and services keep with the account.
    pub app_metadata: Metadata,
}

/// An account that staff created or invited.
#[derive(Debug)]
pub struct CreatedAccount {
    /// The account.
    pub user: User,
    /// False if the user was invited before, and the invitation is sent again.
    pub is_new: bool,
}

impl Flows {
    /// Creates an account, or invites a user. A pending invitation is sent again.
    pub fn create_user(
        &self,
        caller: &Caller,
        mut new: NewAccount,
        device: &Device,
    ) -> Result<CreatedAccount> {
        let by = self.administrator(caller, Scope::UsersWrite)?;
        if new.is_staff {
            by.may_set_staff()?;
        }
        let Some(password) = new.password.take() else {
            return self.insert_account_of(&by, new, PasswordHash::unusable());
        };
        let name = new.username.as_ref().map(Username::as_str);
        self.policy
            .password
            .check(&password, Some(&new.email), name)
            .map_err(|fault| Error::invalid("password", fault))?;
        self.refuse_breached("password", &password)?;
        let whose = requester(format!("\0{by}"), device);
        self.count_hashes(Counted::HashesOfStaff, &by, device, || {
            let hash = self.hasher.hash(whose, &password)?;
            self.insert_account_of(&by, new, hash)
        })
    }

    fn insert_account_of(
        &self,
        by: &Administrator,
        new: NewAccount,
        password_hash: PasswordHash,
    ) -> Result<CreatedAccount> {
        let is_invited = password_hash == PasswordHash::unusable();
        let account = NewUser {
            username: new.username.unwrap_or_else(|| Username::of_address(&new.email)),
            email: Some(new.email),
            email_verified: false,
            password_hash,
            is_staff: new.is_staff,
            is_superuser: false,
            locale: new.locale,
            roles: new.roles,
            app_metadata: new.app_metadata,
        };
        let (now, tokens) = (self.now(), Arc::clone(self.access_tokens.settings()));
        let (creator, policy) = (by.clone(), self.policy.clone());
        let created = self.db.write(move |conn| {
            creator.recheck(conn, now)?;
            let created = insert_or_invite(conn, &policy, account, &creator, is_invited, now)?;
            require_room_in_tokens(&tokens, &created.user, "app_metadata", now)?;
            Ok::<_, Error>(created)
        })?;
        self.learn_renewed_rights();
        let (user_id, is_new) = (created.user.id.0, created.is_new);
        tracing::info!(
            by = by.staff_id(),
            api_key = by.api_key(),
            user_id,
            is_invited,
            is_new,
            "account created by staff"
        );
        Ok(created)
    }
}

/// Creates an account, or finds the invited one. Returns whether it is new.
fn insert_or_invite(
    conn: &mut Conn,
    policy: &Policy,
    mut account: NewUser,
    by: &Administrator,
    is_invited: bool,
    now: UtcTime,
) -> Result<CreatedAccount> {
    if is_invited && let Some(user) = find_invited(conn, account.email.as_ref())? {
        by.may_modify(conn, &user, now)?;
        events::record(conn, &by.context(user.id, now), EventKind::InvitedAgain, "")?;
        queue_invitation(conn, &user, now)?;
        return Ok(CreatedAccount { user, is_new: false });
    }
    refuse_reserved(&account.username, None)?;
    if let Some(email) = &account.email {
        release_changed_email(conn, policy, email, now)?;
    }
    make_way(conn, &mut account, now)?;
    let user = insert_account(conn, &account, now)?;
    let how = if is_invited { "invited" } else { "" };
    let context = by.context(user.id, now);
    events::record(conn, &context, EventKind::AccountCreatedByStaff, how)?;
    if is_invited {
        queue_invitation(conn, &user, now)?;
    }
    Ok(CreatedAccount { user, is_new: true })
}

/// Queues an invitation to choose a password. It replaces an earlier one.
fn queue_invitation(conn: &mut Conn, user: &User, now: UtcTime) -> Result<()> {
    let Some(email) = &user.email else { return Ok(()) };
    let kind = ChallengeKind::Invitation;
    let remember_from = now.before(Challenge::MEMORY);
    let wrong_codes = challenges::supersede(conn, user.id, kind, remember_from)?;
    let challenge =
        Challenge { email: user.email.clone(), ..Challenge::new(kind, Some(user.id), now) };
    challenges::insert_challenge(conn, &challenge, wrong_codes)?;
    let mail = NewMail {
        kind: MailKind::Invitation,
        recipient: email,
        locale: &user.locale,
        subject_id: challenge.id.as_str(),
        about: Some(user.id),
    };
    Ok(outbox::enqueue(conn, &mail, now)?)
}

/// Finds the account of a pending invitation.
fn find_invited(conn: &mut Conn, email: Option<&Email>) -> Result<Option<User>> {
    let Some(email) = email else { return Ok(None) };
    let found = users::find_by_email(conn, email)?.filter(|user| {
        user.is_active && !user.email_verified && user.password_hash == PasswordHash::unusable()
    });
    let Some(user) = found else { return Ok(None) };
    // An account created by a social log-in has no password either, and its user may not own the
    // address.
    let has_identity = !identities::list_of_user(conn, user.id)?.is_empty();
    Ok(Some(user).filter(|_| !has_identity))
}
