//! One-time tokens of accounts.

use diesel::prelude::*;

use super::schema::one_time_tokens;
use super::{Conn, Page, Result, page};
use crate::domain::{Email, OneTimeId, OneTimeToken, Purpose, TokenHash, UserId, UtcTime};

#[derive(Queryable)]
struct Row {
    id: String,
    user_id: i64,
    purpose: String,
    email: Option<String>,
    detail: String,
    _link_hash: Option<Vec<u8>>,
    code_hash: Option<Vec<u8>>,
    _code_tries: i32,
    _wrong_codes: i32,
    created_at: i64,
    expires_at: i64,
    used_at: Option<i64>,
}

/// A purpose that only a newer version knows makes it no token here.
fn token(row: Row) -> Option<OneTimeToken> {
    Some(OneTimeToken {
        purpose: Purpose::from_name(&row.purpose)?,
        id: OneTimeId(row.id),
        user_id: UserId(row.user_id),
        email: row.email.as_deref().map(Email::known),
        detail: row.detail,
        code_hash: row.code_hash.map(TokenHash),
        created_at: UtcTime::from_micros(row.created_at),
        expires_at: UtcTime::from_micros(row.expires_at),
        used_at: row.used_at.map(UtcTime::from_micros),
    })
}

/// Keeps a token. Its secrets come with its mail.
pub fn insert_token(conn: &mut Conn, new: &OneTimeToken, wrong_codes: i32) -> Result<()> {
    diesel::insert_into(one_time_tokens::table)
        .values((
            one_time_tokens::id.eq(new.id.as_str()),
            one_time_tokens::user_id.eq(new.user_id.0),
            one_time_tokens::purpose.eq(new.purpose.name()),
            one_time_tokens::email.eq(new.email.as_ref().map(Email::as_str)),
            one_time_tokens::detail.eq(&new.detail),
            one_time_tokens::code_tries.eq(0),
            one_time_tokens::wrong_codes.eq(wrong_codes),
            one_time_tokens::created_at.eq(new.created_at.micros()),
            one_time_tokens::expires_at.eq(new.expires_at.micros()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Gives a token the secrets of its mail.
pub fn set_mail_secrets(
    conn: &mut Conn,
    id: &OneTimeId,
    link: &TokenHash,
    code: Option<&TokenHash>,
) -> Result<()> {
    diesel::update(one_time_tokens::table.find(id.as_str()))
        .set((
            one_time_tokens::link_hash.eq(Some(&link.0)),
            one_time_tokens::code_hash.eq(code.map(|code| &code.0)),
        ))
        .execute(conn)?;
    Ok(())
}

/// The token with that id.
pub fn find_by_id(conn: &mut Conn, id: &OneTimeId) -> Result<Option<OneTimeToken>> {
    let row = one_time_tokens::table.find(id.as_str()).first::<Row>(conn).optional()?;
    Ok(row.and_then(token))
}

/// The token whose mail carried that link.
pub fn find_by_link(conn: &mut Conn, link: &TokenHash) -> Result<Option<OneTimeToken>> {
    let row = one_time_tokens::table
        .filter(one_time_tokens::link_hash.eq(&link.0))
        .first::<Row>(conn)
        .optional()?;
    Ok(row.and_then(token))
}

/// The newest token of a person for that purpose.
pub fn find_newest(
    conn: &mut Conn,
    user: UserId,
    purpose: Purpose,
) -> Result<Option<OneTimeToken>> {
    let row = one_time_tokens::table
        .filter(one_time_tokens::user_id.eq(user.0))
        .filter(one_time_tokens::purpose.eq(purpose.name()))
        .order((one_time_tokens::created_at.desc(), one_time_tokens::id.desc()))
        .first::<Row>(conn)
        .optional()?;
    Ok(row.and_then(token))
}

/// Removes the tokens of a person for that purpose, because a newer one counts. Returns how many
/// wrong codes were tried on those made since `remember_from`.
pub fn supersede(
    conn: &mut Conn,
    user: UserId,
    purpose: Purpose,
    remember_from: UtcTime,
) -> Result<i32> {
    let removed: Vec<(i32, i64)> = diesel::delete(
        one_time_tokens::table
            .filter(one_time_tokens::user_id.eq(user.0))
            .filter(one_time_tokens::purpose.eq(purpose.name())),
    )
    .returning((one_time_tokens::wrong_codes, one_time_tokens::created_at))
    .get_results(conn)?;
    let recent = removed.iter().filter(|(_, created_at)| *created_at >= remember_from.micros());
    Ok(recent.map(|(wrong_codes, _)| *wrong_codes).max().unwrap_or(0))
}

/// Uses a token up. Of many who try at once exactly one gets `true`.
pub fn consume_token(conn: &mut Conn, id: &OneTimeId, now: UtcTime) -> Result<bool> {
    let consumed = diesel::update(
        one_time_tokens::table
            .find(id.as_str())
            .filter(one_time_tokens::used_at.is_null())
            .filter(one_time_tokens::expires_at.gt(now.micros())),
    )
    .set(one_time_tokens::used_at.eq(now.micros()))
    .execute(conn)?;
    Ok(consumed == 1)
}

/// Takes one of the tries that a code and its person have; `false` when none is left.
pub fn reserve_code_try(
    conn: &mut Conn,
    id: &OneTimeId,
    of_code: i32,
    of_person: i32,
) -> Result<bool> {
    let reserved = diesel::update(
        one_time_tokens::table
            .find(id.as_str())
            .filter(one_time_tokens::code_tries.lt(of_code))
            .filter(one_time_tokens::wrong_codes.lt(of_person)),
    )
    .set((
        one_time_tokens::code_tries.eq(one_time_tokens::code_tries + 1),
        one_time_tokens::wrong_codes.eq(one_time_tokens::wrong_codes + 1),
    ))
    .execute(conn)?;
    Ok(reserved == 1)
}

/// Gives a try back: the code was right.
pub fn return_code_try(conn: &mut Conn, id: &OneTimeId) -> Result<()> {
    diesel::update(one_time_tokens::table.find(id.as_str()))
        .set((
            one_time_tokens::code_tries.eq(one_time_tokens::code_tries - 1),
            one_time_tokens::wrong_codes.eq(one_time_tokens::wrong_codes - 1),
        ))
        .execute(conn)?;
    Ok(())
}

/// Removes what a person's mails could still do to the password.
pub fn delete_password_tokens(conn: &mut Conn, user: UserId) -> Result<()> {
    let purposes = [Purpose::ResetPassword.name(), Purpose::Invitation.name()];
    diesel::delete(
        one_time_tokens::table
            .filter(one_time_tokens::user_id.eq(user.0))
            .filter(one_time_tokens::purpose.eq_any(purposes)),
    )
    .execute(conn)?;
    Ok(())
}

/// Removes the links of a person's notices that came after `token`'s.
pub fn delete_newer_disavowals(conn: &mut Conn, token: &OneTimeToken) -> Result<()> {
    diesel::delete(
        one_time_tokens::table
            .filter(one_time_tokens::user_id.eq(token.user_id.0))
            .filter(one_time_tokens::purpose.eq(Purpose::Disavow.name()))
            .filter(one_time_tokens::created_at.gt(token.created_at.micros())),
    )
    .execute(conn)?;
    Ok(())
}

/// The newest notice that can still bring an address back.
pub fn find_undo(conn: &mut Conn, user: UserId, now: UtcTime) -> Result<Option<OneTimeToken>> {
    let row = one_time_tokens::table
        .filter(one_time_tokens::user_id.eq(user.0))
        .filter(one_time_tokens::purpose.eq(Purpose::Disavow.name()))
        .filter(one_time_tokens::email.is_not_null())
        .filter(one_time_tokens::used_at.is_null())
        .filter(one_time_tokens::expires_at.gt(now.micros()))
        .order((one_time_tokens::created_at.desc(), one_time_tokens::id.desc()))
        .first::<Row>(conn)
        .optional()?;
    Ok(row.and_then(token))
}

/// Returns up to `limit` tokens of a user with ids above `after`.
pub fn list_page(
    conn: &mut Conn,
    user: UserId,
    after: &str,
    limit: usize,
) -> Result<Page<OneTimeToken>> {
    let rows = one_time_tokens::table
        .filter(one_time_tokens::user_id.eq(user.0))
        .filter(one_time_tokens::id.gt(after))
        .order(one_time_tokens::id)
        .limit(page::rows(limit))
        .load::<Row>(conn)?;
    Ok(Page::of(rows, limit, |row| &row.id, token))
}

/// Removes up to `limit` tokens that were over before `forget_before`. Returns whether there may be more.
pub fn purge(conn: &mut Conn, forget_before: UtcTime, limit: i64) -> Result<bool> {
    let over: Vec<String> = one_time_tokens::table
        .filter(one_time_tokens::expires_at.lt(forget_before.micros()))
        .order(one_time_tokens::expires_at)
        .select(one_time_tokens::id)
        .limit(limit)
        .load(conn)?;
    if over.is_empty() {
        return Ok(false);
    }
    diesel::delete(one_time_tokens::table.filter(one_time_tokens::id.eq_any(over)))
        .execute(conn)?;
    Ok(true)
}
