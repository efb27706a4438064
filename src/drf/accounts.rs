//! Flows of the adapter for accounts (`/users/`). Staff manage accounts without confirming their
//! password.

use std::sync::Arc;

use crate::domain::{
    ChallengeKind, Counted, Counter, Device, Email, EmailChange, EventContext, EventKind, Fault,
    MailRequest, User, UserId, Username, UtcTime,
};
use crate::drf::flows::{Authenticated, DrfFlows};
use crate::flows::access::may_modify;
use crate::flows::account::change_email::notify_old_address;
use crate::flows::account::delete::{delete_account, keep_one_superuser, lock_for_staff};
use crate::flows::account::metadata::require_room_after_change;
use crate::flows::account::placeholder::refuse_reserved;
use crate::flows::admin::users::renew_rights;
use crate::flows::audit::record_changes;
use crate::flows::password::change::forget_pending;
use crate::flows::{Error, Flows, Result};
use crate::store::users::changes::{self, UserChanges};
use crate::store::users::{self, NewUser};
use crate::store::{self, Conn, challenges, events};

/// Fields of an account in the adapter. A field that is `None` is kept.
#[derive(Clone, Debug, Default)]
pub struct AccountFields {
    /// The user name.
    pub username: Option<Username>,
    /// The e-mail address.
    pub email: EmailChange,
    /// True for staff.
    pub is_staff: Option<bool>,
}

/// Fields with a value that belongs to another user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The user name.
    pub username: bool,
    /// The e-mail address.
    pub email: bool,
}

impl DrfFlows<'_> {
    /// Returns a user.
    pub fn find_user(&self, id: UserId) -> Result<Option<User>> {
        Ok(self.core.db.read(|conn| users::find_by_id(conn, id))?)
    }

    /// Returns whether `by` may give an account this address. The rules about domains do not bind
    /// staff, nor an address that the user already has.
    pub fn may_set_address(&self, by: &User, email: &Email) -> bool {
        by.is_staff
            || by.has_email(email)
            || self.core.policy.registration.check_domain(email).is_ok()
    }

    /// Returns the fields of `wanted` that belong to another account than `own`. The response
    /// reveals which addresses are taken, so users who are not staff may ask about as many
    /// addresses as they may request mails for.
    pub fn taken(
        &self,
        by: &User,
        wanted: &AccountFields,
        own: Option<UserId>,
        device: &Device,
    ) -> Result<Taken> {
        let mut counters = Vec::new();
        if !by.is_staff {
            for email in other_addresses(by, wanted) {
                let question = MailRequest::new(ChallengeKind::ChangeEmail, &email, device);
                counters.extend(question.of_network());
                counters.push(Counter::new(Counted::AddressesOfUser, by.id.to_string()));
            }
        }
        self.core.count(counters, || Ok(self.core.db.read(|conn| taken(conn, wanted, own))?))
    }

    /// Creates an active account without a password, for staff.
    pub fn create_user(&self, by: &Authenticated, fields: AccountFields) -> Result<User> {
        let wanted = fields.clone();
        let username = fields.username.ok_or_else(|| Error::Internal("no username".to_owned()))?;
        let new = NewUser {
            email: match fields.email {
                EmailChange::Set(email) => Some(email),
                EmailChange::Keep | EmailChange::Remove => None,
            },
            is_staff: fields.is_staff.unwrap_or(false),
            ..NewUser::named(username)
        };
        let (sender, by, now) = (by.clone(), by.user.id, self.core.now());
        let user = self.core.write_accounts(move |conn| {
            lock_new_address(conn, &wanted)?;
            if !sender.recheck(conn)?.is_staff {
                return Err(Error::PermissionDenied);
            }
            refuse_taken(conn, &wanted, None)?;
            let user = users::insert_user(conn, &new, now)?;
            let context = EventContext::of(user.id, now).by(by);
            events::record(conn, &context, EventKind::AccountCreatedByStaff, "")?;
            Ok::<_, Error>(user)
        })?;
        tracing::info!(
            by = by.0,
            user_id = user.id.0,
            "account created at the Django REST adapter"
        );
        Ok(user)
    }

    /// Changes an account for `by` at `device`; `None` if it was deleted.
    pub fn update_user(
        &self,
        by: &Authenticated,
        id: UserId,
        fields: AccountFields,
        device: &Device,
    ) -> Result<Option<User>> {
        let (actor, policy, clock) =
            (by.user.id, Arc::clone(&self.core.policy), Arc::clone(&self.core.clock));
        let tokens = Arc::clone(self.core.access_tokens.settings());
        let (sender, device) = (by.clone(), device.clone());
        let user = self.core.write_accounts(move |conn| {
            lock_new_address(conn, &fields)?;
            let before = match lock_for_staff(conn, id) {
                Ok(user) => user,
                Err(Error::NotFound) => return Ok(None),
                Err(error) => return Err(error),
            };
            // Tokens may have been issued while this waited for the account.
            let now = clock.now();
            let by = sender.recheck(conn)?;
            may_touch_other(&by, &before)?;
            refuse_taken(conn, &fields, Some(&before))?;
            let changes = changes_by(&sender.user, &before, fields)?;
            if changes.is_staff == Some(false) {
                keep_one_superuser(conn, &before)?;
            }
            let Some(after) = changes::update_user(conn, id, &changes, now)? else {
                return Ok(None);
            };
            let field = if before.email == after.email { "username" } else { "email" };
            require_room_after_change(&tokens, Some(&before), &after, field, now)?;
            record_changes(conn, &context_of_change(id, &by, &device, now), &before, &after)?;
            let after = renew_rights(conn, &tokens, &before, after, now)?;
            if before.email != after.email {
                forget_pending(conn, &before)?;
            }
            notify_old_address(conn, &policy, &before, &after, now)?;
            Ok::<_, Error>(Some(after))
        })?;
        if let Some(user) = &user {
            self.core.note_rights(user);
            tracing::info!(
                by = actor.0,
                user_id = user.id.0,
                "account changed at the Django REST adapter"
            );
        }
        Ok(user)
    }

    /// Deletes an account for `by` and ends its sessions. Returns whether it existed.
    pub fn delete_user(&self, by: &Authenticated, id: UserId) -> Result<bool> {
        let (now, actor, sender) = (self.core.now(), by.user.id, by.clone());
        let deletion =
            self.core.write_deletion(id, move |conn, rows| match lock_for_staff(conn, id) {
                Ok(user) => {
                    let by = sender.recheck(conn)?;
                    may_touch_other(&by, &user)?;
                    let context = EventContext::of(id, now);
                    let context = if by.id == id { context } else { context.by(by.id) };
                    Ok(Some(delete_account(conn, &user, &context, rows)?))
                }
                Err(Error::NotFound) => Ok(None),
                Err(error) => Err(error),
            })?;
        let existed = deletion.is_some();
        if let Some(deletion) = deletion {
            self.core.note_deleted(id, deletion, now);
            tracing::info!(
                by = actor.0,
                user_id = id.0,
                "account deleted at the Django REST adapter"
            );
        }
        Ok(existed)
    }
}

/// Returns up to `limit` users with ids above `after`, in the order of their ids.
pub fn list_users(core: &Flows, after: UserId, limit: i64) -> Result<Vec<User>> {
    Ok(core.db.read(|conn| users::list_page(conn, after, limit))?)
}

/// Checks that `by` may change `user`: the own account, or others as under `/v1`.
fn may_touch_other(by: &User, user: &User) -> Result<()> {
    if by.id == user.id { Ok(()) } else { may_modify(by, user) }
}

/// Returns the changes of the account `before` by a user who was read as `by`. Users who are not
/// staff keep their staff flag, and can only have a user name that cannot pass for another's.
fn changes_by(by: &User, before: &User, fields: AccountFields) -> Result<UserChanges> {
    let AccountFields { username, email, is_staff } = fields;
    let changes = UserChanges { username, email, ..UserChanges::default() };
    if by.is_staff {
        return Ok(UserChanges { is_staff, ..changes });
    }
    if changes.username.as_ref().is_some_and(|name| !before.may_take_name(name)) {
        return Err(Error::invalid("username", Fault::InvalidUsername));
    }
    Ok(let_name_follow(before, changes))
}

/// Makes a user name that is the e-mail address follow a change of it: it must not block the
/// address for its owner.
fn let_name_follow(before: &User, mut changes: UserChanges) -> UserChanges {
    let name = changes.username.as_ref().unwrap_or(&before.username);
    let email = match &changes.email {
        EmailChange::Keep => before.email.as_ref(),
        EmailChange::Set(email) => Some(email),
        EmailChange::Remove => None,
    };
    if let Some(email) = email
        && name.normalised().contains('@')
        && *name != Username::of_address(email)
    {
        changes.username = Some(Username::of_address(email));
    }
    changes
}

/// Returns the context of a change of that account by the user or by staff.
fn context_of_change(id: UserId, by: &User, device: &Device, now: UtcTime) -> EventContext {
    let context = EventContext::of(id, now);
    if by.id == id { context.on(device) } else { context.by(by.id) }
}

/// Locks the address that an account is given, before the account, as a verification of it does.
fn lock_new_address(conn: &mut Conn, fields: &AccountFields) -> Result<()> {
    if let EmailChange::Set(email) = &fields.email {
        challenges::lock_address(conn, email)?;
    }
    Ok(())
}

/// Returns the addresses in `wanted` that are not those of `user`.
fn other_addresses(user: &User, wanted: &AccountFields) -> Vec<Email> {
    let other_name = wanted.username.as_ref().filter(|name| **name != user.username);
    let named = other_name.and_then(Username::named_address);
    let mailed = match &wanted.email {
        EmailChange::Set(email) => Some(email.clone()),
        EmailChange::Keep | EmailChange::Remove => None,
    };
    let own = user.email.as_ref().map(Email::normalised);
    [named, mailed].into_iter().flatten().filter(|it| Some(it.normalised()) != own).collect()
}

/// Refuses fields that belong to another account than `own`, or that only placeholders may have.
fn refuse_taken(conn: &mut Conn, wanted: &AccountFields, own: Option<&User>) -> Result<()> {
    let taken = taken(conn, wanted, own.map(|user| user.id))?;
    if taken.username {
        return Err(Error::UsernameTaken);
    }
    if taken.email {
        return Err(Error::EmailTaken);
    }
    let Some(username) = &wanted.username else { return Ok(()) };
    refuse_reserved(username, own.map(|user| &user.username))
}

fn taken(conn: &mut Conn, wanted: &AccountFields, own: Option<UserId>) -> store::Result<Taken> {
    let is_another = |found: Option<User>| found.is_some_and(|user| Some(user.id) != own);
    let mut taken = Taken::default();
    if let Some(username) = &wanted.username {
        taken.username = is_another(users::find_by_username(conn, username.as_str())?);
        // A user name that is the address of another user could pass for that user.
        if let (false, Some(email)) = (taken.username, username.named_address()) {
            taken.username = is_another(users::find_by_email(conn, &email)?);
        }
    }
    if let EmailChange::Set(email) = &wanted.email {
        taken.email = is_another(users::find_by_email(conn, email)?);
    }
    Ok(taken)
}
