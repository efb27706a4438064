//! Registrations that wait for the proof of their address.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::schema::registrations;
use super::{Conn, Page, Result, page};
use crate::domain::{
    Email, Locale, PasswordHash, Registration, RegistrationId, TokenHash, UserId, Username, UtcTime,
};

#[derive(Queryable)]
struct Row {
    id: String,
    user_id: Option<i64>,
    email: String,
    _email_norm: String,
    username: Option<String>,
    password_hash: String,
    locale: String,
    token_hash: Vec<u8>,
    _link_hash: Option<Vec<u8>>,
    code_hash: Option<Vec<u8>>,
    _code_tries: i32,
    _wrong_codes: i32,
    _created_at: i64,
    expires_at: i64,
    proven_at: Option<i64>,
    changes_email: bool,
}

/// A row whose person was erased has no address any more and is no registration.
fn registration(row: Row) -> Option<Registration> {
    Some(Registration {
        id: RegistrationId(row.id),
        user_id: row.user_id.map(UserId),
        email: Some(row.email).filter(|email| !email.is_empty()).as_deref().map(Email::known)?,
        username: row.username.as_deref().map(Username::known),
        password_hash: PasswordHash::stored(row.password_hash),
        locale: Locale::parse(&row.locale).unwrap_or_default(),
        token_hash: TokenHash(row.token_hash),
        code_hash: row.code_hash.map(TokenHash),
        expires_at: UtcTime::from_micros(row.expires_at),
        proven_at: row.proven_at.map(UtcTime::from_micros),
        changes_email: row.changes_email,
    })
}

/// What a look-up by token found.
#[derive(Debug)]
pub enum Found {
    /// A registration, expired or not.
    Registration(Box<Registration>),
    /// Only the trace of one whose time was over; everything personal is gone.
    Erased,
}

fn found(row: Option<Row>) -> Option<Found> {
    row.map(|row| registration(row).map_or(Found::Erased, |it| Found::Registration(Box::new(it))))
}

/// Keeps a registration.
pub fn insert_registration(conn: &mut Conn, new: &Registration, now: UtcTime) -> Result<()> {
    diesel::insert_into(registrations::table)
        .values((
            registrations::id.eq(new.id.as_str()),
            registrations::user_id.eq(new.user_id.map(|id| id.0)),
            registrations::email.eq(new.email.as_str()),
            registrations::email_norm.eq(new.email.normalised()),
            registrations::username.eq(new.username.as_ref().map(Username::as_str)),
            registrations::password_hash.eq(new.password_hash.expose()),
            registrations::locale.eq(new.locale.as_str()),
            registrations::token_hash.eq(&new.token_hash.0),
            registrations::code_tries.eq(0),
            registrations::wrong_codes.eq(0),
            registrations::created_at.eq(now.micros()),
            registrations::expires_at.eq(new.expires_at.micros()),
            registrations::changes_email.eq(new.changes_email),
        ))
        .execute(conn)?;
    Ok(())
}

/// The registration with that id.
pub fn find_by_id(conn: &mut Conn, id: &RegistrationId) -> Result<Option<Registration>> {
    let row = registrations::table.find(id.as_str()).first::<Row>(conn).optional()?;
    Ok(row.and_then(registration))
}

/// The registration of a registration token.
pub fn find_by_token(conn: &mut Conn, token: &TokenHash) -> Result<Option<Found>> {
    let row = registrations::table
        .filter(registrations::token_hash.eq(&token.0))
        .first::<Row>(conn)
        .optional()?;
    Ok(found(row))
}

/// The registration whose newest mail carried that link token.
pub fn find_by_link(conn: &mut Conn, link: &TokenHash) -> Result<Option<Found>> {
    let row = registrations::table
        .filter(registrations::link_hash.eq(&link.0))
        .first::<Row>(conn)
        .optional()?;
    Ok(found(row))
}

/// The newest registrations of an address that still wait, at most `limit`.
pub fn find_waiting(
    conn: &mut Conn,
    email: &Email,
    limit: i64,
    now: UtcTime,
) -> Result<Vec<Registration>> {
    let rows = registrations::table
        .filter(registrations::email_norm.eq(email.normalised()))
        .filter(registrations::proven_at.is_null())
        .filter(registrations::expires_at.gt(now.micros()))
        .order((registrations::created_at.desc(), registrations::id.desc()))
        .limit(limit)
        .load::<Row>(conn)?;
    Ok(rows.into_iter().filter_map(registration).collect())
}

/// Puts the secrets of a new mail in the place of those of the last one.
pub fn set_mail_secrets(
    conn: &mut Conn,
    id: &RegistrationId,
    link: &TokenHash,
    code: &TokenHash,
) -> Result<()> {
    // A mail that is sent again carries the same secrets: its wrong tries still count.
    let other = registrations::table
        .find(id.as_str())
        .filter(registrations::link_hash.is_null().or(registrations::link_hash.ne(&link.0)));
    diesel::update(other)
        .set((
            registrations::link_hash.eq(&link.0),
            registrations::code_hash.eq(&code.0),
            registrations::code_tries.eq(0),
        ))
        .execute(conn)?;
    Ok(())
}

/// Gives new tries, as [`set_mail_secrets`] does, where the mail has no code to be tried.
pub fn renew_code_tries(conn: &mut Conn, id: &RegistrationId) -> Result<()> {
    diesel::update(registrations::table.find(id.as_str()))
        .set(registrations::code_tries.eq(0))
        .execute(conn)?;
    Ok(())
}

/// Takes one of the tries that a code and its registration have; `false` when none is left.
pub fn reserve_code_try(
    conn: &mut Conn,
    id: &RegistrationId,
    of_code: i32,
    of_registration: i32,
) -> Result<bool> {
    let reserved = diesel::update(
        registrations::table
            .find(id.as_str())
            .filter(registrations::code_tries.lt(of_code))
            .filter(registrations::wrong_codes.lt(of_registration)),
    )
    .set((
        registrations::code_tries.eq(registrations::code_tries + 1),
        registrations::wrong_codes.eq(registrations::wrong_codes + 1),
    ))
    .execute(conn)?;
    Ok(reserved == 1)
}

/// Gives a try back: the code was right.
pub fn return_code_try(conn: &mut Conn, id: &RegistrationId) -> Result<()> {
    diesel::update(registrations::table.find(id.as_str()))
        .set((
            registrations::code_tries.eq(registrations::code_tries - 1),
            registrations::wrong_codes.eq(registrations::wrong_codes - 1),
        ))
        .execute(conn)?;
    Ok(())
}

/// Lets one transaction at a time deal with what was proven, or is to be, about `email`.
pub fn lock_address(conn: &mut Conn, email: &Email) -> Result<()> {
    if let Conn::Postgres(postgres) = conn {
        // SQLite has one writer anyway.
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind::<diesel::sql_types::Text, _>(email.normalised())
            .execute(postgres)?;
    }
    Ok(())
}

/// Uses the proof up. Of many who try at once exactly one gets `true`.
pub fn consume_proof(conn: &mut Conn, id: &RegistrationId, now: UtcTime) -> Result<bool> {
    let consumed = diesel::update(
        registrations::table
            .find(id.as_str())
            .filter(registrations::proven_at.is_null())
            .filter(registrations::expires_at.gt(now.micros())),
    )
    .set(registrations::proven_at.eq(now.micros()))
    .execute(conn)?;
    Ok(consumed == 1)
}

/// Remembers whose registration it is.
pub fn set_owner(conn: &mut Conn, id: &RegistrationId, user: UserId) -> Result<()> {
    diesel::update(registrations::table.find(id.as_str()))
        .set(registrations::user_id.eq(user.0))
        .execute(conn)?;
    Ok(())
}

/// Removes every other registration of an address: one of them was proven.
pub fn delete_others(conn: &mut Conn, email: &Email, keep: &RegistrationId) -> Result<()> {
    diesel::delete(
        registrations::table
            .filter(registrations::email_norm.eq(email.normalised()))
            .filter(registrations::id.ne(keep.as_str())),
    )
    .execute(conn)?;
    Ok(())
}

/// Removes the registrations of an account: changes of its address that wait, and what was proven.
pub fn delete_of_user(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(registrations::table.filter(registrations::user_id.eq(user.0))).execute(conn)?;
    Ok(())
}

/// Removes the changes of an account's address that wait.
pub fn delete_changes(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(
        registrations::table
            .filter(registrations::user_id.eq(user.0))
            .filter(registrations::changes_email.eq(true))
            .filter(registrations::proven_at.is_null()),
    )
    .execute(conn)?;
    Ok(())
}

/// Removes every registration of an address.
pub fn delete_of_address(conn: &mut Conn, email: &Email) -> Result<()> {
    diesel::delete(registrations::table.filter(registrations::email_norm.eq(email.normalised())))
        .execute(conn)?;
    Ok(())
}

/// Returns up to `limit` registrations of a user with ids above `after`.
pub fn list_page(
    conn: &mut Conn,
    user: UserId,
    after: &str,
    limit: usize,
) -> Result<Page<Registration>> {
    let rows = registrations::table
        .filter(registrations::user_id.eq(user.0))
        .filter(registrations::id.gt(after))
        .order(registrations::id)
        .limit(page::rows(limit))
        .load::<Row>(conn)?;
    Ok(Page::of(rows, limit, |row| &row.id, registration))
}

/// Erases everything personal of up to `limit` registrations whose time is over, or removes up to `limit`
/// traces that ended before `forget_before`. Returns whether there may be more.
pub fn purge(conn: &mut Conn, now: UtcTime, forget_before: UtcTime, limit: i64) -> Result<bool> {
    let over = |end: UtcTime| {
        registrations::table
            .filter(registrations::expires_at.le(end.micros()))
            .order(registrations::expires_at)
            .select(registrations::id)
            .limit(limit)
    };
    let forgotten: Vec<String> = over(forget_before).load(conn)?;
    if !forgotten.is_empty() {
        diesel::delete(registrations::table.filter(registrations::id.eq_any(forgotten)))
            .execute(conn)?;
        return Ok(true);
    }
    // Word for word the condition of the index `registrations_to_erase`.
    let expired: Vec<String> = over(now).filter(sql::<Bool>("email <> ''")).load(conn)?;
    if expired.is_empty() {
        return Ok(false);
    }
    diesel::update(registrations::table.filter(registrations::id.eq_any(expired)))
        .set((
            registrations::email.eq(""),
            registrations::email_norm.eq(""),
            registrations::username.eq(None::<String>),
            registrations::password_hash.eq(""),
        ))
        .execute(conn)?;
    Ok(true)
}
