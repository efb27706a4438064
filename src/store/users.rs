//! Accounts: the rows of `users`.

pub mod changes;
pub mod deletion;
pub mod erasures;
pub mod released_names;
pub mod rights;
pub mod search;

use diesel::prelude::*;

use self::released_names::Names;
use super::schema::users;
use super::{Conn, Result};
use crate::domain::{
    Email, Locale, Metadata, PasswordHash, Roles, User, UserId, Username, UtcTime,
};

#[derive(Queryable)]
pub(super) struct Row {
    id: i64,
    pub(super) username: String,
    _username_norm: String,
    pub(super) email: Option<String>,
    _email_norm: Option<String>,
    email_verified: bool,
    password_hash: String,
    is_active: bool,
    is_staff: bool,
    is_superuser: bool,
    locale: String,
    created_at: i64,
    updated_at: i64,
    last_login_at: Option<i64>,
    metadata: String,
    disabled_reason: Option<String>,
    tokens_from: i64,
    rights_changed_at: i64,
    pub(super) roles: String,
    app_metadata: String,
    disabled_until: Option<i64>,
    _deleted_at: Option<i64>,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: UserId(row.id),
            username: Username::unchecked(&row.username),
            email: row.email.as_deref().map(Email::unchecked),
            email_verified: row.email_verified,
            password_hash: PasswordHash::stored(row.password_hash),
            is_active: row.is_active,
            is_staff: row.is_staff,
            is_superuser: row.is_superuser,
            locale: Locale::parse(&row.locale).unwrap_or_default(),
            created_at: UtcTime::from_micros(row.created_at),
            updated_at: UtcTime::from_micros(row.updated_at),
            last_login_at: row.last_login_at.map(UtcTime::from_micros),
            metadata: Metadata::known(&row.metadata),
            disabled_reason: row.disabled_reason,
            tokens_from: UtcTime::from_micros(row.tokens_from),
            rights_changed_at: UtcTime::from_micros(row.rights_changed_at),
            roles: Roles::known(&row.roles),
            app_metadata: Metadata::known(&row.app_metadata),
            disabled_until: row.disabled_until.map(UtcTime::from_micros),
        }
    }
}

/// An account to insert.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The user name.
    pub username: Username,
    /// The e-mail address, if it has one.
    pub email: Option<Email>,
    /// True if the e-mail address is verified.
    pub email_verified: bool,
    /// The stored password.
    pub password_hash: PasswordHash,
    /// True for staff.
    pub is_staff: bool,
    /// True for a superuser.
    pub is_superuser: bool,
    /// The language of its mail.
    pub locale: Locale,
    /// Its roles.
    pub roles: Roles,
    /// Metadata that staff and services keep with it.
    pub app_metadata: Metadata,
}

impl NewUser {
    /// Returns an account without address, password and rights.
    pub fn named(username: Username) -> Self {
        Self {
            username,
            email: None,
            email_verified: false,
            password_hash: PasswordHash::unusable(),
            is_staff: false,
            is_superuser: false,
            locale: Locale::default(),
            roles: Roles::default(),
            app_metadata: Metadata::default(),
        }
    }

    /// Returns an account with an unverified address, which is its user name unless it has another,
    /// without password and rights.
    pub fn with_email(email: Email, username: Option<Username>) -> Self {
        let username = username.unwrap_or_else(|| Username::of_address(&email));
        Self { email: Some(email), ..Self::named(username) }
    }

    /// Returns whether the e-mail address serves as the user name.
    pub fn chose_no_name(&self) -> bool {
        self.email.as_ref().is_some_and(|email| self.username == Username::of_address(email))
    }
}

/// Inserts an active account. After [`super::Error::Duplicate`] the transaction can continue.
pub fn insert_user(conn: &mut Conn, new: &NewUser, now: UtcTime) -> Result<User> {
    crate::store::engine::transaction::in_transaction(conn, |conn| {
        let row: Row = diesel::insert_into(users::table)
            .values((
                users::username.eq(new.username.as_str()),
                users::username_norm.eq(new.username.normalised()),
                users::email.eq(new.email.as_ref().map(Email::as_str)),
                users::email_norm.eq(new.email.as_ref().map(Email::normalised)),
                users::email_verified.eq(new.email_verified),
                users::password_hash.eq(new.password_hash.expose()),
                users::is_active.eq(true),
                users::is_staff.eq(new.is_staff),
                users::is_superuser.eq(new.is_superuser),
                users::locale.eq(new.locale.as_str()),
                users::roles.eq(new.roles.to_text()),
                users::app_metadata.eq(new.app_metadata.to_text()),
                users::created_at.eq(now.micros()),
                users::updated_at.eq(now.micros()),
                users::tokens_from.eq(now.micros()),
            ))
            .returning(users::all_columns)
            .get_result(conn)?;
        let names = Names::of(&new.username, new.email.as_ref());
        released_names::change(conn, UserId(row.id), &Names::default(), &names, now)?;
        Ok(row.into())
    })
}

/// The accounts that are not deleted ([`deletion`]). Deleted ones have no address, and a name to
/// which no log-in is normalised.
#[diesel::dsl::auto_type(no_type_alias)]
fn present() -> _ {
    users::table.filter(users::deleted_at.is_null())
}

/// Returns the account with that id.
pub fn find_by_id(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    Ok(present().filter(users::id.eq(id.0)).first::<Row>(conn).optional()?.map(User::from))
}

/// Returns the key of a user name. Postgres refuses a statement with NUL, and no name has one.
pub(super) fn key_of_name(name: &str) -> Option<String> {
    (!name.contains('\0')).then(|| Username::normalise(name))
}

/// Returns the id of the account with that user name, without regard to case.
pub fn find_id_by_username(conn: &mut Conn, name: &str) -> Result<Option<UserId>> {
    let Some(norm) = key_of_name(name) else { return Ok(None) };
    let named = users::table.filter(users::username_norm.eq(norm));
    Ok(named.select(users::id).first(conn).optional()?.map(UserId))
}

/// Returns the id of the account with that e-mail address.
pub fn find_id_by_email(conn: &mut Conn, email: &Email) -> Result<Option<UserId>> {
    let owned = users::table.filter(users::email_norm.eq(email.normalised()));
    Ok(owned.select(users::id).first(conn).optional()?.map(UserId))
}

/// Returns the account with exactly that user name; case counts.
pub fn find_by_exact_username(conn: &mut Conn, name: &str) -> Result<Option<User>> {
    Ok(find_by_username(conn, name)?.filter(|user| user.username.as_str() == name))
}

/// Returns the account with that user name, without regard to case.
pub fn find_by_username(conn: &mut Conn, name: &str) -> Result<Option<User>> {
    let Some(norm) = key_of_name(name) else { return Ok(None) };
    let row = users::table.filter(users::username_norm.eq(norm)).first::<Row>(conn).optional()?;
    Ok(row.map(User::from))
}

/// Returns the account with that e-mail address.
pub fn find_by_email(conn: &mut Conn, email: &Email) -> Result<Option<User>> {
    let row = users::table
        .filter(users::email_norm.eq(email.normalised()))
        .first::<Row>(conn)
        .optional()?;
    Ok(row.map(User::from))
}

/// Returns up to `limit` users with ids above `after`, in the order of their ids.
pub fn list_page(conn: &mut Conn, after: UserId, limit: i64) -> Result<Vec<User>> {
    let rows =
        present().filter(users::id.gt(after.0)).order(users::id).limit(limit).load::<Row>(conn)?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Locks the account with that id until the end of the transaction, and returns it.
pub fn lock_user(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    let row = present().filter(users::id.eq(id.0));
    let row = match conn {
        Conn::Postgres(postgres) => row.for_no_key_update().first::<Row>(postgres).optional()?,
        // SQLite has one writer.
        Conn::Sqlite(sqlite) => row.first::<Row>(sqlite).optional()?,
    };
    Ok(row.map(User::from))
}

/// Locks the account with that id, or the next one that exists, against deletion until the end of
/// the transaction, and returns its id.
pub fn hold_from(conn: &mut Conn, id: UserId) -> Result<Option<UserId>> {
    let numbers = present().filter(users::id.ge(id.0)).order(users::id).limit(1).select(users::id);
    let held: Option<i64> = match conn {
        Conn::Postgres(postgres) => numbers.for_key_share().get_result(postgres).optional()?,
        // SQLite has one writer.
        Conn::Sqlite(sqlite) => numbers.get_result(sqlite).optional()?,
    };
    Ok(held.map(UserId))
}
