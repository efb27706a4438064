//! Accounts: the rows of `users`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::schema::users;
use super::{Conn, Result};
use crate::domain::{
    Email, EmailChange, Locale, Metadata, PasswordHash, Roles, User, UserId, Username, UtcTime,
};

#[derive(Queryable)]
pub(super) struct Row {
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
    metadata: String,
    disabled_reason: Option<String>,
    tokens_from: i64,
    rights_changed_at: i64,
    roles: String,
    app_metadata: String,
    disabled_until: Option<i64>,
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

impl NewUser {
    /// Returns whether the e-mail address serves as the user name.
    pub fn chose_no_name(&self) -> bool {
        self.email.as_ref().is_some_and(|email| self.username == Username::of_address(email))
    }
}

/// Inserts an active account. After [`super::Error::Duplicate`] the transaction can continue.
pub fn insert_user(conn: &mut Conn, new: &NewUser, now: UtcTime) -> Result<User> {
    crate::store::engine::connection::in_transaction(conn, |conn| {
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
        Ok(row.into())
    })
}

/// Returns the account with that id.
pub fn find_by_id(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    Ok(users::table.find(id.0).first::<Row>(conn).optional()?.map(User::from))
}

/// Returns the key of a user name. Postgres refuses a statement with NUL, and no name has one.
fn key_of_name(name: &str) -> Option<String> {
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
    let rows = users::table
        .filter(users::id.gt(after.0))
        .order(users::id)
        .limit(limit)
        .load::<Row>(conn)?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Updates an account; `None` if it was deleted. After [`super::Error::Duplicate`] the transaction
/// can continue.
pub fn update_user(
    conn: &mut Conn,
    id: UserId,
    changes: &UserChanges,
    now: UtcTime,
) -> Result<Option<User>> {
    crate::store::engine::connection::in_transaction(conn, |conn| {
        let email = match &changes.email {
            EmailChange::Keep => None,
            EmailChange::Remove => Some(None),
            EmailChange::Set(email) => Some(Some(email)),
        };
        if let Some(username) = &changes.username {
            end_tokens_of_other_name(conn, id, username, now)?;
        }
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

/// Revokes the tokens of the Django REST adapter if the account gets another user name: they log in
/// to the account that has the name.
fn end_tokens_of_other_name(
    conn: &mut Conn,
    id: UserId,
    username: &Username,
    now: UtcTime,
) -> Result<()> {
    let named = users::table.find(id.0).select(users::username).first::<String>(conn).optional()?;
    if named.is_some_and(|name| name != username.as_str()) {
        end_tokens(conn, id, now)?;
    }
    Ok(())
}

/// Revokes the tokens of the Django REST adapter for an account: they contain `tokens_from`, which
/// is increased here. It is also the time of the revocation, to which tokens of the replaced stack
/// are compared, so it never decreases.
pub fn end_tokens(conn: &mut Conn, id: UserId, now: UtcTime) -> Result<()> {
    // SQLite numbers `$n` by the order in which they first appear, whatever n is.
    diesel::sql_query(
        "UPDATE users SET tokens_from = CASE WHEN tokens_from >= $1 THEN tokens_from + 1 ELSE $1 END \
         WHERE id = $2",
    )
    .bind::<BigInt, _>(now.micros())
    .bind::<BigInt, _>(id.0)
    .execute(conn)?;
    Ok(())
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

/// Starts a new generation of an account's rights and returns it.
pub fn renew_rights(conn: &mut Conn, id: UserId, now: UtcTime) -> Result<Option<UtcTime>> {
    #[derive(QueryableByName)]
    struct Renewed {
        #[diesel(sql_type = BigInt)]
        rights_changed_at: i64,
    }
    let renewed = diesel::sql_query(
        "UPDATE users SET rights_changed_at = \
             CASE WHEN rights_changed_at >= $1 THEN rights_changed_at + 1 ELSE $1 END \
         WHERE id = $2 RETURNING rights_changed_at",
    )
    .bind::<BigInt, _>(now.micros())
    .bind::<BigInt, _>(id.0)
    .get_result::<Renewed>(conn)
    .optional()?;
    Ok(renewed.map(|it| UtcTime::from_micros(it.rights_changed_at)))
}

/// Lists the users whose rights changed since `since`, with the generation of their rights.
pub fn list_rights_changed_since(
    conn: &mut Conn,
    since: UtcTime,
) -> Result<Vec<(UserId, UtcTime)>> {
    let rows: Vec<(i64, i64)> = users::table
        // Word for word the condition of the index `users_by_rights_change`.
        .filter(sql::<Bool>("rights_changed_at > 0"))
        .filter(users::rights_changed_at.ge(since.micros()))
        .select((users::id, users::rights_changed_at))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, at)| (UserId(id), UtcTime::from_micros(at))).collect())
}

/// Locks the account with that id until the end of the transaction, and returns it.
pub fn lock_user(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    let row = match conn {
        Conn::Postgres(postgres) => {
            users::table.find(id.0).for_no_key_update().first::<Row>(postgres).optional()?
        }
        // SQLite has one writer.
        Conn::Sqlite(sqlite) => users::table.find(id.0).first::<Row>(sqlite).optional()?,
    };
    Ok(row.map(User::from))
}

/// Locks the account with that id, or the next one that exists, against deletion until the end of
/// the transaction, and returns its id.
pub fn hold_from(conn: &mut Conn, id: UserId) -> Result<Option<UserId>> {
    let numbers =
        users::table.filter(users::id.ge(id.0)).order(users::id).limit(1).select(users::id);
    let held: Option<i64> = match conn {
        Conn::Postgres(postgres) => numbers.for_key_share().get_result(postgres).optional()?,
        // SQLite has one writer.
        Conn::Sqlite(sqlite) => numbers.get_result(sqlite).optional()?,
    };
    Ok(held.map(UserId))
}

/// Serializes transactions that revoke the rights of superusers. Two concurrent ones could each
/// leave the other superuser in place, and together none.
pub fn lock_superusers(conn: &mut Conn) -> Result<()> {
    if let Conn::Postgres(postgres) = conn {
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('superusers', 0))")
            .execute(postgres)?;
    }
    Ok(())
}

/// Returns whether there is an active superuser besides `id` who is staff, and so may manage
/// superusers.
pub fn is_other_superuser(conn: &mut Conn, id: UserId) -> Result<bool> {
    // The condition of the index `users_superusers`.
    let other = users::table
        .filter(users::is_superuser)
        .filter(users::is_staff)
        .filter(users::is_active)
        .filter(users::id.ne(id.0))
        .select(users::id);
    Ok(other.first::<i64>(conn).optional()?.is_some())
}

/// Deletes an account and everything that belongs to it. Of concurrent callers exactly one gets
/// true.
pub fn delete_user(conn: &mut Conn, id: UserId) -> Result<bool> {
    Ok(diesel::delete(users::table.find(id.0)).execute(conn)? == 1)
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

/// Sets a verified e-mail address, and the user name with it if it was the old address. After
/// [`super::Error::Duplicate`] the transaction can continue.
pub fn change_email(conn: &mut Conn, user: &User, email: &Email, now: UtcTime) -> Result<User> {
    crate::store::engine::connection::in_transaction(conn, |conn| {
        let own = user.email.as_ref().map(Email::normalised);
        let username = if own == Some(user.username.normalised()) {
            Username::of_address(email)
        } else {
            user.username.clone()
        };
        end_tokens_of_other_name(conn, user.id, &username, now)?;
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

/// Records a log-in of an active account that still has the password hash `checked`.
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
