//! Changes of accounts: profile, e-mail address, password, log-ins.

use diesel::prelude::*;

use super::rights::end_tokens;
use super::{Row, find_by_id};
use crate::domain::{
    Email, EmailChange, Locale, Metadata, PasswordHash, Roles, User, UserId, Username, UtcTime,
};
use crate::store::engine::cached::Cached;
use crate::store::engine::transaction::in_transaction;
use crate::store::schema::users;
use crate::store::users::released_names::{self, Names};
use crate::store::{Conn, Result};

/// Changes of an account. A field that is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChanges {
    /// The user name.
    pub username: Option<Username>,
    /// The e-mail address. A new one is not verified.
    pub email: EmailChange,
    /// True if it may log in.
    pub is_active: Option<bool>,
    /// True for staff.
    pub is_staff: Option<bool>,
    /// The language of its mail.
    pub locale: Option<Locale>,
    /// Metadata that its front end keeps with it.
    pub metadata: Option<Metadata>,
    /// Metadata that staff and services keep with it.
    pub app_metadata: Option<Metadata>,
    /// Its roles.
    pub roles: Option<Roles>,
    /// Reason for disabling it; `Some(None)` for none.
    pub disabled_reason: Option<Option<String>>,
    /// Time at which it is enabled again; `Some(None)` for none.
    pub disabled_until: Option<Option<UtcTime>>,
}

#[derive(AsChangeset)]
#[diesel(table_name = users)]
#[expect(
    clippy::option_option,
    reason = "how Diesel tells apart to leave a column and to empty it"
)]
struct Changeset<'a> {
    username: Option<&'a str>,
    username_norm: Option<&'a str>,
    email: Option<Option<String>>,
    email_norm: Option<Option<String>>,
    is_active: Option<bool>,
    is_staff: Option<bool>,
    locale: Option<&'a str>,
    metadata: Option<String>,
    app_metadata: Option<String>,
    roles: Option<String>,
    disabled_reason: Option<Option<String>>,
    disabled_until: Option<Option<i64>>,
    updated_at: i64,
}

/// Updates an account; `None` if it was deleted. After [`crate::store::Error::Duplicate`] the
/// transaction can continue.
pub fn update_user(
    conn: &mut Conn,
    id: UserId,
    changes: &UserChanges,
    now: UtcTime,
) -> Result<Option<User>> {
    in_transaction(conn, |conn| {
        let email = match &changes.email {
            EmailChange::Keep => None,
            EmailChange::Remove => Some(None),
            EmailChange::Set(email) => Some(Some(email)),
        };
        let renames = changes.username.is_some() || email.is_some();
        if renames && let Some(before) = find_by_id(conn, id)? {
            let username = changes.username.as_ref().unwrap_or(&before.username);
            note_names(conn, &before, username, email.unwrap_or(before.email.as_ref()), now)?;
        }
        if let Some(email) = email {
            forget_verification_of_other_address(conn, id, email)?;
        }
        let text =
            |form: fn(&Email) -> &str| email.map(|email| email.map(|it| form(it).to_owned()));
        let row: Option<Row> = diesel::update(users::table.find(id.0))
            .set(Changeset {
                username: changes.username.as_ref().map(Username::as_str),
                username_norm: changes.username.as_ref().map(Username::normalised),
                email: text(Email::as_str),
                email_norm: text(Email::normalised),
                is_active: changes.is_active,
                is_staff: changes.is_staff,
                locale: changes.locale.as_ref().map(Locale::as_str),
                metadata: changes.metadata.as_ref().map(Metadata::to_text),
                app_metadata: changes.app_metadata.as_ref().map(Metadata::to_text),
                roles: changes.roles.as_ref().map(Roles::to_text),
                disabled_reason: changes.disabled_reason.clone(),
                disabled_until: changes.disabled_until.map(|until| until.map(UtcTime::micros)),
                updated_at: now.micros(),
            })
            .returning(users::all_columns)
            .get_result(conn)
            .optional()?;
        Ok(row.map(User::from))
    })
}

/// Resets the verification if the account gets another e-mail address.
fn forget_verification_of_other_address(
    conn: &mut Conn,
    id: UserId,
    email: Option<&Email>,
) -> Result<()> {
    let account = diesel::update(users::table.find(id.0)).set(users::email_verified.eq(false));
    match email.map(Email::normalised) {
        Some(norm) => {
            let other = users::email_norm.ne(norm).nullable();
            account.filter(users::email_norm.is_null().nullable().or(other)).execute(conn)?
        }
        None => account.execute(conn)?,
    };
    Ok(())
}

/// Notes the names that an account gets in place of its present ones. With the user name, tokens of
/// the Django REST adapter are revoked: they log in to the account that has the name.
fn note_names(
    conn: &mut Conn,
    user: &User,
    username: &Username,
    email: Option<&Email>,
    now: UtcTime,
) -> Result<()> {
    if user.username.as_str() != username.as_str() {
        end_tokens(conn, user.id, now)?;
    }
    let before = Names::of(&user.username, user.email.as_ref());
    released_names::change(conn, user.id, &before, &Names::of(username, email), now)
}

/// Sets a verified e-mail address, and the user name with it if it was the old address. After
/// [`crate::store::Error::Duplicate`] the transaction can continue.
pub fn change_email(conn: &mut Conn, user: &User, email: &Email, now: UtcTime) -> Result<User> {
    in_transaction(conn, |conn| {
        let own = user.email.as_ref().map(Email::normalised);
        let username = if own == Some(user.username.normalised()) {
            Username::of_address(email)
        } else {
            user.username.clone()
        };
        note_names(conn, user, &username, Some(email), now)?;
        let row: Row = diesel::update(users::table.find(user.id.0))
            .set((
                users::email.eq(email.as_str()),
                users::email_norm.eq(email.normalised()),
                users::email_verified.eq(true),
                users::username.eq(username.as_str()),
                users::username_norm.eq(username.normalised()),
                users::updated_at.eq(now.micros()),
            ))
            .returning(users::all_columns)
            .get_result(conn)?;
        Ok(row.into())
    })
}

/// Marks `email` as verified and returns the account, unless it is disabled or has another address.
pub fn mark_email_verified(
    conn: &mut Conn,
    id: UserId,
    email: &Email,
    now: UtcTime,
) -> Result<Option<User>> {
    let same_and_active = users::table
        .find(id.0)
        .filter(users::is_active.eq(true))
        .filter(users::email_norm.eq(email.normalised()));
    let row = diesel::update(same_and_active)
        .set((users::email_verified.eq(true), users::updated_at.eq(now.micros())))
        .returning(users::all_columns)
        .get_result::<Row>(conn)
        .optional()?;
    Ok(row.map(User::from))
}

/// Replaces the password hash `old`. Returns false if the account is disabled or another hash is
/// stored.
pub fn change_password(
    conn: &mut Conn,
    id: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
    now: UtcTime,
) -> Result<bool> {
    let unchanged = users::table
        .find(id.0)
        .filter(users::is_active.eq(true))
        .filter(users::password_hash.eq(old.expose()));
    let changed = diesel::update(unchanged)
        .set((users::password_hash.eq(new.expose()), users::updated_at.eq(now.micros())))
        .execute(conn)?;
    Ok(changed == 1)
}

/// Replaces the hash `old` of an unchanged password. Returns false if another hash is stored.
pub fn replace_password_hash(
    conn: &mut Conn,
    id: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
    now: UtcTime,
) -> Result<()> {
    diesel::update(users::table.find(id.0).filter(users::password_hash.eq(old.expose())))
        .set((users::password_hash.eq(new.expose()), users::updated_at.eq(now.micros())))
        .execute(conn)?;
    Ok(())
}

/// Records a log-in of an active account that still has the password hash `checked`.
pub fn record_login(
    conn: &mut Conn,
    id: UserId,
    checked: &PasswordHash,
    now: UtcTime,
) -> Result<Option<User>> {
    let unchanged = users::table
        .find(id.0)
        .filter(users::is_active.eq(true))
        .filter(users::password_hash.eq(checked.expose()));
    let update = diesel::update(unchanged).set(users::last_login_at.eq(now.micros()));
    let row = Cached(update.returning(users::all_columns)).get_result::<Row>(conn).optional()?;
    Ok(row.map(User::from))
}

/// Enables up to `limit` accounts that are disabled until `now` or earlier, and returns them.
pub fn enable_due(conn: &mut Conn, now: UtcTime, limit: i64) -> Result<Vec<User>> {
    let due: Vec<i64> = users::table
        .filter(users::disabled_until.le(now.micros()))
        .order(users::disabled_until)
        .select(users::id)
        .limit(limit)
        .load(conn)?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    // The time may have changed meanwhile.
    let due =
        users::table.filter(users::id.eq_any(due)).filter(users::disabled_until.le(now.micros()));
    let rows: Vec<Row> = diesel::update(due)
        .set((
            users::is_active.eq(true),
            users::disabled_until.eq(None::<i64>),
            users::disabled_reason.eq(None::<String>),
            users::updated_at.eq(now.micros()),
        ))
        .returning(users::all_columns)
        .get_results(conn)?;
    Ok(rows.into_iter().map(User::from).collect())
}
