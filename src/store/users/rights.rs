//! Generations of rights and of tokens of the Django REST adapter, and the protection of
//! superusers.

use std::time::Duration;

use diesel::dsl::{max, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use crate::domain::{UserId, UtcTime};
use crate::store::schema::{sessions, users};
use crate::store::{Conn, Result};

/// A generation this far ahead of the clock is followed by one of the same second. The wait for a
/// token is below [`crate::domain::CLOCKS_DIFFER`], which services accept.
const FURTHEST_AHEAD: Duration = Duration::from_secs(3);

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

/// Starts a new generation of an account's rights and returns it.
///
/// Services refuse `iat <= revoked_at`, both in whole seconds, so each of the first changes within
/// a second gets a second of its own. The fourth and all later ones share one ([`FURTHEST_AHEAD`]):
/// otherwise tokens would be issued too late. A service that checks tokens itself accepts a token
/// from between two of those until it expires.
///
/// Its time is no earlier than the latest issue of a token of the account, as far as that is no
/// further ahead. An instance whose clock is ahead may have issued one, or any instance while this
/// transaction waited for the account's row.
pub fn renew_rights(conn: &mut Conn, id: UserId, now: UtcTime) -> Result<Option<UtcTime>> {
    #[derive(QueryableByName)]
    struct Renewed {
        #[diesel(sql_type = BigInt)]
        rights_changed_at: i64,
    }
    let furthest = UtcTime::from_seconds(now.seconds()).after(FURTHEST_AHEAD);
    let issued_at = find_latest_use(conn, id)?.map(|it| it.min(furthest));
    let now = issued_at.map_or(now, |it| it.max(now));
    let renewed = diesel::sql_query(
        "UPDATE users SET rights_changed_at = \
             CASE WHEN rights_changed_at >= $1 THEN rights_changed_at + 1 \
                  WHEN rights_changed_at >= $2 THEN rights_changed_at + 1000000 ELSE $3 END \
         WHERE id = $4 RETURNING rights_changed_at",
    )
    .bind::<BigInt, _>(furthest.micros())
    .bind::<BigInt, _>(UtcTime::from_seconds(now.seconds()).micros())
    .bind::<BigInt, _>(now.micros())
    .bind::<BigInt, _>(id.0)
    .get_result::<Renewed>(conn)
    .optional()?;
    Ok(renewed.map(|it| UtcTime::from_micros(it.rights_changed_at)))
}

/// Locks the account and returns the latest use of its open sessions. Refreshes lock it too.
fn find_latest_use(conn: &mut Conn, id: UserId) -> Result<Option<UtcTime>> {
    if let Conn::Postgres(postgres) = conn {
        // SQLite has one writer.
        let account = users::table.find(id.0).select(users::id);
        account.for_no_key_update().first::<i64>(postgres).optional()?;
    }
    let latest: Option<i64> = sessions::table
        .filter(sessions::user_id.eq(id.0))
        .filter(sessions::ended_at.is_null())
        .select(max(sessions::last_seen_at))
        .get_result(conn)?;
    Ok(latest.map(UtcTime::from_micros))
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
