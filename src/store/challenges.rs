//! Challenges of every kind: the secrets of their mails, the tries of their codes, and their single
//! use.

pub mod notices;
pub mod verifications;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::schema::{challenges, users};
use super::{Conn, Page, Result, page};
use crate::domain::{Challenge, ChallengeId, ChallengeKind, Email, TokenHash, UserId, UtcTime};

#[derive(Queryable)]
pub(super) struct Row {
    pub(super) id: String,
    kind: String,
    user_id: Option<i64>,
    email: Option<String>,
    _email_norm: Option<String>,
    detail: String,
    holder_hash: Option<Vec<u8>>,
    _link_hash: Option<Vec<u8>>,
    code_hash: Option<Vec<u8>>,
    _code_tries: i32,
    _wrong_codes: i32,
    created_at: i64,
    expires_at: i64,
    used_at: Option<i64>,
}

/// Returns the challenge of a row; `None` for a kind of a newer version.
pub(super) fn challenge(row: Row) -> Option<Challenge> {
    Some(Challenge {
        kind: ChallengeKind::from_name(&row.kind)?,
        id: ChallengeId(row.id),
        user_id: row.user_id.map(UserId),
        email: row.email.as_deref().map(Email::unchecked),
        detail: row.detail,
        holder_hash: row.holder_hash.map(TokenHash),
        code_hash: row.code_hash.map(TokenHash),
        created_at: UtcTime::from_micros(row.created_at),
        expires_at: UtcTime::from_micros(row.expires_at),
        used_at: row.used_at.map(UtcTime::from_micros),
    })
}

pub(super) fn names<const N: usize>(kinds: [ChallengeKind; N]) -> [&'static str; N] {
    kinds.map(ChallengeKind::name)
}

/// Inserts a challenge with `wrong_codes` attempts already counted. Its secrets are stored when its
/// mail is composed.
pub fn insert_challenge(conn: &mut Conn, new: &Challenge, wrong_codes: i32) -> Result<()> {
    let verifies = new.email.as_ref().filter(|_| new.kind.verifies_address());
    diesel::insert_into(challenges::table)
        .values((
            challenges::id.eq(new.id.as_str()),
            challenges::kind.eq(new.kind.name()),
            challenges::user_id.eq(new.user_id.map(|id| id.0)),
            challenges::email.eq(new.email.as_ref().map(Email::as_str)),
            challenges::email_norm.eq(verifies.map(Email::normalised)),
            challenges::detail.eq(&new.detail),
            challenges::holder_hash.eq(new.holder_hash.as_ref().map(|hash| &hash.0)),
            challenges::code_tries.eq(0),
            challenges::wrong_codes.eq(wrong_codes),
            challenges::created_at.eq(new.created_at.micros()),
            challenges::expires_at.eq(new.expires_at.micros()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Condition of the challenges that do not belong to a deleted account. Those of a deleted account
/// are deleted in steps ([`super::users::deletion`]).
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn is_of_no_deleted_user() -> _ {
    let owner = users::table.filter(users::id.nullable().eq(challenges::user_id));
    not(exists(owner.filter(users::deleted_at.is_not_null())))
}

/// Returns the challenge with that id.
pub fn find_by_id(conn: &mut Conn, id: &ChallengeId) -> Result<Option<Challenge>> {
    let of_id = challenges::table.filter(challenges::id.eq(id.as_str()));
    let row = of_id.filter(is_of_no_deleted_user()).first::<Row>(conn).optional()?;
    Ok(row.and_then(challenge))
}

/// Returns the challenge whose newest mail carried that link.
pub fn find_by_link(conn: &mut Conn, link: &TokenHash) -> Result<Option<Challenge>> {
    let of_link = challenges::table.filter(challenges::link_hash.eq(&link.0));
    Ok(of_link.filter(is_of_no_deleted_user()).first::<Row>(conn).optional()?.and_then(challenge))
}

/// Returns the newest challenge of a user of that kind.
pub fn find_newest(
    conn: &mut Conn,
    user: UserId,
    kind: ChallengeKind,
) -> Result<Option<Challenge>> {
    let row = challenges::table
        .filter(challenges::user_id.eq(user.0))
        .filter(challenges::kind.eq(kind.name()))
        .order((challenges::created_at.desc(), challenges::id.desc()))
        .first::<Row>(conn)
        .optional()?;
    Ok(row.and_then(challenge))
}

/// Returns the newest notice whose link can revert a change of the e-mail address.
pub fn find_revertible(conn: &mut Conn, user: UserId, now: UtcTime) -> Result<Option<Challenge>> {
    let row = challenges::table
        .filter(challenges::user_id.eq(user.0))
        .filter(challenges::kind.eq(ChallengeKind::ReportUnauthorized.name()))
        .filter(challenges::email.is_not_null())
        .filter(challenges::used_at.is_null())
        .filter(challenges::expires_at.gt(now.micros()))
        .order((challenges::created_at.desc(), challenges::id.desc()))
        .first::<Row>(conn)
        .optional()?;
    Ok(row.and_then(challenge))
}

/// Replaces the secrets of the last mail by those of a new one, with new attempts for its code.
pub fn set_mail_secrets(
    conn: &mut Conn,
    id: &ChallengeId,
    link: &TokenHash,
    code: Option<&TokenHash>,
) -> Result<()> {
    // A retry of the same mail has the same secrets: its wrong attempts still count.
    let other = challenges::table
        .find(id.as_str())
        .filter(challenges::link_hash.is_null().or(challenges::link_hash.ne(&link.0)));
    diesel::update(other)
        .set((
            challenges::link_hash.eq(Some(&link.0)),
            challenges::code_hash.eq(code.map(|code| &code.0)),
            challenges::code_tries.eq(0),
        ))
        .execute(conn)?;
    Ok(())
}

/// Resets the attempts, as [`set_mail_secrets`] does, for a mail without a code.
pub fn renew_code_tries(conn: &mut Conn, id: &ChallengeId) -> Result<()> {
    diesel::update(challenges::table.find(id.as_str()))
        .set(challenges::code_tries.eq(0))
        .execute(conn)?;
    Ok(())
}

/// Reserves one of the attempts of a code, and one of those of all codes together. Returns false if
/// none is left.
pub fn reserve_code_try(
    conn: &mut Conn,
    id: &ChallengeId,
    of_code: i32,
    in_all: i32,
) -> Result<bool> {
    let reserved = diesel::update(
        challenges::table
            .find(id.as_str())
            .filter(challenges::code_tries.lt(of_code))
            .filter(challenges::wrong_codes.lt(in_all)),
    )
    .set((
        challenges::code_tries.eq(challenges::code_tries + 1),
        challenges::wrong_codes.eq(challenges::wrong_codes + 1),
    ))
    .execute(conn)?;
    Ok(reserved == 1)
}

/// Releases an attempt: the code was right.
pub fn return_code_try(conn: &mut Conn, id: &ChallengeId) -> Result<()> {
    diesel::update(challenges::table.find(id.as_str()))
        .set((
            challenges::code_tries.eq(challenges::code_tries - 1),
            challenges::wrong_codes.eq(challenges::wrong_codes - 1),
        ))
        .execute(conn)?;
    Ok(())
}

/// Consumes a challenge. Of concurrent callers exactly one gets true.
pub fn consume_challenge(conn: &mut Conn, id: &ChallengeId, now: UtcTime) -> Result<bool> {
    let consumed = diesel::update(
        challenges::table
            .find(id.as_str())
            .filter(challenges::used_at.is_null())
            .filter(challenges::expires_at.gt(now.micros())),
    )
    .set(challenges::used_at.eq(now.micros()))
    .execute(conn)?;
    Ok(consumed == 1)
}

/// Records the account that a challenge created.
pub fn set_owner(conn: &mut Conn, id: &ChallengeId, user: UserId) -> Result<()> {
    diesel::update(challenges::table.find(id.as_str()))
        .set(challenges::user_id.eq(user.0))
        .execute(conn)?;
    Ok(())
}

/// Deletes the challenges of a user of that kind, because a newer one replaces them. Returns the
/// number of wrong codes for those created since `remember_from`.
pub fn supersede(
    conn: &mut Conn,
    user: UserId,
    kind: ChallengeKind,
    remember_from: UtcTime,
) -> Result<i32> {
    let removed: Vec<(i32, i64)> = diesel::delete(
        challenges::table
            .filter(challenges::user_id.eq(user.0))
            .filter(challenges::kind.eq(kind.name())),
    )
    .returning((challenges::wrong_codes, challenges::created_at))
    .get_results(conn)?;
    let recent = removed.iter().filter(|(_, created_at)| *created_at >= remember_from.micros());
    Ok(recent.map(|(wrong_codes, _)| *wrong_codes).max().unwrap_or(0))
}

/// Deletes the challenges of a user of those kinds.
pub fn delete_of_kinds<const N: usize>(
    conn: &mut Conn,
    user: UserId,
    kinds: [ChallengeKind; N],
) -> Result<()> {
    diesel::delete(
        challenges::table
            .filter(challenges::user_id.eq(user.0))
            .filter(challenges::kind.eq_any(names(kinds))),
    )
    .execute(conn)?;
    Ok(())
}

/// Deletes the pending changes of an account's e-mail address.
pub fn delete_changes(conn: &mut Conn, user: UserId) -> Result<()> {
    diesel::delete(
        challenges::table
            .filter(challenges::user_id.eq(user.0))
            .filter(challenges::kind.eq(ChallengeKind::ChangeEmail.name()))
            .filter(challenges::used_at.is_null()),
    )
    .execute(conn)?;
    Ok(())
}

/// Deletes the notices of a user that are newer than `than`.
pub fn delete_newer_notices(conn: &mut Conn, than: &Challenge) -> Result<()> {
    diesel::delete(
        challenges::table
            .filter(challenges::user_id.eq(than.user_id.map(|id| id.0)))
            .filter(challenges::kind.eq(than.kind.name()))
            .filter(challenges::created_at.gt(than.created_at.micros())),
    )
    .execute(conn)?;
    Ok(())
}

/// Deletes every challenge that verifies the e-mail address, except `keep`.
pub fn delete_of_address(conn: &mut Conn, email: &Email, keep: Option<&ChallengeId>) -> Result<()> {
    diesel::delete(
        challenges::table
            .filter(challenges::email_norm.eq(email.normalised()))
            .filter(challenges::id.ne(keep.map_or("", ChallengeId::as_str))),
    )
    .execute(conn)?;
    Ok(())
}

/// Deletes up to `limit` challenges of a user. Returns whether there may be more.
pub fn erase_of(conn: &mut Conn, user: UserId, limit: i64) -> Result<bool> {
    let of_user = challenges::table.filter(challenges::user_id.eq(user.0));
    let ids: Vec<String> =
        of_user.order(challenges::id).select(challenges::id).limit(limit).load(conn)?;
    erase(conn, &ids, limit)
}

fn erase(conn: &mut Conn, ids: &[String], limit: i64) -> Result<bool> {
    if !ids.is_empty() {
        diesel::delete(challenges::table.filter(challenges::id.eq_any(ids))).execute(conn)?;
    }
    Ok(page::may_be_more(ids, limit))
}

/// Erases an e-mail address, normalised, from the texts of notices to other users: alone, or before
/// the user name that replaced it.
pub fn erase_from_notices(conn: &mut Conn, address: &str) -> Result<()> {
    #[derive(QueryableByName)]
    struct Erased {
        #[diesel(sql_type = Text)]
        id: String,
    }
    // In byte order, this range has only the address itself and texts that begin with it and a
    // space. For SQLite the index is named, since its planner does not know how large an index is.
    let (indexed_by, collation) = match conn {
        Conn::Postgres(_) => ("", "COLLATE \"C\""),
        Conn::Sqlite(_) => ("INDEXED BY challenges_telling_an_address", ""),
    };
    // With the condition of that index.
    let erased: Vec<Erased> = diesel::sql_query(format!(
        "UPDATE challenges {indexed_by} SET detail = '' WHERE kind = 'disavow' AND detail <> '' \
         AND lower(detail) {collation} >= $1 AND lower(detail) {collation} < $2 RETURNING id"
    ))
    .bind::<Text, _>(address)
    .bind::<Text, _>(format!("{address}!"))
    .load(conn)?;
    // The version before has its own copies.
    for Erased { id } in erased {
        diesel::sql_query("UPDATE one_time_tokens SET detail = '' WHERE id = $1")
            .bind::<Text, _>(id)
            .execute(conn)?;
    }
    Ok(())
}

/// Serializes the transactions that give an account the e-mail address, or answer challenges about
/// it. It comes before the locks of accounts.
pub fn lock_address(conn: &mut Conn, email: &Email) -> Result<()> {
    if let Conn::Postgres(postgres) = conn {
        // SQLite has one writer.
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind::<Text, _>(email.normalised())
            .execute(postgres)?;
    }
    Ok(())
}

/// Returns up to `limit` challenges of a user of those kinds with ids above `after`.
pub fn list_page<const N: usize>(
    conn: &mut Conn,
    user: UserId,
    kinds: [ChallengeKind; N],
    after: &str,
    limit: usize,
) -> Result<Page<Challenge>> {
    let rows = challenges::table
        .filter(challenges::user_id.eq(user.0))
        .filter(challenges::kind.eq_any(names(kinds)))
        .filter(challenges::id.gt(after))
        .order(challenges::id)
        .limit(page::rows(limit))
        .load::<Row>(conn)?;
    Ok(Page::of(rows, limit, |row| &row.id, challenge))
}

/// Deletes up to `limit` challenges of a kind that expired before `forget_before`. Returns true if
/// there may be more.
pub fn purge(
    conn: &mut Conn,
    kind: ChallengeKind,
    forget_before: UtcTime,
    limit: i64,
) -> Result<bool> {
    let over: Vec<String> = challenges::table
        .filter(challenges::kind.eq(kind.name()))
        .filter(challenges::expires_at.lt(forget_before.micros()))
        .order(challenges::expires_at)
        .select(challenges::id)
        .limit(limit)
        .load(conn)?;
    erase(conn, &over, limit)
}
