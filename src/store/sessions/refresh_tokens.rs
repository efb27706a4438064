//! Refresh tokens of sessions. Only their hashes are stored.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::domain::{RefreshToken, Session, SessionId, TokenHash, UtcTime};
use crate::store::schema::{refresh_tokens, sessions as sessions_table};
use crate::store::{Conn, Result, sessions};

#[derive(Queryable)]
struct TokenRow {
    _token_hash: Vec<u8>,
    _session_id: String,
    expires_at: i64,
    used_at: Option<i64>,
    generation: i64,
}

impl TokenRow {
    fn token(&self) -> RefreshToken {
        RefreshToken {
            expires_at: UtcTime::from_micros(self.expires_at),
            used_at: self.used_at.map(UtcTime::from_micros),
            generation: self.generation,
        }
    }
}

/// Stores the hash of a refresh token; `generation` others of its session came before.
pub fn insert_refresh_token(
    conn: &mut Conn,
    token: &TokenHash,
    session: &SessionId,
    expires_at: UtcTime,
    generation: i64,
) -> Result<()> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::token_hash.eq(&token.0),
            refresh_tokens::session_id.eq(session.as_str()),
            refresh_tokens::expires_at.eq(expires_at.micros()),
            refresh_tokens::generation.eq(generation),
        ))
        .execute(conn)?;
    Ok(())
}

/// A refresh token and its session.
pub fn find_refresh_token(
    conn: &mut Conn,
    token: &TokenHash,
) -> Result<Option<(RefreshToken, Session)>> {
    let row: Option<(TokenRow, sessions::Row)> = refresh_tokens::table
        .inner_join(sessions_table::table.on(sessions_table::id.eq(refresh_tokens::session_id)))
        .filter(refresh_tokens::token_hash.eq(&token.0))
        .select((refresh_tokens::all_columns, sessions_table::all_columns))
        .first(conn)
        .optional()?;
    Ok(row.map(|(token, session)| (token.token(), session.into())))
}

/// Returns a session that one of these refresh tokens belongs to.
pub fn find_session_of_any(conn: &mut Conn, tokens: &[TokenHash]) -> Result<Option<SessionId>> {
    let known = refresh_tokens::table
        .filter(refresh_tokens::token_hash.eq_any(tokens.iter().map(|token| &token.0)));
    Ok(known.select(refresh_tokens::session_id).first(conn).optional()?.map(SessionId))
}

/// Removes up to `limit` replaced refresh tokens: all but each [`RefreshToken::LANDMARK`]th of
/// those that were replaced before `replaced_before`, and all that expired before `expired_before`.
/// Returns whether there may be more.
pub fn purge_replaced(
    conn: &mut Conn,
    replaced_before: UtcTime,
    expired_before: UtcTime,
    limit: i64,
) -> Result<bool> {
    let replaced = || {
        refresh_tokens::table
            .filter(refresh_tokens::used_at.is_not_null())
            .select(refresh_tokens::token_hash)
            .limit(limit)
    };
    // Word for word the condition of the index `refresh_tokens_between`.
    let is_between = sql::<Bool>("generation % 16 <> 0");
    let mut over: Vec<Vec<u8>> = replaced()
        .filter(is_between)
        .filter(refresh_tokens::used_at.lt(replaced_before.micros()))
        .order(refresh_tokens::used_at)
        .load(conn)?;
    if over.is_empty() {
        over = replaced()
            .filter(refresh_tokens::expires_at.lt(expired_before.micros()))
            .order(refresh_tokens::expires_at)
            .load(conn)?;
    }
    if over.is_empty() {
        return Ok(false);
    }
    diesel::delete(refresh_tokens::table.filter(refresh_tokens::token_hash.eq_any(over)))
        .execute(conn)?;
    Ok(true)
}
