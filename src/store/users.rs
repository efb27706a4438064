//! Accounts.

use diesel::prelude::*;

use super::schema::users;
use super::{Conn, Result};
use crate::domain::{Email, EmailChange, Locale, PasswordHash, User, UserId, Username, UtcTime};

#[derive(Queryable)]
struct Row {
    id: i64,
    username: String,
    _username_norm: String,
    email: Option<String>,
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
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: UserId(row.id),
            username: Username::known(&row.username),
            email: row.email.as_deref().map(Email::known),
            email_verified: row.email_verified,
            password_hash: PasswordHash::stored(row.password_hash),
            is_active: row.is_active,
            is_staff: row.is_staff,
            is_superuser: row.is_superuser,
            locale: Locale::parse(&row.locale).unwrap_or_default(),
            created_at: UtcTime::from_micros(row.created_at),
            updated_at: UtcTime::from_micros(row.updated_at),
            last_login_at: row.last_login_at.map(UtcTime::from_micros),
        }
    }
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name to log in with.
    pub username: Username,
    /// The address, if it has one.
    pub email: Option<Email>,
    /// Whether the address is proven.
    pub email_verified: bool,
    /// The stored password.
    pub password_hash: PasswordHash,
    /// Whether it may manage others.
    pub is_staff: bool,
    /// Whether it may manage staff.
    pub is_superuser: bool,
    /// The language of its mail.
    pub locale: Locale,
}

/// What changes of an account. A field that is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChanges {
    /// The name to log in with.
    pub username: Option<Username>,
    /// The address. Another one counts as not proven.
    pub email: EmailChange,
    /// Whether it may log in.
    pub is_active: Option<bool>,
    /// Whether it may manage others.
    pub is_staff: Option<bool>,
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
    updated_at: i64,
}

impl NewUser {
    /// Whether the address serves as the name.
    pub fn chose_no_name(&self) -> bool {
        self.email.as_ref().is_some_and(|email| self.username == Username::of_address(email))
    }
}

/// Makes an active account. [`super::Error::Duplicate`] where the name or address is taken; the
/// transaction around it goes on.
pub fn insert_user(conn: &mut Conn, new: &NewUser, now: UtcTime) -> Result<User> {
    super::connection::in_transaction(conn, |conn| {
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
                users::created_at.eq(now.micros()),
                users::updated_at.eq(now.micros()),
            ))
            .returning(users::all_columns)
            .get_result(conn)?;
        Ok(row.into())
    })
}

/// The account with that number.
pub fn find_by_id(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    Ok(users::table.find(id.0).first::<Row>(conn).optional()?.map(User::from))
}

/// The account of exactly that name; case counts.
pub fn find_by_exact_username(conn: &mut Conn, name: &str) -> Result<Option<User>> {
    Ok(find_by_username(conn, name)?.filter(|user| user.username.as_str() == name))
}

/// The account of that name, without regard to case.
pub fn find_by_username(conn: &mut Conn, name: &str) -> Result<Option<User>> {
    // Postgres refuses a statement that holds NUL, and no name does.
    if name.contains('\0') {
        return Ok(None);
    }
    let norm = Username::normalise(name);
    let row = users::table.filter(users::username_norm.eq(norm)).first::<Row>(conn).optional()?;
    Ok(row.map(User::from))
}

/// The account with that address.
pub fn find_by_email(conn: &mut Conn, email: &Email) -> Result<Option<User>> {
    let row = users::table
        .filter(users::email_norm.eq(email.normalised()))
        .first::<Row>(conn)
        .optional()?;
    Ok(row.map(User::from))
}

/// Every account, by number.
pub fn list_all(conn: &mut Conn) -> Result<Vec<User>> {
    let rows = users::table.order(users::id).load::<Row>(conn)?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Changes an account; `None` when it is gone. [`super::Error::Duplicate`] where the name or address
/// is taken; the transaction around it goes on.
pub fn update_user(
    conn: &mut Conn,
    id: UserId,
    changes: &UserChanges,
    now: UtcTime,
) -> Result<Option<User>> {
    super::connection::in_transaction(conn, |conn| {
        let email = match &changes.email {
            EmailChange::Keep => None,
            EmailChange::Remove => Some(None),
            EmailChange::Set(email) => Some(Some(email)),
        };
        if let Some(email) = email {
            forget_proof_of_other_address(conn, id, email)?;
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
                updated_at: now.micros(),
            })
            .returning(users::all_columns)
            .get_result(conn)
            .optional()?;
        Ok(row.map(User::from))
    })
}

/// What was proven of one address says nothing about the next.
fn forget_proof_of_other_address(conn: &mut Conn, id: UserId, email: Option<&Email>) -> Result<()> {
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

/// Removes an account and everything that belongs to it. Of many who try at once exactly one gets
/// `true`.
pub fn delete_user(conn: &mut Conn, id: UserId) -> Result<bool> {
    Ok(diesel::delete(users::table.find(id.0)).execute(conn)? == 1)
}

/// Notes a log-in of an active account that still has the password hash `checked`.
pub fn record_login(
    conn: &mut Conn,
    id: UserId,
    checked: &PasswordHash,
    now: UtcTime,
) -> Result<Option<User>> {
    let row = diesel::update(
        users::table
            .find(id.0)
            .filter(users::is_active.eq(true))
            .filter(users::password_hash.eq(checked.expose())),
    )
    .set(users::last_login_at.eq(now.micros()))
    .returning(users::all_columns)
    .get_result::<Row>(conn)
    .optional()?;
    Ok(row.map(User::from))
}

/// Puts a new hash in the place of `old`, unless the password has changed meanwhile.
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

/// Marks `email` as proven and returns the account, unless it is switched off or has
/// another address by now.
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
