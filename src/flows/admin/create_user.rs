//! Creation of accounts by staff and services, with a password or by an invitation.

use std::sync::Arc;

use crate::domain::{
    Challenge, ChallengeKind, Counted, Device, Email, EventContext, EventKind, Locale, Metadata,
    PasswordHash, PlainPassword, Roles, Scope, User, Username, UtcTime,
};
use crate::flows::access::Administrator;
use crate::flows::account::metadata::require_room_in_tokens;
use crate::flows::account::placeholder::{make_way, refuse_reserved};
use crate::flows::account::register::insert_account;
use crate::flows::account::report_unauthorized::release_changed_email;
use crate::flows::admin::users::apply_changes;
use crate::flows::limits::requester;
use crate::flows::{Caller, Error, Flows, Policy, Result};
use crate::security::access_token::TokenSettings;
use crate::store::outbox::{self, MailKind, NewMail};
use crate::store::users::changes::UserChanges;
use crate::store::users::{self, NewUser};
use crate::store::{Conn, challenges, events, identities};

/// An account that staff create.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The e-mail address.
    pub email: Email,
    /// The user name, if it differs from the address.
    pub username: Option<Username>,
    /// The password; without one, the user receives an invitation by mail.
    pub password: Option<PlainPassword>,
    /// The language of mail.
    pub locale: Option<Locale>,
    /// True for a staff account.
    pub is_staff: Option<bool>,
    /// Its roles in applications.
    pub roles: Option<Roles>,
    /// Metadata that staff and services keep with the account.
    pub app_metadata: Option<Metadata>,
}

/// An account that staff created or invited.
#[derive(Debug)]
pub struct CreatedAccount {
    /// The account.
    pub user: User,
    /// False if the user was invited before, and the invitation is sent again.
    pub is_new: bool,
}

impl NewAccount {
    fn into_user(self, password_hash: PasswordHash) -> NewUser {
        NewUser {
            password_hash,
            is_staff: self.is_staff.unwrap_or(false),
            locale: self.locale.unwrap_or_default(),
            roles: self.roles.unwrap_or_default(),
            app_metadata: self.app_metadata.unwrap_or_default(),
            ..NewUser::with_email(self.email, self.username)
        }
    }
}

impl Flows {
    /// Creates an account, or invites a user. A pending invitation is sent again, and what the
    /// request names replaces what the account has.
    pub fn create_user(
        &self,
        caller: &Caller,
        mut new: NewAccount,
        device: &Device,
    ) -> Result<CreatedAccount> {
        let by = self.administrator(caller, Scope::UsersWrite)?;
        if new.is_staff == Some(true) {
            by.may_set_staff()?;
        }
        let Some(password) = new.password.take() else {
            return self.insert_account_of(&by, new, PasswordHash::unusable());
        };
        let name = new.username.as_ref().map(Username::as_str);
        self.check_new_password("password", &password, Some(&new.email), name)?;
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
        let (now, tokens) = (self.now(), Arc::clone(self.access_tokens.settings()));
        let (creator, policy) = (by.clone(), Arc::clone(&self.policy));
        let created = self.write_accounts(move |conn| {
            challenges::lock_address(conn, &new.email)?;
            creator.recheck(conn, now)?;
            let invited = if is_invited { find_invited(conn, &new.email)? } else { None };
            let created = match invited {
                Some(user) => {
                    creator.may_modify(conn, &user, now)?;
                    let context = creator.context(user.id, now);
                    invite_again(conn, &tokens, &user, new, &context)?
                }
                None => {
                    insert_or_invite(conn, &policy, new.into_user(password_hash), &creator, now)?
                }
            };
            require_room_in_tokens(&tokens, &created.user, "app_metadata", now)?;
            Ok::<_, Error>(created)
        })?;
        self.note_rights(&created.user);
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

/// Sends a pending invitation again, with the changes of the account that the request names.
fn invite_again(
    conn: &mut Conn,
    tokens: &TokenSettings,
    user: &User,
    new: NewAccount,
    context: &EventContext,
) -> Result<CreatedAccount> {
    if let Some(name) = &new.username {
        refuse_reserved(name, Some(&user.username))?;
    }
    let changes = UserChanges {
        username: new.username,
        locale: new.locale,
        is_staff: new.is_staff,
        roles: new.roles,
        app_metadata: new.app_metadata,
        ..UserChanges::default()
    };
    let user = apply_changes(conn, tokens, user, context, &changes)?;
    events::record(conn, context, EventKind::InvitedAgain, "")?;
    queue_invitation(conn, &user, context.at)?;
    Ok(CreatedAccount { user, is_new: false })
}

/// Creates an account; without a password, sends an invitation.
fn insert_or_invite(
    conn: &mut Conn,
    policy: &Policy,
    mut new: NewUser,
    by: &Administrator,
    now: UtcTime,
) -> Result<CreatedAccount> {
    let is_invited = new.password_hash == PasswordHash::unusable();
    refuse_reserved(&new.username, None)?;
    if let Some(email) = &new.email {
        release_changed_email(conn, policy, email, now)?;
    }
    make_way(conn, &mut new, now)?;
    let user = insert_account(conn, &new, now)?;
    let how = if is_invited { "invited" } else { "" };
    let context = by.context(user.id, now);
    events::record(conn, &context, EventKind::AccountCreatedByStaff, how)?;
    if is_invited {
        queue_invitation(conn, &user, now)?;
    }
    Ok(CreatedAccount { user, is_new: true })
}

/// Queues an invitation to choose a password. It replaces an earlier one.
pub(crate) fn queue_invitation(conn: &mut Conn, user: &User, now: UtcTime) -> Result<()> {
    let Some(email) = &user.email else { return Ok(()) };
    let kind = ChallengeKind::Invitation;
    let remember_from = now.before(Challenge::MEMORY);
    let wrong_codes = challenges::supersede(conn, user.id, kind, remember_from)?;
    let challenge =
        Challenge { email: user.email.clone(), ..Challenge::new(kind, Some(user.id), now) };
    challenges::insert_challenge(conn, &challenge, wrong_codes)?;
    let mail = NewMail::new(MailKind::Invitation, email, &user.locale, challenge.id.as_str());
    let mail = NewMail { about: Some(user.id), ..mail };
    Ok(outbox::enqueue(conn, &mail, now)?)
}

/// Finds the account of a pending invitation, and locks it.
fn find_invited(conn: &mut Conn, email: &Email) -> Result<Option<User>> {
    let Some(found) = users::find_by_email(conn, email)? else { return Ok(None) };
    let Some(user) = users::lock_user(conn, found.id)? else { return Ok(None) };
    Ok(if user.has_email(email) && is_invited(conn, &user)? { Some(user) } else { None })
}

/// Returns whether the user was invited, and has not accepted yet.
pub(crate) fn is_invited(conn: &mut Conn, user: &User) -> Result<bool> {
    if !user.is_active || user.email_verified || user.password_hash != PasswordHash::unusable() {
        return Ok(false);
    }
    // An account created by a social log-in has no password either, and its user may not own the
    // address.
    Ok(identities::list_of_user(conn, user.id)?.is_empty())
}
